"""What every read says of samples of all kinds is what a plain list of them says: live, of an old version, re-sorted, opened again."""

from __future__ import annotations

import math
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from madang.library import Buckets, Library
from madang.library._cards import VersionId
from madang.library._kernels import Feature
from madang.library._signals._intake import LiveIntake
from tests.library.live.plant import T0, Clock, MemorySpool, Sample, Value, bits, opened

SECOND = 1_000_000
QUALITIES = (0, 0, 0, 0, 0, 0x400, 0x40900000, 0x80310000, 0x808C0000)
CELSIUS_OF = {None: (1.0, 0.0), "℃": (1.0, 0.0), "degF": (5 / 9, -160 / 9)}
FEATURES: tuple[Feature, ...] = ("n", "mean", "min", "max", "first", "last")


@dataclass(frozen=True)
class Sent:
    connection: str
    tag: str
    time: int
    value: Value
    quality: int
    unit: str | None = None

    @property
    def number(self) -> float | None:
        """What statistics may use, in degrees Celsius where it has a unit."""
        if not isinstance(self.value, float) or math.isnan(self.value) or self.quality >= 0x8000_0000:
            return None
        a, b = CELSIUS_OF[self.unit]
        return self.value * a + b


class Plant:
    """Two connections in one dataset: late, out of order and double times, backfill, units that change, numbers of all kinds."""

    def __init__(self, seed: int) -> None:
        rnd = self.rnd = random.Random(seed)
        self.makes: dict[str, dict[str, Callable[[], Value]]] = {
            "line": {
                "temp": lambda: round(rnd.gauss(20, 3), 1),
                "single": lambda: math.ldexp(rnd.randrange(-(2**23), 2**23), -20),
                "raw": lambda: rnd.gauss(0, 1),
                "same": lambda: rnd.randrange(4096) * 250.0 / 4095,
                "strange": lambda: rnd.choice([float("nan"), -0.0, 0.0, 1e12, 5.5]),
            },
            "lab": {
                "same": lambda: float(rnd.randrange(-(2**40), 2**40)),
                "switch": lambda: float(rnd.randrange(2)),
                "state": lambda: rnd.choice(["run", "soak", "정지", ""]),
            },
        }
        self.spools = {name: MemorySpool(name) for name in self.makes}
        self.sent: list[Sent] = []
        self.newest = T0

    def attach(self, intake: LiveIntake) -> None:
        for name, spool in self.spools.items():
            intake.attach(name, spool, None, dataset="plant")

    def send(self, turn: int) -> None:
        """Put samples of a hundred seconds into both spools."""
        at = T0 + turn * 100 * SECOND
        unit = "degF" if turn in (3, 4) else "℃"
        for name, spool in self.spools.items():
            for _ in range(self.rnd.randint(1, 3)):
                made = [self._made(name, at, unit) for _ in range(self.rnd.randint(1, 40))]
                self.sent += made
                spool.put(_plain(made), units={"temp": unit})

    def _made(self, name: str, at: int, unit: str) -> Sent:
        tag = self.rnd.choice(list(self.makes[name]))
        time = at + self.rnd.randrange(90) * SECOND + self.rnd.choice([0, 0, 0, self.rnd.randrange(SECOND)])
        if tag == "temp":  # a unit holds from a time on
            time = self.newest = max(time, self.newest + 1)
        elif tag in ("strange", "single"):  # kept as counts and as numbers: their order at one time is not promised
            time = at + self.rnd.choice([-500, 0]) * SECOND + len(self.sent) * 1000 + self.rnd.randrange(1000)
        elif self.rnd.random() < 0.3:
            late = self.rnd.choice([s.time for s in self.sent if s.tag == tag] or [time])
            time = self.rnd.choice([late, time - self.rnd.randrange(900) * SECOND])
        return Sent(name, tag, time, self.makes[name][tag](), self.rnd.choice(QUALITIES), unit if tag == "temp" else None)

    def fill(self) -> None:
        """Backfill some samples that are there and some that are not."""
        old = [s for s in self.sent if s.connection == "line" and s.tag == "raw"]
        again = [s for n, s in enumerate(old) if s not in old[:n]][:5]
        new = [Sent("line", "raw", T0 - self.rnd.randrange(10**9), self.makes["line"]["raw"](), 0) for _ in range(5)]
        self.sent += new
        self.spools["line"].put(_plain([*again, *new]), origin="backfill")


def _plain(many: Sequence[Sent]) -> list[Sample]:
    return [(s.tag, s.time, s.value, s.quality) for s in many]


def _instant(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _near(a: float | None, b: float | None) -> bool:
    if a is None or b is None or math.isnan(a) or math.isnan(b):
        return (a is None or math.isnan(a)) and (b is None or math.isnan(b))
    return a == b or abs(a - b) <= 1e-9 * max(1.0, abs(b))


def _agree(library: Library, dataset: str, sent: Sequence[Sent]) -> None:
    """Compare every read of a version with the list of what it must hold."""
    low, high = min(s.time for s in sent), max(s.time for s in sent) + 1
    view = library.view(dataset, reader="owner", purpose="test")
    last = {v.point: v for v in view.last()}
    trends = [view.trend(_instant(low), _instant(high), n) for n in (1, 7, 60, 3000)]
    windows = [(low + k * 97 * SECOND, low + (k * 97 + length) * SECOND) for k in range(8) for length in (1, 60, 700)]
    features = view.features([(_instant(a), _instant(b)) for a, b in windows], FEATURES).to_pylist()
    for card in library.points(dataset):
        mine = sorted((s for s in sent if (s.connection, s.tag) == (card.connection, card.tag)), key=lambda s: s.time)
        if not mine:
            continue
        for span in ((low, high), (T0 + 130 * SECOND, T0 + 350 * SECOND)):
            held = view.range(card.point, *map(_instant, span))
            wanted = [s for s in mine if span[0] <= s.time < span[1]]
            assert held.time.tolist() == [s.time for s in wanted]
            assert held.quality.tolist() == [s.quality for s in wanted]
            if held.text is not None:
                assert held.text.to_pylist() == [s.value for s in wanted]
            assert all(_near(a, s.number) for a, s in zip(held.usable().tolist(), wanted, strict=True))
        newest = mine[-1]
        assert (last[card.point].time, last[card.point].quality) == (_instant(newest.time), newest.quality)
        if newest.number is not None:
            assert _near(last[card.point].value, newest.number)
        for trend in trends:
            _trend_agrees(trend[card.point], mine, low)
        _features_agree([r for r in features if r["point"] == card.point], windows, mine)
    _wide_agrees(library, dataset, sent)


def _trend_agrees(trend: Buckets, mine: Sequence[Sent], low: int) -> None:
    cells = defaultdict(list)
    for sample in mine:
        cells[low + (sample.time - low) // trend.width * trend.width].append(sample)
    assert [int(t) for t in trend.start] == sorted(cells)
    for at, start in enumerate(sorted(cells)):
        cell = cells[start]
        values = [v for s in cell if (v := s.number) is not None]
        ends = (min(values), max(values), values[0], values[-1]) if values else (None,) * 4
        found = (trend.minimum[at], trend.maximum[at], trend.first[at], trend.last[at])
        assert all(_near(float(a), b) for a, b in zip(found, ends, strict=True))
        assert (int(trend.count[at]), int(trend.worst[at])) == (len(cell), max(s.quality for s in cell))
        assert (int(trend.first_time[at]), int(trend.last_time[at])) == (cell[0].time, cell[-1].time)


def _features_agree(rows: Sequence[dict[str, Any]], windows: Sequence[tuple[int, int]], mine: Sequence[Sent]) -> None:
    found = {r["window"]: r for r in rows}
    for number, (begin, end) in enumerate(windows):
        values = [v for s in mine if begin <= s.time < end and (v := s.number) is not None]
        if not values:
            assert number not in found
            continue
        wanted = (len(values), math.fsum(values) / len(values), min(values), max(values), values[0], values[-1])
        assert all(_near(found[number][f], w) for f, w in zip(FEATURES, wanted, strict=True))


def _wide_agrees(library: Library, dataset: str, sent: Sequence[Sent]) -> None:
    wide = library.read(dataset, reader="owner", purpose="test", every=timedelta(seconds=30), how="mean").table.to_pylist()
    assert sum(r["samples"] for r in wide) == len(sent)
    cells = defaultdict(list)
    for sample in sent:
        if sample.number is not None:
            cells[sample.connection, sample.tag, sample.time // (30 * SECOND)].append(sample.number)
    for card in library.points(dataset):
        for row in wide if card.data_type != "text" else ():
            values = cells[card.connection, card.tag, round(row["time"].timestamp()) // 30 - 1]
            assert _near(row[card.point], math.fsum(values) / len(values) if values else None)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_read_says_what_a_plain_list_of_the_samples_says(tmp_path: Path, seed: int) -> None:
    root, clock, plant = tmp_path / "w", Clock(), Plant(seed)
    with opened(root, clock) as library:
        intake = library.live(threads=1)
        plant.attach(intake)
        old, known = VersionId("plant", 0), list[Sent]()
        for turn in range(6):
            plant.send(turn)
            intake.step(clock.go(timedelta(seconds=100)), force=True)
            if turn == 2:
                plant.fill()
                intake.step(clock.go(), force=True)
                library.resort(everything=True)
            if turn == 4:  # while the unit is another one
                old, known = library._signals.table("plant").version(), list(plant.sent)
        _agree(library, "plant", plant.sent)
        _agree(library, str(old), known)
        library.resort(everything=True)
        _agree(library, "plant", plant.sent)
        intake.close()
    shutil.rmtree(root / "lake" / "last")
    with opened(root, clock) as library:
        _agree(library, "plant", plant.sent)


def test_numbers_of_one_time_stay_in_order_though_no_scale_holds_some_of_them(tmp_path: Path) -> None:
    with opened(tmp_path / "w") as library:
        intake, spool = library.live(threads=1), MemorySpool()
        intake.attach("plant", spool, None)
        spool.put([("a", T0 + n, n / 10, 0) for n in range(100)])
        intake.step(Clock().go(), force=True)
        values = [1.5, math.pi, 2.5, math.e, 0.5]
        spool.put([("a", T0 + 1000, v, 0) for v in values] + [("a", T0 + 1001, math.pi, 0), ("a", T0 + 1001, None, 0x80310000)])
        intake.step(Clock().go(), force=True)
        held = library.range("plant", "a", _instant(T0 + 1000), None, reader="owner", purpose="test")
        assert [bits(v) for v in held.value.tolist()[:5]] == [bits(v) for v in values]
        assert held.quality.tolist()[5:] == [0, 0x80310000]
        intake.close()


def test_a_value_in_a_unit_of_another_quantity_is_no_value_in_the_unit_of_the_card(tmp_path: Path) -> None:
    with opened(tmp_path / "w") as library:
        intake, spool, clock = library.live(threads=1), MemorySpool(), Clock()
        intake.attach("plant", spool, None)
        spool.put([("temp", T0 + n * SECOND, 20.0 + n, 0) for n in range(3)], units={"temp": "℃"})
        intake.step(clock.go(), force=True)
        assert [p.unit for p in library.points("plant")] == ["Cel"]
        spool.put([("temp", T0 + 10 * SECOND, 800.0, 0)], units={"temp": "kg"})
        intake.step(clock.go(), force=True)
        held = library.range("plant", "temp", None, None, reader="owner", purpose="test")
        assert held.table()["value"].to_pylist() == [None, None, None, 800.0]  # the card follows what the source says now
        window = [(_instant(T0), _instant(T0 + 60 * SECOND))]
        counted = library.features("plant", window, ["temp"], ("n", "max"), reader="owner", purpose="test").to_pylist()
        assert [(r["n"], r["max"]) for r in counted] == [(1, 800.0)]
        stored = library.read("plant", reader="owner", purpose="test", form="stored", units="source").table
        assert stored["value"].to_pylist() == [20.0, 21.0, 22.0, 800.0]
        intake.close()
