"""A point's samples are found again, as they came, whatever files they stand in."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from madang.connect import Tag
from madang.errors import InputError, RefusedError
from madang.library._signals._last import LastValues
from madang.library._signals._points import points_of, save_cards
from madang.library._signals._scales import Scale
from madang.library._signals._times import instant
from madang.plant import BAD_SENSOR_FAILURE, UNCERTAIN, Kind, Role
from tests.library.signal_files import NOW, NOW_US, Run, SignalsOnDisk

TAGS = [Tag("kiln/zone1/temp", unit="℃"), Tag("kiln/zone2/temp", unit="℃"), Tag("kiln/state", data_type="text")]
TENTHS = Scale(divisor=10.0, unit="℃")
SECOND = 1_000_000


@pytest.fixture
def plant(tmp_path: Path) -> SignalsOnDisk:
    return SignalsOnDisk(tmp_path, TAGS)


def seconds(first: int, count: int) -> list[int]:
    return [NOW_US + (first + k) * SECOND for k in range(count)]


def test_a_range_is_read_from_all_levels_in_order_of_time(plant: SignalsOnDisk) -> None:
    plant.commit(Run(1, seconds(0, 3), [1.1, 1.2, 1.3], scale=TENTHS), Run(2, seconds(0, 3), [5.0, 5.1, 5.2], scale=TENTHS))
    plant.commit(Run(1, seconds(3, 3), [1.4, 1.5, 1.6], scale=TENTHS))
    plant.commit(Run(1, seconds(-5, 2), [0.5, 0.6], scale=TENTHS))
    with plant.library() as library:
        found = library.range("kiln", "kiln/zone1/temp", None, None, reader="owner", purpose="show")
        part = library.range("kiln", "kiln/zone1/temp", NOW, NOW + timedelta(seconds=4), reader="owner", purpose="show")
    assert found.value.tolist() == [0.5, 0.6, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]
    assert found.time.tolist() == [*seconds(-5, 2), *seconds(0, 6)]
    assert part.value.tolist() == [1.1, 1.2, 1.3, 1.4]


def test_samples_of_one_instant_keep_the_order_in_which_they_came(plant: SignalsOnDisk) -> None:
    for value in (3.0, 1.0, 2.0):
        plant.commit(Run(1, seconds(0, 1), [value], scale=TENTHS))
    with plant.library() as library:
        found = library.range("kiln", "kiln/zone1/temp", None, None, reader="owner", purpose="show")
    assert found.value.tolist() == [3.0, 1.0, 2.0]


def test_numbers_texts_and_absent_values_of_one_point_stand_together(plant: SignalsOnDisk) -> None:
    plant.commit(
        Run(3, seconds(0, 2), ["heating", "소성"]),
        Run(3, seconds(2, 1), [None], BAD_SENSOR_FAILURE),
    )
    plant.commit(Run(3, seconds(3, 2), [float("nan"), 0.1 + 0.2]))
    with plant.library() as library:
        found = library.range("kiln", "kiln/state", None, None, reader="owner", purpose="show")
    assert found.text is not None
    assert found.text.to_pylist() == ["heating", "소성", None, None, None]
    assert found.quality.tolist() == [0, 0, BAD_SENSOR_FAILURE, 0, 0]
    assert np.isnan(found.value[:4]).all()
    assert found.value[4] == 0.1 + 0.2


def test_times_of_1970_and_2106_are_kept_to_the_microsecond(plant: SignalsOnDisk) -> None:
    times = [-62_000_000_000_001, 0, 1, 4_294_967_296_000_005]
    plant.commit(Run(1, times, [1.0, 2.0, 3.0, 4.0], scale=TENTHS))
    with plant.library() as library:
        late = library.range("kiln", "kiln/zone1/temp", datetime(2106, 1, 1, tzinfo=UTC), None, reader="owner", purpose="show")
        every = library.range("kiln", "kiln/zone1/temp", None, None, reader="owner", purpose="show")
        card = library.points("kiln")[0]
    assert late.time.tolist() == [4_294_967_296_000_005]
    assert every.time.tolist() == times
    assert card.last == datetime(2106, 2, 7, 6, 28, 16, 5, tzinfo=UTC)


def test_a_unit_that_changed_within_a_point_is_converted_for_each_stretch(plant: SignalsOnDisk) -> None:
    with plant.state.begin() as db:
        point = points_of(db, plant.dataset.id)[0]
        save_cards(db, plant.dataset.id, {1: replace(point.card, unit="Cel", kind=Kind.TEMPERATURE)})
    plant.commit(Run(1, seconds(0, 1), [100.0], scale=TENTHS))
    plant.commit(Run(1, seconds(1, 1), [212.0], scale=Scale(divisor=10.0, unit="°F")))
    with plant.library() as library:
        found = library.range("kiln", "kiln/zone1/temp", None, None, reader="owner", purpose="show")
    assert found.value.tolist() == pytest.approx([100.0, 100.0])


def test_an_older_version_reads_as_it_was_after_commits_and_a_re_sort(plant: SignalsOnDisk) -> None:
    first = plant.commit(Run(1, seconds(0, 2), [1.0, 2.0], scale=TENTHS))
    second = plant.commit(Run(1, seconds(2, 1), [3.0], scale=TENTHS))
    plant.resort([*first, *second], Run(1, seconds(0, 3), [1.0, 2.0, 3.0], scale=TENTHS), level=1)
    plant.commit(Run(1, seconds(3, 1), [4.0], scale=TENTHS))
    with plant.library() as library:

        def values(name: str) -> list[float]:
            found: list[float] = library.range(
                name, "kiln/zone1/temp", None, None, reader="owner", purpose="show"
            ).value.tolist()
            return found

        assert values("kiln@1") == [1.0, 2.0]
        assert values("kiln@2") == values("kiln@3") == [1.0, 2.0, 3.0]
        assert values("kiln") == values("kiln@4") == [1.0, 2.0, 3.0, 4.0]
        with pytest.raises(InputError) as error:
            values("kiln@5")
    assert error.value.code == "no_such_version"


def test_a_commit_of_another_process_is_seen_by_an_open_library(plant: SignalsOnDisk) -> None:
    plant.commit(Run(1, seconds(0, 1), [1.0], scale=TENTHS))
    with plant.library() as library:
        view = library.view("kiln", ["kiln/zone1/temp"], reader="owner", purpose="show")
        assert len(view.range("kiln/zone1/temp", None, None)) == 1
        for more in range(1, 70):
            plant.commit(Run(1, seconds(more, 1), [1.0], scale=TENTHS))
        assert len(view.range("kiln/zone1/temp", None, None)) == 70
    with plant.library() as again:
        assert len(again.range("kiln", "kiln/zone1/temp", None, None, reader="owner", purpose="show")) == 70


def test_a_view_is_recorded_once_however_often_it_is_read(plant: SignalsOnDisk) -> None:
    plant.commit(Run(1, seconds(0, 1), [1.0], scale=TENTHS))
    with plant.library() as library:
        view = library.view("kiln", ["kiln/zone1/temp"], reader="owner", purpose="show")
        for _ in range(20):
            view.last()
            view.trend(NOW, NOW + timedelta(seconds=10), 5)
        assert len(library.decisions()) == 1
        with pytest.raises(RefusedError):
            library.last("kiln", reader="stranger", purpose="show")
        assert [d["allow"] for d in library.decisions()] == [True, False]


def test_a_last_value_keeps_its_own_time_and_age(plant: SignalsOnDisk) -> None:
    plant.commit(Run(1, seconds(-3600, 1), [1.5], UNCERTAIN, TENTHS))
    with plant.library() as library:
        from_lake = library.last("kiln", reader="owner", purpose="show")
        path = plant.lake.root / "last" / f"{plant.dataset.folder}.bin"
        with LastValues.open(path, writable=True) as table:
            table.put(np.array([1]), np.array(seconds(-3600, 1)), NOW_US, np.array([1.5]), np.array([UNCERTAIN]))
            kept = library.last("kiln", reader="owner", purpose="show")
    for found in (from_lake, kept):
        assert [(v.point, v.value, v.quality) for v in found] == [("kiln/zone1/temp", 1.5, UNCERTAIN)]
        assert found[0].time == NOW - timedelta(hours=1)
        assert (found[0].age, found[0].stale) == (3600.0, False)  # of one sample nobody knows how often it comes
    assert from_lake[0].received is None
    assert kept[0].received == instant(NOW_US)


def test_a_value_is_stale_by_its_own_pace_or_when_its_connection_is_silent(plant: SignalsOnDisk) -> None:
    plant.commit(
        Run(1, seconds(-100, 10), [1.0] * 10, scale=TENTHS),  # each second, until 91 s ago
        Run(2, [NOW_US - k * 300 * SECOND for k in (9, 3)], [2.0, 3.0], scale=TENTHS),  # each half hour, until 15 min ago
        Run(3, seconds(-9000, 2), ["heating", "소성"]),
    )

    def stale(*silent: str, after: float = 60.0) -> list[str]:
        with plant.library() as library:
            found = library.view("kiln", reader="owner", purpose="show").last(stale_after=after, silent=silent)
        return [v.point.rpartition("/")[0] or v.point for v in found if v.stale]

    assert stale() == ["kiln/zone1"]
    assert stale(after=100.0) == []
    assert stale("another") == ["kiln/zone1"]
    assert stale("plc") == ["kiln/zone1", "kiln/zone2", "kiln"]


def test_a_set_point_that_did_not_change_is_not_stale_while_its_connection_lives(plant: SignalsOnDisk) -> None:
    plant.commit(Run(1, seconds(-4000, 10), [720.0] * 10, scale=TENTHS))
    with plant.library() as library:
        assert [v.stale for v in library.last("kiln", reader="owner", purpose="show")] == [True]
    with plant.state.begin() as db:
        point = points_of(db, plant.dataset.id)[0]
        save_cards(db, plant.dataset.id, {1: replace(point.card, role=Role.SET_POINT)})
    with plant.library() as library:
        view = library.view("kiln", ["kiln/zone1/temp"], reader="owner", purpose="show")
        assert [v.stale for v in view.last()] == [False]
        assert [v.stale for v in view.last(silent={"plc"})] == [True]


def test_an_unknown_point_is_named_with_the_next_step(plant: SignalsOnDisk) -> None:
    with plant.library() as library, pytest.raises(InputError) as error:
        library.range("kiln", "kiln/zone9/temp", None, None, reader="owner", purpose="show")
    assert error.value.code == "no_such_point"
    assert "zone9" in error.value.en


def test_a_version_whose_files_are_gone_says_which_versions_can_be_read(plant: SignalsOnDisk) -> None:
    first = plant.commit(Run(1, seconds(0, 2), [1.0, 2.0], scale=TENTHS))
    plant.resort(first, Run(1, seconds(0, 2), [1.0, 2.0], scale=TENTHS), level=1)
    (plant.folder / first[0].path).unlink()
    with plant.library() as library:
        assert len(library.range("kiln", "kiln/zone1/temp", None, None, reader="owner", purpose="show")) == 2
        with pytest.raises(InputError) as error:
            library.range("kiln@1", "kiln/zone1/temp", None, None, reader="owner", purpose="show")
    assert error.value.code == "no_such_version"


def test_many_threads_read_while_another_process_commits(plant: SignalsOnDisk) -> None:
    plant.commit(Run(1, seconds(0, 1), [0.0], scale=TENTHS))
    stop = threading.Event()
    wrong: list[list[float]] = []

    def read() -> None:
        with plant.library() as library:
            view = library.view("kiln", ["kiln/zone1/temp"], reader="owner", purpose="show")
            seen = 0
            while not stop.wait(0.005):
                values = view.range("kiln/zone1/temp", None, None).value.tolist()
                if values != [float(k) for k in range(len(values))] or len(values) < seen:
                    wrong.append(values)
                seen = len(values)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    files = []
    for k in range(1, 13):
        files += plant.commit(Run(1, seconds(k, 1), [float(k)], scale=TENTHS))
        if k % 6 == 0:
            joined = Run(
                1, seconds(k - len(files) + 1, len(files)), [float(v) for v in range(k - len(files) + 1, k + 1)], scale=TENTHS
            )
            plant.resort(files, joined, level=1)
            files = []
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
