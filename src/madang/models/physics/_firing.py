"""Firing of layered oxide: kinetics of dehydration and formation, oxygen, lithium loss, crystal growth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madang.models.physics._heat import KELVIN

FloatArray = NDArray[np.float64]

GAS_CONSTANT = 8.31446261815324
"""Molar gas constant [J/(mol K)], CODATA 2018."""


def arrhenius_rate(temperature: FloatArray, *, factor: float, activation: float) -> FloatArray:
    """Return a rate that grows with temperature as Arrhenius found.

    Args:
        temperature: Temperature [degC], above -273.15.
        factor: Pre-exponential factor [1/s], above 0.
        activation: Activation energy [J/mol], at least 0.

    Returns:
        Rate constant [1/s].

    Source:
        Arrhenius (1889): k = A exp(-E / (R T)).

    >>> float(arrhenius_rate(np.array(850.0), factor=2.0, activation=0.0))
    2.0
    """
    kelvin = np.asarray(temperature, dtype=np.float64) + KELVIN
    if factor <= 0.0 or activation < 0.0 or np.any(kelvin <= 0.0):
        raise ValueError("factor above 0, activation not negative, temperature above absolute zero")
    return np.asarray(factor * np.exp(-activation / (GAS_CONSTANT * kelvin)), dtype=np.float64)


def first_order_remaining(rate: FloatArray, seconds: float) -> FloatArray:
    """Return the share left of a reactant after a history of first-order decay.

    Args:
        rate: Rate constants over the history [1/s], shape (..., step), not negative.
        seconds: Length of a step [s], above 0.

    Returns:
        Share remaining [-], from 0 to 1, without the step axis: exp(-sum k dt).

    Source:
        Integrated first-order rate law; used for both stages: loss of crystal water of LiOH.H2O, and uptake of
        lithium into the layered oxide.

    >>> round(float(first_order_remaining(np.array([0.001, 0.003]), 500.0)), 4)
    0.1353
    """
    if seconds <= 0.0 or np.any(rate < 0.0):
        raise ValueError("seconds above 0 and no negative rate")
    return np.asarray(np.exp(-np.sum(rate, axis=-1) * seconds), dtype=np.float64)


def two_stage_remaining(first: FloatArray, second: FloatArray, seconds: float) -> tuple[FloatArray, FloatArray]:
    """Return what is left of the hydrate and of the lithium source when the second stage feeds on the first.

    LiOH.H2O loses its water (or Li2CO3 begins to decompose) before lithium enters the oxide: the second stage runs only as
    far as the first has come. Both are first order; the second rate is weighted with the share already dehydrated.

    Args:
        first: Rate of the first stage [1/s], shape (..., step).
        second: Rate of the second stage [1/s], same shape.
        seconds: Length of a step [s], above 0.

    Returns:
        Share of hydrate left [-] and share of lithium not taken up [-], both without the step axis.

    Source:
        Consecutive first-order reactions (any text on kinetics); the weighting is a house simplification of the published
        two-sphere dehydration models, whose parameters are not public.

    >>> hydrate, lithium = two_stage_remaining(np.full(1000, 1e-2), np.full(1000, 1e-4), 10.0)
    >>> bool(hydrate < 1e-40), round(float(lithium), 3)  # exp(-(1e4 - 1e2 - ...) * 1e-4)
    (True, 0.371)
    """
    if first.shape != second.shape:
        raise ValueError("both rates have the same shape")
    gone = np.cumsum(first, axis=-1) * seconds
    dehydrated = 1.0 - np.exp(-gone)
    return np.asarray(np.exp(-gone[..., -1]), dtype=np.float64), first_order_remaining(second * dehydrated, seconds)


def oxygen_fraction(oxygen: FloatArray, air: float, released: float) -> FloatArray:
    """Return the oxygen fraction in a well mixed zone fed with pure oxygen, leaking air and released gas.

    Args:
        oxygen: Flow of oxygen into the zone [Nm3/h], not negative.
        air: Air drawn in through doors and roller seals [Nm3/h], not negative.
        released: Water vapour and carbon dioxide set free by the powder [Nm3/h], not negative.

    Returns:
        Volume fraction of oxygen [-], which times the pressure is the partial pressure (Dalton).

    Raises:
        ValueError: A flow is negative, or no gas flows at all.

    Source:
        Mass balance of a stirred volume; air taken as 20.95 % oxygen.

    >>> round(float(oxygen_fraction(np.array(40.0), 30.0, 20.0)), 3)
    0.514
    """
    total = np.asarray(oxygen) + air + released
    if np.any(np.asarray(oxygen) < 0.0) or min(air, released) < 0.0 or np.any(total <= 0.0):
        raise ValueError("flows are not negative and some gas must flow")
    return np.asarray((np.asarray(oxygen) + 0.2095 * air) / total, dtype=np.float64)


def lithium_loss(temperature: FloatArray, seconds: float, *, factor: float, activation: float) -> FloatArray:
    """Return the share of lithium that evaporates during a firing history.

    Evaporation from a surface follows the vapour pressure (Hertz and Knudsen: flux = alpha p_sat / sqrt(2 pi M R T)); the
    vapour pressure follows temperature as exp(-E/RT). Factor, area and mass are lumped into one pre-exponential factor. The
    loss is small below about 800 degC and matters above 850 degC.

    Args:
        temperature: Temperatures of the powder over the history [degC], shape (..., step).
        seconds: Length of a step [s], above 0.
        factor: Lumped factor [K^0.5/s], above 0 (house parameter).
        activation: Enthalpy of evaporation [J/mol] (house parameter, near 240 kJ/mol).

    Returns:
        Share lost [-], from 0 to 1, without the step axis.

    Source:
        Hertz (1882), Knudsen (1915) for the form; parameters are the house's.
    """
    kelvin = np.asarray(temperature, dtype=np.float64) + KELVIN
    rate = arrhenius_rate(temperature, factor=factor, activation=activation) / np.sqrt(kelvin)
    return 1.0 - first_order_remaining(rate, seconds)


def crystallite_size(
    temperature: FloatArray, seconds: float, *, start: float, factor: float, activation: float, exponent: float = 2.0
) -> FloatArray:
    """Return the crystallite size after a firing history, by the law of normal grain growth.

    Args:
        temperature: Temperatures of the powder over the history [degC], shape (..., step).
        seconds: Length of a step [s], above 0.
        start: Size before firing [nm], above 0.
        factor: Growth factor [nm^n/s], above 0 (house parameter).
        activation: Activation energy of boundary migration [J/mol] (house parameter).
        exponent: Exponent n [-]; 2 for the parabolic law, at least 1.

    Returns:
        Size [nm], without the step axis; never below `start`.

    Source:
        Burke and Turnbull (1952), Recrystallization and grain growth: D^n - D0^n = K t with K of Arrhenius form.

    >>> float(crystallite_size(np.array([800.0]), 60.0, start=3.0, factor=1.0, activation=0.0))  # 9 + 60
    8.306623862918075
    """
    if start <= 0.0 or exponent < 1.0:
        raise ValueError("the first size is above 0 and the exponent at least 1")
    growth = arrhenius_rate(temperature, factor=factor, activation=activation).sum(axis=-1) * seconds
    return np.asarray((start**exponent + growth) ** (1.0 / exponent), dtype=np.float64)
