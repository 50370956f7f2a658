"""A process that spools and commits until it is killed: run by test_killed.py."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa

from madang.connect import BLOCK_SCHEMA, Block, Spool, Tag
from madang.library import Library
from madang.library._signals import _intake  # noqa: F401 (before the fork)


def clock() -> datetime:
    return datetime.now(UTC)


def tell(told: int, upto: int) -> None:
    os.write(told, f"{upto}\n".encode())


def main(folder: Path, until: int) -> None:
    """Append numbers from where the spool ended, note what is durable, and bring it into the lake; `until` 0 = only bring in."""
    told = os.open(folder / "durable.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with (
        Library.open(folder / "w", clock=clock, zone="UTC") as library,
        Spool.open(folder / "spool", clock=clock) as spool,
    ):
        intake = library.live(interval=timedelta(milliseconds=20))
        intake.attach("plant", spool, None)
        tag = spool.tags.number_of(Tag("n"))
        given = int(spool.cursor("next") or 0)
        while given < until:
            begin, given = given, given + 50
            batch = pa.record_batch(
                [
                    pa.array([tag] * 50, pa.int32()),
                    pa.array(range(begin, given), pa.timestamp("us", tz="UTC")),
                    pa.array([float(n) for n in range(begin, given)]),
                    pa.nulls(50, pa.string()),
                    pa.array([0] * 50, pa.uint32()),
                ],
                schema=BLOCK_SCHEMA,
            )
            spool.append_block(Block(batch, begin))
            spool.save_cursor("next", str(given), partial(tell, told, given))
            intake.step(clock())
        if until == 0:
            intake.step(clock(), force=True)
        intake.close()
    os.write(told, b"done\n")


def serve(folder: Path) -> None:
    """For each number on standard input run `main` in a fork, whose id and exit are told; what it imports is there already."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            main(folder, int(line))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitpid(child, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
