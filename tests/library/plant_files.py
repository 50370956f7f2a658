"""Files as a plant writes them, small and known to the last digit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from madang.library import Library
from madang.library._commit import Faults
from tests.library.plain_files import PlainFiles

DAY = datetime(2026, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def write_meter(
    path: Path,
    *,
    first: int = 0,
    records: int = 300,
    columns: Sequence[str] = ("시각", "로 온도 [Cel]", "압력", "상태"),
    skip: Callable[[int], bool] = lambda minute: False,
    change: dict[tuple[int, int], str] | None = None,
) -> Path:
    """Write one reading a minute from `first` [min] on; `change` replaces cells by (minute, column)."""
    lines = [",".join(columns)]
    for minute in range(first, first + records):
        if skip(minute):
            continue
        cells = [
            (DAY + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S"),
            f"{700 + (minute * 7919) % 1000 / 100}",
            str((minute * 31) % 97),
            "가동" if minute % 3 else "정지",
        ]
        for at in range(len(cells)):
            cells[at] = (change or {}).get((minute, at), cells[at])
        lines.append(",".join(cells[: len(columns)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def open_library(root: Path, faults: Faults | None = None, now: datetime = NOON) -> Library:
    """Open a library that reads plain files and whose clock stands still."""
    return Library.open(root, clock=lambda: now, zone="Asia/Seoul", files=PlainFiles(), faults=faults)
