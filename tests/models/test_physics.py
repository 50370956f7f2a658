"""The kernels of physics keep their conservation laws and agree with hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.models.physics import (
    GAS_CONSTANT,
    arrhenius_rate,
    conduction_step,
    convective_flux,
    crystallite_size,
    first_order_remaining,
    lithium_loss,
    oxygen_fraction,
    radiative_flux,
    two_stage_remaining,
    zone_power,
)

temperatures = st.floats(-50.0, 1300.0)


def test_a_black_body_of_1000_kelvin_radiates_56_7_kilowatt_per_square_metre_into_the_cold() -> None:
    flux = radiative_flux(np.array(1000.0 - 273.15), np.array(-273.15), 1.0)
    assert float(flux) == pytest.approx(56_703.7, rel=1e-4)


@given(temperatures, temperatures, st.floats(0.0, 1.0))
def test_radiation_flows_from_hot_to_cold_and_changes_sign_when_they_are_exchanged(hot: float, cold: float, eps: float) -> None:
    forth = float(radiative_flux(np.array(hot), np.array(cold), eps))
    back = float(radiative_flux(np.array(cold), np.array(hot), eps))
    assert forth == pytest.approx(-back, abs=1e-9)
    assert forth * (hot - cold) >= 0.0


def test_an_emissivity_above_one_or_a_temperature_below_absolute_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="emissivity"):
        radiative_flux(np.array(10.0), np.array(5.0), 1.2)
    with pytest.raises(ValueError, match="absolute zero"):
        radiative_flux(np.array(-300.0), np.array(5.0), 0.5)


@settings(max_examples=60)
@given(
    st.lists(temperatures, min_size=2, max_size=12), st.floats(-5e4, 5e4), st.floats(1.0, 5e4), st.floats(1e-8, 1e-4),
    st.floats(0.05, 50.0), st.floats(0.001, 0.5),
)  # fmt: skip
def test_a_step_of_conduction_stores_exactly_the_heat_that_entered(
    bed: list[float], flux: float, seconds: float, diffusivity: float, conductivity: float, thickness: float
) -> None:
    before = np.array([bed])
    after = conduction_step(
        before, np.array([flux]), diffusivity=diffusivity, conductivity=conductivity, thickness=thickness, seconds=seconds
    )
    cell = thickness / len(bed)
    stored = float((after - before).sum()) * cell * conductivity / diffusivity
    scale = float(np.abs(after).sum() + np.abs(before).sum()) * cell * conductivity / diffusivity
    assert stored == pytest.approx(flux * seconds, abs=1e-9 * scale + 1e-6 * abs(flux * seconds))


@settings(max_examples=60)
@given(st.lists(temperatures, min_size=2, max_size=10), st.floats(1.0, 1e5))
def test_without_a_flux_no_cell_gets_hotter_than_the_hottest_or_colder_than_the_coldest(
    bed: list[float], seconds: float
) -> None:
    after = conduction_step(np.array([bed]), np.zeros(1), diffusivity=2e-7, conductivity=0.4, thickness=0.04, seconds=seconds)
    assert after.max() <= max(bed) + 1e-9
    assert after.min() >= min(bed) - 1e-9


def test_a_steady_flux_bends_the_profile_as_carslaw_and_jaeger_say() -> None:
    # Slab heated with q on one face, insulated on the other: after a long time T(x) = q (L - x)^2 / (2 k L) + rising mean,
    # so two cell centres next to the faces differ by q (L - dx) / (2 k).
    q, k, length, cells = 2000.0, 0.5, 0.03, 30
    bed = np.full((1, cells), 25.0)
    for _ in range(600):
        bed = conduction_step(bed, np.array([q]), diffusivity=4e-7, conductivity=k, thickness=length, seconds=60.0)
    assert float(bed[0, 0] - bed[0, -1]) == pytest.approx(q * (length - length / cells) / (2 * k), rel=1e-6)


def test_shapes_and_properties_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="two cells"):
        conduction_step(np.zeros((1, 1)), np.zeros(1), diffusivity=1e-7, conductivity=1.0, thickness=0.1, seconds=1.0)
    with pytest.raises(ValueError, match="above 0"):
        conduction_step(np.zeros((1, 3)), np.zeros(1), diffusivity=0.0, conductivity=1.0, thickness=0.1, seconds=1.0)
    with pytest.raises(ValueError, match="coefficient"):
        convective_flux(np.array(1.0), np.array(2.0), -1.0)


def test_the_power_of_a_zone_is_its_losses_plus_what_the_load_takes_along() -> None:
    # 300 W/K x (850 - 25) K + 0.6 kg/s x 1000 J/(kg K) x (850 - 830) K = 247.5 kW + 12 kW
    power = zone_power(850.0, 25.0, loss=300.0, load_flow=0.6, load_heat_capacity=1000.0, entering=830.0)
    assert power == pytest.approx(259_500.0)


@given(st.floats(20.0, 1000.0), st.floats(1.0, 200.0), st.floats(1e4, 3e5))
def test_two_rates_of_one_reaction_give_its_activation_energy_back(t: float, step: float, activation: float) -> None:
    slow = float(arrhenius_rate(np.array(t), factor=1e6, activation=activation))
    fast = float(arrhenius_rate(np.array(t + step), factor=1e6, activation=activation))
    found = GAS_CONSTANT * math.log(fast / slow) / (1.0 / (t + 273.15) - 1.0 / (t + step + 273.15))
    assert found == pytest.approx(activation, rel=1e-6)


@given(st.lists(st.floats(0.0, 0.01), min_size=1, max_size=30), st.floats(1.0, 1000.0))
def test_what_remains_is_a_share_and_does_not_depend_on_the_order_of_the_history(rates: list[float], seconds: float) -> None:
    left = float(first_order_remaining(np.array(rates), seconds))
    assert 0.0 <= left <= 1.0
    assert left == pytest.approx(float(first_order_remaining(np.array(rates[::-1]), seconds)))


def test_formation_waits_for_dehydration() -> None:
    second = np.full(100, 1e-3)
    _, quick = two_stage_remaining(np.full(100, 1.0), second, 60.0)
    _, slow = two_stage_remaining(np.full(100, 1e-4), second, 60.0)
    assert float(quick) == pytest.approx(math.exp(-6.0), rel=0.01)
    assert float(slow) > 5 * float(quick)


def test_pure_oxygen_stays_pure_and_air_stays_air() -> None:
    assert float(oxygen_fraction(np.array(10.0), 0.0, 0.0)) == pytest.approx(1.0)
    assert float(oxygen_fraction(np.array(0.0), 10.0, 0.0)) == pytest.approx(0.2095)
    with pytest.raises(ValueError, match="gas must flow"):
        oxygen_fraction(np.array(0.0), 0.0, 0.0)


def test_lithium_loss_is_negligible_at_700_degrees_and_matters_at_900() -> None:
    ten_hours = np.ones(120)
    cold, warm, hot = (
        float(lithium_loss(t * ten_hours, 300.0, factor=2.2e6, activation=240_000.0)) for t in (700.0, 850.0, 900.0)
    )
    assert cold < 0.001 < warm < hot < 0.1


@given(st.floats(5.0, 200.0), st.floats(1e-3, 10.0), st.floats(60.0, 1e5))
def test_grains_grow_by_the_parabolic_law(start: float, factor: float, seconds: float) -> None:
    size = float(crystallite_size(np.array([850.0]), seconds, start=start, factor=factor, activation=0.0))
    assert size**2 - start**2 == pytest.approx(factor * seconds, rel=1e-6)
    assert size >= start
