"""The living kiln obeys the same physics as its exports, follows its seed, and answers what is done to it."""

from __future__ import annotations

import numpy as np
import pytest

from madang.factory.twin import simulate_kiln
from madang.factory.twin._kiln import SET_POINTS, TARGET_CENTRE
from madang.factory.twin._live_kiln import LiveKiln
from madang.factory.twin._live_lots import PlantEvent


def _run(plant: LiveKiln, seconds: int) -> list[PlantEvent]:
    for _ in range(seconds):
        plant.step(1.0)
    return plant.take_events()


def test_the_living_plant_has_the_causes_that_the_exports_of_its_seed_have() -> None:
    for seed in (1, 5):
        run, plant = simulate_kiln(seed, lots=60), LiveKiln(seed, warm_hours=1.0)
        assert plant.causes == tuple(cause.code for cause in run.truth.causes)


def test_the_same_seed_gives_the_same_seconds_and_another_seed_others() -> None:
    plants = [LiveKiln(seed, warm_hours=13.0) for seed in (4, 4, 6)]
    for plant in plants:
        _run(plant, 300)
    assert np.array_equal(plants[0].zones, plants[1].zones)
    assert [lot.name for lot in plants[0].inside] == [lot.name for lot in plants[1].inside]
    assert not np.array_equal(plants[0].flow, plants[2].flow)


def test_at_second_0_the_kiln_is_full_and_its_lots_are_on_target_on_average() -> None:
    plant = LiveKiln(2)
    before = plant.take_events()
    results = [event.lot.result.residual for event in before if event.kind == "discharged" and event.lot.result is not None]
    assert plant.t == 0.0
    assert 20 <= len(plant.inside) <= 34
    assert len(results) > 80
    assert abs(float(np.mean(results)) - TARGET_CENTRE) < 40.0
    assert 120.0 < float(np.std(results)) < 450.0


def test_a_lot_takes_about_twelve_hours_and_its_result_comes_four_to_twenty_four_hours_after_the_sample() -> None:
    lots = [event.lot for event in LiveKiln(3).take_events() if event.kind == "discharged"]
    hours = [(lot.discharge - lot.charge) / 3600.0 for lot in lots if lot.discharge is not None]
    late = [(lot.resulted - lot.sampled) / 3600.0 for lot in lots if lot.resulted is not None and lot.sampled is not None]
    assert 9.0 < min(hours) <= max(hours) < 15.0
    assert 4.0 <= min(late) <= max(late) <= 24.0


def test_the_steps_of_a_lot_come_in_order() -> None:
    lots = [event.lot for event in LiveKiln(7).take_events() if event.kind == "discharged"]
    for lot in lots:
        assert lot.soak_start is not None
        assert lot.soak_end is not None
        assert lot.discharge is not None
        assert lot.charge < lot.soak_start < lot.soak_end < lot.discharge


def test_a_zone_goes_to_a_set_point_that_is_written() -> None:
    plant = LiveKiln(6, causes="none", warm_hours=2.0)
    assert np.abs(plant.zones - SET_POINTS).max() < 3.0
    plant.set_points[4] = 858.0
    _run(plant, 2 * 3600)
    assert abs(plant.zones[4] - 858.0) < 1.5
    assert abs(plant.zones[2] - SET_POINTS[2]) < 3.0


def test_a_failing_burner_stands_at_full_duty_while_its_zone_gets_cold() -> None:
    plant = LiveKiln(6, causes="none", warm_hours=2.0)
    plant.drift[4] = -25.0
    _run(plant, 3 * 3600)
    assert plant.zones[4] < SET_POINTS[4] - 15.0
    assert plant.duty[4] > 0.99
    assert plant.duty[3] < 0.9


@pytest.mark.slow
def test_the_living_plant_starts_about_as_good_as_its_exports() -> None:
    """Both draw from the same mechanisms, so the share of lots within tolerance agrees within what chance gives to a week."""
    shares = []
    for seed in range(6):
        plant = LiveKiln(seed)
        for _ in range(4 * 24 * 60):
            plant.step(60.0)
        found = [e.lot.result.residual for e in plant.take_events() if e.kind == "discharged" and e.lot.result is not None]
        shares.append(float(np.mean(np.abs(np.array(found) - TARGET_CENTRE) <= 400.0)))
    exports = [simulate_kiln(seed, lots=1200).truth.share_in_tolerance for seed in range(6)]
    assert abs(float(np.mean(shares)) - float(np.mean(exports))) < 0.10
