"""A process that fills a spool until it is killed: it prints the number of each thing once it was told that it is durable.

Arguments: the folder, the number to begin with, the size of a file [bytes].
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from madang.connect import Message, Spool, SpoolLimits, Tag
from tests.connect.spooling import START_US, block


def told(number: int) -> None:
    os.write(1, b"%d\n" % number)


def main() -> None:
    folder, number, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    limits = SpoolLimits(floor=0, segment_bytes=size, keep_bytes=0, queue_bytes=1 << 20)
    spool = Spool.open(folder, clock=lambda: datetime.now(UTC), limits=limits)
    os.write(1, b"ready\n")
    while True:
        number += 1
        here = number
        if number % 3:
            raw = [Message(f"line/{number % 7}", b"%d" % number + b"-" * (number % 500), START_US + number)]
            spool.append_messages(raw, lambda here=here: told(here))  # type: ignore[misc]
        else:
            tag = spool.tags.number_of(Tag(f"T{number % 50}"))
            numbers = [float(number)] * (1 + number % 40)
            spool.append_block(block(numbers, tag=tag), lambda here=here: told(here))  # type: ignore[misc]
        if number % 1000 == 0:
            spool.save_cursor("number", str(number))
            spool.release(spool.durable // 4)


if __name__ == "__main__":
    main()
