"""One table of the library becomes one frame."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from madang.errors import InputError
from madang.models._assemble import frame_from_arrow
from madang.models._assemble_names import find_column
from madang.models._words import StudyRequest
from madang.plant import Role


def _oven() -> pa.Table:
    start = np.datetime64("2024-03-01T00:00:00", "us")
    return pa.table(
        {
            "time": pa.array(start + np.arange(12) * np.timedelta64(1, "h"), pa.timestamp("us", tz="UTC")),
            "Lot No": ["A"] * 4 + ["B"] * 4 + ["C"] * 4,
            "온도": pa.array([200.0 + n for n in range(11)] + [None], pa.float64()),
            "count": pa.array(range(12), pa.int64()),
            "ok": [True, False] * 6,
            "등급": ["상", "하", None] * 4,
        }
    )


def test_numbers_booleans_and_categories_become_floats_and_absence_becomes_nan() -> None:
    frame = frame_from_arrow(_oven(), roles={"Lot No": Role.LOT})

    assert frame["온도"].values[:2].tolist() == [200.0, 201.0]
    assert np.isnan(frame["온도"].values[-1])
    assert frame["ok"].values[:2].tolist() == [1.0, 0.0]
    assert frame["등급"].categories == ("상", "하")
    assert frame["등급"].values[:2].tolist() == [0.0, 1.0]
    assert np.isnan(frame["등급"].values[2])


def test_the_time_column_is_an_instant_in_utc_and_no_input() -> None:
    frame = frame_from_arrow(_oven())

    assert frame.time is not None
    assert frame.time.dtype == np.dtype("datetime64[us]")
    assert frame.time[1] == np.datetime64("2024-03-01T01:00:00")
    assert "time" not in frame.series


def test_a_lot_column_groups_the_rows_and_the_report_says_so() -> None:
    frame = frame_from_arrow(_oven(), roles={"Lot No": Role.LOT})

    assert frame.group is not None
    assert frame.group.tolist() == ["A"] * 4 + ["B"] * 4 + ["C"] * 4
    group = frame.facts["group"]
    assert isinstance(group, dict)
    assert group["columns"] == ["Lot No"]
    assert group["given"] is False


def test_a_number_that_identifies_engines_groups_without_a_decimal_point() -> None:
    table = pa.table({"engine_no": np.repeat([1.0, 2.0], 6), "x": np.arange(12.0)})

    frame = frame_from_arrow(table, roles={"engine_no": Role.IDENTIFIER})

    assert frame.group is not None
    assert set(frame.group.tolist()) == {"1", "2"}


def test_an_identifier_of_every_row_is_no_group() -> None:
    table = pa.table({"serial": [f"S{n}" for n in range(12)], "x": np.arange(12.0)})

    assert frame_from_arrow(table, roles={"serial": Role.IDENTIFIER}).group is None


@pytest.mark.parametrize("typed", ["Lot No", "lot no", "LOT_NO", "ｌｏｔ　ｎｏ"])
def test_names_are_found_whatever_their_case_width_and_blanks(typed: str) -> None:
    frame = frame_from_arrow(_oven(), StudyRequest(target=typed, exclude=("COUNT",)))

    assert frame.facts["target"] == "Lot No"
    assert "count" not in frame.series
    assert find_column(frame, typed) == "Lot No"


def test_an_unknown_name_is_refused_with_its_near_matches() -> None:
    with pytest.raises(InputError) as caught:
        frame_from_arrow(_oven(), StudyRequest(target="lot number"))

    assert "Lot No" in caught.value.en
    assert "Lot No" in caught.value.ko


def test_two_columns_that_differ_by_case_only_are_asked_about() -> None:
    table = pa.table({"Temp A": [1.0], "temp_a": [2.0]})

    with pytest.raises(InputError) as caught:
        frame_from_arrow(table, StudyRequest(target="TEMPA"))

    assert caught.value.code == "ambiguous_column"


def test_free_text_is_left_out_and_said_but_a_kept_column_stays() -> None:
    table = pa.table({"note": [f"remark {n}" for n in range(100)], "x": np.arange(100.0)})

    left = frame_from_arrow(table)
    kept = frame_from_arrow(table, keep=("note",))

    assert "note" not in left.series
    assert isinstance(left.facts["left_out"], list)
    assert len(left.facts["left_out"]) == 1
    assert kept["note"].categories is not None


def test_the_result_time_is_kept_beside_the_sample_time() -> None:
    start = np.datetime64("2024-03-01T00:00:00", "us")
    sampled = start + np.arange(4) * np.timedelta64(1, "h")
    table = pa.table({"sampled": sampled, "결과 시각": sampled + np.timedelta64(6, "h"), "purity": [1.0, 2.0, 3.0, 4.0]})

    frame = frame_from_arrow(table, StudyRequest(time="sampled"))

    assert frame.result_time is not None
    assert frame.time is not None
    assert (frame.result_time - frame.time == np.timedelta64(6, "h")).all()


def test_the_order_of_rows_does_not_change_the_codes() -> None:
    table = _oven()

    turned = frame_from_arrow(table.take(list(range(11, -1, -1))))

    assert turned["등급"].categories == frame_from_arrow(table)["등급"].categories
