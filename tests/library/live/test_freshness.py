"""Each step says how fresh a connection is and how far the clocks are apart."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from madang.connect import Rows
from tests.library.live.plant import BEGIN, T0, Clock, MemorySpool, opened

SECOND = 1_000_000
BAD = 0x80000000
UNCERTAIN = 0x40000000


def test_the_newest_good_sample_is_one_that_is_good_has_a_value_and_was_not_dated_ahead(tmp_path: Path) -> None:
    spool, other, clock = MemorySpool(), MemorySpool("s2"), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("kiln", spool, None)
        intake.attach("still", other, None)
        assert intake.step(clock.go()).connections["kiln"].newest_good is None
        spool.put(
            [("a", T0 + n * SECOND, value, quality) for n, value, quality in
             ((3, 1.0, 0), (4, "run", 0x00960000), (5, None, 0), (6, 1.0, UNCERTAIN), (7, 1.0, BAD))],
            received=T0 + 9 * SECOND,
        )  # fmt: skip
        report = intake.step(clock.go()).connections
        assert report["kiln"].newest_good == BEGIN + timedelta(seconds=4)
        assert report["still"].newest_good is None
        spool.put([("a", T0 + 5 * SECOND, 1.0, BAD), ("a", T0 + 8 * SECOND, None, 0)], received=T0 + 20 * SECOND)
        assert intake.step(clock.go()).connections["kiln"].newest_good == BEGIN + timedelta(seconds=4)
        spool.put([("a", T0 + 3600 * SECOND, 1.0, 0)], received=T0 + 21 * SECOND)
        assert intake.step(clock.go()).connections["kiln"].newest_good == BEGIN + timedelta(seconds=21)
        spool.put([("a", T0, 1.0, 0)], received=T0 + 22 * SECOND, origin="backfill")
        assert intake.step(clock.go()).connections["kiln"].newest_good == BEGIN + timedelta(seconds=21)
        intake.close()


def test_records_are_as_fresh_as_their_reception(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("mes", spool, None)
        spool.append(Rows("lots", ("lot",), pa.record_batch({"lot": ["L1"]}), T0 + 5 * SECOND))
        report = intake.step(clock.go(), force=True).connections["mes"]
        assert (report.newest_good, report.skew_seconds) == (BEGIN + timedelta(seconds=5), None)
        intake.close()


def test_the_skew_is_the_median_over_live_samples_and_each_step_has_its_own(tmp_path: Path) -> None:
    spool, clock = MemorySpool(), Clock()
    with opened(tmp_path / "w", clock) as library:
        intake = library.live(threads=1)
        intake.attach("kiln", spool, None)
        spool.put([("a", T0, 1.0, 0)], received=T0 + 3600 * SECOND, origin="backfill")
        assert intake.step(clock.go()).connections["kiln"].skew_seconds is None
        spool.put([("a", T0 + n * SECOND, 1.0, 0) for n in range(1000)], received=T0 + 1000 * SECOND)
        spool.put([("b", T0, 1.0, 0)] * 10, received=T0 - 7 * SECOND)
        skew = intake.step(clock.go()).connections["kiln"].skew_seconds
        assert skew is not None
        assert abs(skew - 500) <= 1.5
        spool.put([("b", T0, 1.0, 0)] * 10, received=T0 - 7 * SECOND)
        assert intake.step(clock.go()).connections["kiln"].skew_seconds == -7
        assert intake.step(clock.go()).connections["kiln"].skew_seconds is None
        intake.close()
