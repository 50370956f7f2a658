"""Conditions over points become intervals, and intervals become events that are kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.connect import Tag
from madang.errors import InputError, RefusedError
from madang.library._signals._conditions import All, AnyOf, Compare, Intervals, Lasting, condition_of
from madang.library._signals._scales import Scale
from madang.plant import BAD_SENSOR_FAILURE
from tests.library.signal_files import NOW, NOW_US, Run, SignalsOnDisk

SECOND = 1_000_000


def at(*seconds: float) -> list[int]:
    return [NOW_US + round(s * SECOND) for s in seconds]


@pytest.fixture
def plant(tmp_path: Path) -> SignalsOnDisk:
    made = SignalsOnDisk(tmp_path, [Tag("temp", unit="℃"), Tag("state", data_type="text")])
    made.commit(
        Run(1, at(0, 10, 20, 30, 40, 50), [700.0, 730.0, 740.0, 710.0, 750.0, 700.0], 0, Scale(divisor=10.0)),
        Run(2, at(0, 15), ["heat", "soak"]),
    )
    made.commit(Run(1, at(60, 70), [800.0, 800.0], [BAD_SENSOR_FAILURE, 0], Scale(divisor=10.0)), Run(2, at(100), ["cool"]))
    return made


def spans(held: object) -> list[tuple[float, float]]:
    rows = held.to_pylist()  # type: ignore[attr-defined]
    return [((r["start"] - NOW).total_seconds(), (r["end"] - NOW).total_seconds()) for r in rows]


def test_a_limit_is_passed_from_the_reading_that_passes_it_until_the_next_that_does_not(plant: SignalsOnDisk) -> None:
    with plant.library() as library:

        def events(condition: Compare | All | AnyOf | Lasting) -> list[tuple[float, float]]:
            return spans(library.events("kiln", condition, reader="owner", purpose="show"))

        hot, soak = Compare("temp", ">", 720.0), Compare("state", "=", "soak")
        assert events(hot) == [(10, 30), (40, 50)]
        assert events(hot & soak) == [(15, 30), (40, 50)]
        assert events(Lasting(hot, 15)) == [(10, 30)]
        assert events(Lasting(hot & soak, 15)) == [(15, 30)]
        assert events(Compare("temp", "<", 705.0) | hot) == [(0, 30), (40, 60)]
        found = library.events("kiln", hot, NOW, NOW + timedelta(seconds=21), reader="owner", purpose="show")
        assert spans(found) == [(10, 20)]


def test_a_kept_condition_stores_its_events_and_finds_later_ones(plant: SignalsOnDisk) -> None:
    with plant.library() as library:
        kept = library.keep_condition("kiln", name="과열", point="temp", op=">", value=720.0, lasting=timedelta(seconds=5))
        assert (kept.events, kept.events_dataset, kept.evaluated) == (2, "kiln_events", "kiln@2")
        library.keep_condition("kiln", name="cold", condition=Compare("temp", "<", 705.0))
        rows = library.read("kiln_events", reader="owner", purpose="show").table
        assert rows["condition"].to_pylist() == ["cold", "과열", "과열", "cold"]
        assert rows["seconds"].to_pylist() == [10, 20, 10, 10]
        plant.commit(Run(1, at(80, 90), [900.0, 700.0], 0, Scale(divisor=10.0)))
        refreshed = library.refresh_events("kiln")
        assert [(c.name, c.events) for c in refreshed] == [("cold", 2), ("과열", 3)]
        document = library.conditions("kiln")[1].document()
        assert document["text_en"] == "temp > 720, for 5 s or longer"
        assert document["last"] == "2026-05-04T03:01:10Z"


def test_nothing_is_kept_when_the_reader_may_not_read_or_the_point_is_unknown(plant: SignalsOnDisk) -> None:
    with plant.library() as library:
        with pytest.raises(RefusedError):
            library.keep_condition("kiln", name="x", point="temp", op=">", value=1.0, reader="stranger")
        with pytest.raises(InputError):
            library.keep_condition("kiln", name="x", point="tmp", op=">", value=1.0)
        assert library.conditions("kiln") == []


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        "temp > 3",
        {"point": "t", "op": "=>", "value": 1},
        {"point": "t", "op": ">", "value": "a"},
        {"point": "t", "op": ">", "value": True},
        {"point": "t", "op": ">", "value": float("nan")},
        {"all": []},
        {"any": [{"all": 1}]},
        {"lasting_seconds": -1, "of": {"point": "t", "op": ">", "value": 1}},
    ],
)
def test_what_is_no_condition_is_refused(document: object) -> None:
    with pytest.raises(InputError) as error:
        condition_of(document)  # type: ignore[arg-type]
    assert error.value.code == "bad_condition"


def test_a_condition_nested_without_end_is_refused() -> None:
    document: dict[str, object] = {"point": "t", "op": ">", "value": 1}
    for _ in range(1000):
        document = {"all": [document]}
    with pytest.raises(InputError):
        condition_of(document)  # type: ignore[arg-type]


edges = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


@given(edges, edges)
def test_intervals_combine_as_their_instants_do(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    def made(pairs: list[tuple[int, int]]) -> tuple[Intervals, set[int]]:
        array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return Intervals.of(array[:, 0], array[:, 1]), {t for a, b in pairs for t in range(a, b)}

    def instants(of: Intervals) -> set[int]:
        assert (of.start[1:] > of.end[:-1]).all()
        return {t for a, b in zip(of.start.tolist(), of.end.tolist(), strict=True) for t in range(a, b)}

    (a, in_a), (b, in_b) = made(first), made(second)
    assert instants(a) == in_a
    assert instants(a | b) == in_a | in_b
    assert instants(a & b) == in_a & in_b
