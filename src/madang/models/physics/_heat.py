"""Heat: what a kiln zone gives to a saggar, and how the heat walks into the powder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

STEFAN_BOLTZMANN = 5.670374419e-8
"""Stefan-Boltzmann constant [W/(m2 K4)], CODATA 2018."""
KELVIN = 273.15
"""Zero of the Celsius scale [K]."""


def radiative_flux(hot: FloatArray, cold: FloatArray, emissivity: float) -> FloatArray:
    """Return the net heat flux by radiation from surroundings to a grey surface they enclose.

    Args:
        hot: Temperature of the surroundings (roof, walls, gas taken as black) [degC], above -273.15.
        cold: Temperature of the surface [degC], above -273.15, of a shape that broadcasts with `hot`.
        emissivity: Emissivity of the surface [-], from 0 to 1.

    Returns:
        Flux into the surface [W/m2]; negative when the surface is the hotter one.

    Raises:
        ValueError: The emissivity is not a fraction, or a temperature lies below absolute zero.

    Source:
        Incropera, DeWitt, Bergman, Lavine: Fundamentals of Heat and Mass Transfer, small grey surface in large
        surroundings, q = eps sigma (T_sur^4 - T_s^4).

    >>> round(float(radiative_flux(np.array(850.0), np.array(800.0), 0.8)))
    12021
    """
    if not 0.0 <= emissivity <= 1.0:
        raise ValueError(f"an emissivity lies between 0 and 1, got {emissivity}")
    hot_k, cold_k = np.asarray(hot) + KELVIN, np.asarray(cold) + KELVIN
    if np.any(hot_k < 0.0) or np.any(cold_k < 0.0):
        raise ValueError("a temperature lies below absolute zero (-273.15 degC)")
    return np.asarray(emissivity * STEFAN_BOLTZMANN * (hot_k**4 - cold_k**4), dtype=np.float64)


def convective_flux(gas: FloatArray, surface: FloatArray, coefficient: float) -> FloatArray:
    """Return the heat flux by convection from a gas to a surface (Newton's law of cooling).

    Args:
        gas: Bulk temperature of the gas [degC].
        surface: Temperature of the surface [degC], of a shape that broadcasts with `gas`.
        coefficient: Heat transfer coefficient [W/(m2 K)], at least 0; 5..25 in a slow kiln atmosphere (house range).

    Returns:
        Flux into the surface [W/m2].

    Source:
        Incropera et al., q = h (T_gas - T_s).

    >>> float(convective_flux(np.array(850.0), np.array(800.0), 15.0))
    750.0
    """
    if coefficient < 0.0:
        raise ValueError(f"a heat transfer coefficient is not negative, got {coefficient}")
    return np.asarray(coefficient * (np.asarray(gas) - np.asarray(surface)), dtype=np.float64)


def conduction_step(
    temperature: FloatArray, flux: FloatArray, *, diffusivity: float, conductivity: float, thickness: float, seconds: float
) -> FloatArray:
    """Advance the temperature across a powder bed by one implicit (backward Euler) step of 1-D conduction.

    The bed is cut into cells of equal thickness; heat enters through the top face and none leaves through the bottom. The
    step is a finite-volume balance, so the heat content grows by exactly ``flux * seconds`` whatever the length of the step.

    Args:
        temperature: Cell temperatures from top to bottom [degC], shape (bed, cell), at least two cells.
        flux: Heat flux into the top face [W/m2], shape (bed,).
        diffusivity: Thermal diffusivity [m2/s], above 0; about 2e-7 for loose oxide powder (house parameter).
        conductivity: Thermal conductivity [W/(m K)], above 0.
        thickness: Thickness of the bed [m], above 0.
        seconds: Length of the step [s], above 0. Stable for any length; accurate when it is short beside thickness^2/diffusivity.

    Returns:
        New cell temperatures [degC], shape (bed, cell).

    Raises:
        ValueError: A property is not positive or a shape does not fit.

    Source:
        Heat equation dT/dt = a d2T/dx2 with a flux boundary (Incropera et al., transient conduction, implicit
        finite-difference form); the tridiagonal system is solved by elimination (Thomas).

    >>> bed = conduction_step(np.full((1, 4), 20.0), np.array([1000.0]), diffusivity=2e-7, conductivity=0.4,
    ...                       thickness=0.04, seconds=60.0)
    >>> stored = (bed - 20.0).sum() * 0.01 * 0.4 / 2e-7
    >>> round(float(stored), 6)
    60000.0
    """
    if min(diffusivity, conductivity, thickness, seconds) <= 0.0:
        raise ValueError("diffusivity, conductivity, thickness and seconds are above 0")
    if temperature.ndim != 2 or temperature.shape[1] < 2 or flux.shape != temperature.shape[:1]:
        raise ValueError("temperature is (bed, cell) with two cells or more, flux is (bed,)")
    cells = temperature.shape[1]
    cell = thickness / cells
    fourier = diffusivity * seconds / cell**2
    heat_capacity = conductivity / diffusivity
    right = temperature.astype(np.float64, copy=True)
    right[:, 0] += flux * seconds / (heat_capacity * cell)
    diagonal = np.full(cells, 1.0 + 2.0 * fourier)
    diagonal[0] = diagonal[-1] = 1.0 + fourier
    upper = np.zeros(cells)
    upper[0] = -fourier / diagonal[0]
    right[:, 0] /= diagonal[0]
    for i in range(1, cells):
        pivot = diagonal[i] + fourier * upper[i - 1]
        upper[i] = -fourier / pivot
        right[:, i] = (right[:, i] + fourier * right[:, i - 1]) / pivot
    for i in range(cells - 2, -1, -1):
        right[:, i] -= upper[i] * right[:, i + 1]
    return right


def zone_power(
    temperature: float, ambient: float, *, loss: float, load_flow: float, load_heat_capacity: float, entering: float
) -> float:
    """Return the power that holds a kiln zone at a temperature against its losses and its load.

    Args:
        temperature: Zone temperature [degC].
        ambient: Temperature of the hall [degC].
        loss: Overall loss coefficient of shell and exhaust [W/K], at least 0 (house parameter, fitted in practice).
        load_flow: Mass flow of saggars and powder [kg/s], at least 0.
        load_heat_capacity: Mean heat capacity of the load [J/(kg K)], above 0; about 1000 for oxides.
        entering: Temperature at which the load enters the zone [degC]; it is taken to leave at the zone's temperature.

    Returns:
        Power [W]; negative when the load brings more heat than the zone loses.

    Source:
        Steady energy balance of an open system (Incropera et al.): Q = UA (T - T_amb) + m c (T - T_in).

    >>> round(zone_power(850.0, 25.0, loss=300.0, load_flow=0.6, load_heat_capacity=1000.0, entering=830.0))
    259500
    """
    if load_heat_capacity <= 0.0 or min(loss, load_flow) < 0.0:
        raise ValueError("loss and load flow are not negative, the heat capacity is above 0")
    return loss * (temperature - ambient) + load_flow * load_heat_capacity * (temperature - entering)
