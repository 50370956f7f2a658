"""Several exports of one plant become one row per lot, and the frame says how."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from madang.connect import ROW
from madang.errors import InputError
from madang.library import ReadResult
from madang.models._assemble import assemble, read_of
from madang.models._frame import Frame
from madang.models._words import StudyRequest
from madang.plant import Role
from madang.testing._joins import JoinPlant, join_plant

_HOUR = np.timedelta64(1, "h")


def _reads(plant: JoinPlant, **more: pa.Table) -> list[ReadResult]:
    return [
        read_of(plant.signal, dataset="plc"),
        read_of(plant.lots, dataset="mes", roles={"lot": Role.LOT}),
        read_of(plant.lab, dataset="lab", roles={"sample_lot": Role.LOT, "purity": Role.RESULT}),
        *(read_of(table, dataset=name, roles={"lot": Role.LOT}) for name, table in more.items()),
    ]


def _join(frame: Frame) -> Mapping[str, Any]:
    join = frame.facts["join"]
    assert isinstance(join, dict)
    return join


@pytest.mark.parametrize("seed", range(6))
def test_each_lot_carries_its_latest_result_and_what_the_signals_did_while_it_was_made(seed: int) -> None:
    plant = join_plant(seed)

    frame = assemble(_reads(plant), StudyRequest())

    lots = {str(start): at for at, start in enumerate(plant.lots["end"].to_numpy())}
    assert frame.time is not None
    rows = np.array([lots[str(end)] for end in frame.time])
    purity = plant.lab["purity"].to_numpy()
    assert frame.facts["target"] == "purity"
    assert (frame["purity"].values == purity[plant.final[rows]]).mean() >= 0.99
    assert len(frame) >= 0.95 * (plant.final >= 0).sum()
    time = plant.signal["time"].to_numpy() - np.timedelta64(round(plant.offset_minutes * 60), "s")
    temperature = plant.signal["temperature"].to_numpy()
    for row in (0, len(frame) // 2, len(frame) - 1):
        first, last = plant.lots["start"].to_numpy()[rows[row]], plant.lots["end"].to_numpy()[rows[row]]
        third = (last - first) / 3
        inside = temperature[(time >= first + third) & (time < last - third)]
        assert frame["temperature [middle third mean]"].values[row] == pytest.approx(inside.mean(), abs=0.05)


def test_the_join_is_explained_in_both_languages_and_as_plain_json() -> None:
    plant = join_plant(2)

    join = _join(assemble(_reads(plant), StudyRequest()))

    json.dumps(join, allow_nan=False)
    assert join["lots"] == "mes"
    assert join["offsets"]["plc"]["minutes"] == pytest.approx(plant.offset_minutes, abs=1.0)
    assert join["joins"][0]["rows"] == plant.lots.num_rows
    counts = join["joins"][0]
    assert counts["rows"] == counts["joined"] + counts["unmatched"] + counts["ambiguous"]
    assert len(join["sentences"]) >= 3
    assert all(sentence["text_ko"] and sentence["text_en"] for sentence in join["sentences"])


def test_what_is_known_after_the_result_is_marked_so_and_plans_are_not() -> None:
    plant = join_plant(3)
    rng = np.random.default_rng(3)
    lots = plant.lots.append_column("폐기수량", pa.array(rng.integers(0, 5, plant.lots.num_rows)))
    lots = lots.append_column("charge_kg", pa.array(rng.normal(1000.0, 10.0, plant.lots.num_rows)))
    booked = pa.table({
        "lot": lots["lot"], "booked": pa.array(lots["end"].to_numpy() + 40 * _HOUR),
        "amount": rng.normal(5.0, 1.0, lots.num_rows),
    })  # fmt: skip

    frame = assemble(_reads(replace(plant, lots=lots), erp=booked), StudyRequest(target="purity"))

    assert frame["폐기수량"].available == "after_result"
    assert frame["amount"].available == "after_result"
    assert frame["remark"].available == "after_result"
    assert frame["charge_kg"].available == "before"
    assert frame["recipe"].available == "before"
    assert frame["temperature [end mean]"].available == "before"


def test_a_result_is_known_from_its_result_time_on() -> None:
    plant = join_plant(4)

    frame = assemble(_reads(plant), StudyRequest(target="purity"))

    assert frame.time is not None
    assert frame.result_time is not None
    late = (frame.result_time - frame.time) / _HOUR
    assert np.all(late > 3.0)


def test_a_target_in_any_of_the_files_may_be_named() -> None:
    plant = join_plant(5)
    rng = np.random.default_rng(5)
    lots = plant.lots.append_column("yield", pa.array(rng.normal(95.0, 1.0, plant.lots.num_rows)))

    frame = assemble(_reads(replace(plant, lots=lots)), StudyRequest(target="Yield"))

    assert frame.facts["target"] == "yield"
    assert len(frame) == lots.num_rows
    np.testing.assert_array_equal(frame["yield"].values, lots["yield"].to_numpy())


def test_lots_without_a_result_are_kept_for_a_prediction() -> None:
    plant = join_plant(6)

    learned = assemble(_reads(plant), StudyRequest(target="purity"))
    asked = assemble(_reads(plant), StudyRequest(target="purity"), with_target=False)

    assert len(asked) == plant.lots.num_rows
    assert np.isfinite(learned["purity"].values).all()
    assert np.isfinite(asked["purity"].values).sum() == len(learned)


def test_steps_that_a_table_lists_become_the_parts_of_a_lot() -> None:
    plant = join_plant(7)
    first, last = plant.lots["start"].to_numpy(), plant.lots["end"].to_numpy()
    border = first + (last - first) / 4
    steps = pa.table({
        "lot_no": pa.concat_arrays([plant.lots["lot"].combine_chunks()] * 2), "step": ["승온"] * len(first) + ["유지"] * len(first),
        "start_time": np.concatenate((first, border)), "end_time": np.concatenate((border, last)),
    })  # fmt: skip
    reads = [*_reads(plant), read_of(steps, dataset="steps", roles={"lot_no": Role.LOT})]

    frame = assemble(reads, StudyRequest(target="purity"))

    assert [part["name"] for part in _join(frame)["windows"]] == ["lot", "승온", "유지", "end"]
    assert any("[유지 mean]" in name for name in frame.series)


def test_raw_lots_are_joined_over_the_list_of_lots() -> None:
    plant = join_plant(8)
    rng = np.random.default_rng(8)
    raw = np.array([f"RM-{n // 9:03d}" for n in range(plant.lots.num_rows)])
    certificates = pa.table({"raw_lot": np.unique(raw), "ratio": rng.normal(1.03, 0.01, len(np.unique(raw)))})
    lots = plant.lots.append_column("raw material", pa.array(raw))

    frame = assemble([*_reads(replace(plant, lots=lots)), read_of(certificates, dataset="raw")], StudyRequest(target="purity"))

    ratio = dict(zip(certificates["raw_lot"].to_pylist(), certificates["ratio"].to_pylist(), strict=True))
    codes = frame["raw material"]
    assert codes.categories is not None
    expected = [ratio[codes.categories[int(code)]] for code in codes.values]
    np.testing.assert_allclose(frame["ratio"].values, expected)
    assert frame["ratio"].available == "before"


def test_a_history_in_monthly_files_is_one_history() -> None:
    plant = join_plant(9)
    half = plant.signal.num_rows // 2
    halves = [plant.signal.slice(0, half), plant.signal.slice(half)]
    rest = _reads(plant)[1:]

    whole = assemble(_reads(plant), StudyRequest(target="purity"))
    parted = assemble([*(read_of(h, dataset=f"plc-{k}") for k, h in enumerate(halves)), *rest], StudyRequest(target="purity"))

    name = "temperature [end mean]"
    np.testing.assert_allclose(parted[name].values, whole[name].values)


def test_a_counter_tells_what_it_counted_and_not_where_it_stood() -> None:
    plant = join_plant(10)
    steps = np.random.default_rng(10).random(plant.signal.num_rows) < 0.3
    signal = plant.signal.append_column("pieces", pa.array(np.cumsum(steps) % 5000.0))

    frame = assemble(_reads(replace(plant, signal=signal)), StudyRequest(target="purity"))

    made = [name for name in frame.series if name.startswith("pieces")]
    assert made == ["pieces [lot increase]"]
    assert float(np.nanmax(frame[made[0]].values)) < 400.0


def test_a_signal_that_names_the_lot_of_every_reading_lists_the_lots_itself() -> None:
    rng = np.random.default_rng(11)
    time = np.datetime64("2024-05-01", "us") + np.arange(6000) * np.timedelta64(1, "m")
    lot = np.array([f"B{n:03d}" for n in range(60)])[np.arange(6000) // 100]
    signal = pa.table({"time": time, "batch": lot, "temperature": rng.normal(500.0, 2.0, 6000)})
    ends = time[99::100]
    lab = pa.table({"batch": [f"B{n:03d}" for n in range(60)], "sampled": ends + _HOUR, "strength": rng.normal(size=60)})

    frame = assemble([read_of(signal, dataset="plc"), read_of(lab, dataset="lab")], StudyRequest(target="strength"))

    assert len(frame) == 60
    np.testing.assert_allclose(frame["strength"].values, lab["strength"].to_numpy())
    # the middle third of the 99 minutes from the first to the last reading of a lot
    expected = [np.mean(signal["temperature"].to_numpy()[n * 100 + 33 : n * 100 + 66]) for n in range(60)]
    np.testing.assert_allclose(frame["temperature [middle third mean]"].values, expected)


def test_without_windows_the_signals_before_each_sample_are_taken() -> None:
    rng = np.random.default_rng(12)
    time = np.datetime64("2024-05-01", "us") + np.arange(9000) * np.timedelta64(1, "m")
    signal = pa.table({"time": time, "feed": np.cumsum(rng.normal(size=9000))})
    lab = pa.table({"sampled": time[800::200], "viscosity": rng.normal(size=len(time[800::200]))})

    frame = assemble([read_of(signal, dataset="dcs"), read_of(lab, dataset="lab")], StudyRequest(target="viscosity"))

    hour = signal["feed"].to_numpy()[740:800].mean()
    assert frame["feed [1-0 h before mean]"].values[0] == pytest.approx(hour)


def test_signals_of_one_clock_are_joined_by_time_when_the_target_is_a_signal() -> None:
    time = np.datetime64("2024-05-01", "us") + np.arange(400) * np.timedelta64(15, "m")
    energy = pa.table({"time": time, "kwh": np.arange(400.0)})
    weather = pa.table({"at": time[::4], "outside": np.arange(100.0)})

    frame = assemble([read_of(energy, dataset="meter"), read_of(weather, dataset="weather")], StudyRequest(target="kwh"))

    assert len(frame) == 400
    assert frame["outside"].values[:6].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]


def test_a_table_that_no_key_and_no_time_links_is_left_out_and_said() -> None:
    plant = join_plant(13)
    tools = pa.table({"tool": [f"T{n}" for n in range(9)], "vendor": ["a"] * 9, "price": np.arange(9.0)})

    join = _join(assemble([*_reads(plant), read_of(tools, dataset="tools")], StudyRequest(target="purity")))

    assert [unused["table"] for unused in join["unused"]] == ["tools"]


def test_names_that_fit_nothing_are_refused() -> None:
    plant = join_plant(14)

    with pytest.raises(InputError) as target:
        assemble(_reads(plant), StudyRequest(target="puritty"))
    with pytest.raises(InputError):
        assemble(_reads(plant), StudyRequest(target="purity", exclude=("no such column",)))

    assert "purity" in target.value.en


def test_rows_are_numbered_as_in_the_file_that_holds_the_results() -> None:
    plant = join_plant(15)
    reads = _reads(plant)
    numbered = plant.lab.append_column(ROW, pa.array(np.arange(100, 100 + plant.lab.num_rows)))

    frame = assemble(
        [*reads[:2], read_of(numbered, dataset="lab", roles={"sample_lot": Role.LOT})], StudyRequest(target="purity")
    )

    purity = plant.lab["purity"].to_numpy()
    np.testing.assert_array_equal(purity[frame.row - 100], frame["purity"].values)


def _shuffled(reads: Sequence[ReadResult]) -> list[ReadResult]:
    rng = np.random.default_rng(1)
    return [replace(read, table=read.table.take(rng.permutation(read.table.num_rows))) for read in reads]


def test_the_order_of_the_rows_in_the_files_changes_nothing_but_the_order_of_the_lots() -> None:
    plant = join_plant(16)

    straight = assemble(_reads(plant), StudyRequest(target="purity"))
    mixed = assemble(_shuffled(_reads(plant)), StudyRequest(target="purity"))

    assert straight.time is not None
    assert mixed.time is not None
    assert list(straight.series) == list(mixed.series)
    one, other = (np.argsort(frame.time, kind="stable") for frame in (straight, mixed) if frame.time is not None)
    for name in straight.series:
        if not straight[name].categorical:
            np.testing.assert_allclose(straight[name].values[one], mixed[name].values[other], err_msg=name)


def test_a_prediction_gets_the_columns_of_the_learned_frame_and_later_readings_change_no_earlier_lot() -> None:
    plant = join_plant(17)
    learned = assemble(_reads(plant), StudyRequest(target="purity"))
    half = plant.lots.num_rows // 2
    cut = plant.lots["end"].to_numpy()[half - 1] + 12 * _HOUR
    early = replace(
        plant,
        lots=plant.lots.slice(0, half),
        signal=plant.signal.filter(pa.array(plant.signal["time"].to_numpy() < cut)),
        lab=plant.lab.filter(pa.array(plant.lab["result_time"].to_numpy() < cut)),
    )

    whole = assemble(_reads(plant), StudyRequest(), with_target=False, like=learned.facts)
    part = assemble(_reads(early), StudyRequest(), with_target=False, like=learned.facts)

    made = learned.facts["features"]
    assert isinstance(made, dict)
    assert len(made) >= 4
    for name in made:
        np.testing.assert_array_equal(part[name].values, whole[name].values[:half], err_msg=name)
    assert set(learned.series) <= set(whole.series)
