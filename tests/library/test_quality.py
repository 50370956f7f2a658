"""The card: what is counted, what is scored, and what is said to be unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from madang.library import Library
from tests.library.plant_files import open_library, write_meter

TWO_DAYS = 2 * 24 * 60


def card_of(library: Library, name: str) -> dict[str, Any]:
    return dict(library.card(name))


def test_a_tenth_of_a_shift_that_is_gone_lowers_that_shift_and_no_other(tmp_path: Path) -> None:
    # 06:00 in Seoul is 21:00 UTC; the meter starts at 00:00 UTC, so 21:00 UTC is minute 1260.
    begin = 21 * 60
    whole = write_meter(tmp_path / "whole.csv", records=TWO_DAYS)
    lost = write_meter(
        tmp_path / "lost.csv", records=TWO_DAYS, skip=lambda m: begin <= m < begin + 480 and (m - begin) % 10 == 5
    )
    with open_library(tmp_path / "ws") as library:
        library.intake([whole])
        library.intake([lost], dataset="lost")
        before = {s["local"]: s for s in card_of(library, "whole")["shifts"]}
        after = {s["local"]: s for s in card_of(library, "lost")["shifts"]}
    assert before["2026-01-02 06:00"]["score"] == 1.0
    assert after["2026-01-02 06:00"]["score"] == 0.9
    assert (after["2026-01-02 06:00"]["records"], after["2026-01-02 06:00"]["expected"]) == (432, 480)
    others = set(before) - {"2026-01-02 06:00"}
    assert [after[s]["score"] for s in others] == [before[s]["score"] for s in others]


def test_bad_and_missing_cells_are_counted_apart_and_lower_column_and_shift(tmp_path: Path) -> None:
    change = {(m, 1): "ERR" for m in range(10)} | {(m, 1): "" for m in range(10, 30)}
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv", records=300, change=change)])
        card = card_of(library, "meter")
    (column,) = [c for c in card["columns"] if c["name"] == "로 온도"]
    assert (column["bad"], column["missing"], column["stats"]["n"]) == (10, 20, 270)
    assert column["quality"] == 0.9
    assert sum(s["bad"] for s in card["shifts"]) == 10
    assert sum(s["missing"] for s in card["shifts"]) == 20
    (pressure,) = [c for c in card["columns"] if c["name"] == "압력"]
    assert pressure["quality"] == 1.0


def test_what_files_do_not_tell_is_said_to_be_unknown_until_somebody_says_it(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        card = card_of(library, "meter")
        assert card["licence"] is None
        assert card["unknown"]["licence"]["reason_en"]
        assert (card["sampling_seconds"], card["rows"], card["time_column"]) == (60.0, 300, "시각")
        library.describe("meter", licence="사내용", equipment="3호 소성로")
        card = card_of(library, "meter")
        assert (card["licence"], card["equipment"]) == ("사내용", "3호 소성로")
        assert "licence" not in card["unknown"]


def test_sums_of_a_version_are_those_of_its_parts(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "m_1.csv", first=1000)])
        library.intake([write_meter(tmp_path / "m_2.csv", first=2000)])
        (column,) = [c for c in card_of(library, "m_1")["columns"] if c["name"] == "압력"]
        values = [(m * 31) % 97 for start in (1000, 2000) for m in range(start, start + 300)]
        assert column["stats"] == {"n": 600, "sum": sum(values), "min": min(values), "max": max(values)}


def test_lineage_names_the_originals_the_steps_and_what_was_made_of_a_version(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv")])
        library.put_object("study", "첫 연구", b"{}", inputs=["meter@1"])
        lineage = card_of(library, "meter")["lineage"]
        assert [i["source"] for i in lineage["inputs"]] == ["meter.csv"]
        assert (tmp_path / "ws" / "lake" / lineage["inputs"][0]["original"]).read_bytes() == (
            tmp_path / "meter.csv"
        ).read_bytes()
        assert lineage["made_of_it"][0]["name"] == "첫 연구"


def test_search_finds_by_meaning_in_both_languages_whatever_the_spacing(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "소성로 계량.csv")])
        library.intake(
            [write_meter(tmp_path / "boiler.csv", first=5000, columns=("time", "furnace temp [Cel]", "steam flow", "state"))]
        )

        def columns(text: str) -> list[tuple[str, object]]:
            return [(str(h["dataset"]), h["column"]) for h in library.search(text)]

        assert ("소성로 계량", "로 온도") in columns("로온도")[:2]
        found = columns("furnace temperature")
        assert {("소성로 계량", "로 온도"), ("boiler", "furnace temp")} <= set(found[:4])
        assert columns("소성로계량")[0] == ("소성로 계량", None)
        assert columns("없는말") == []
