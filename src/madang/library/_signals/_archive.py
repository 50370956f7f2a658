"""Files that retention moved to the archive, and their way back."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from madang.errors import Json
from madang.library._commit import Faults
from madang.library._lake import Lake, sync_file, sync_folder
from madang.library._signals._commit import LiveTable, add_action
from madang.library._signals._layout import Footer, SignalFile
from madang.library._signals._resort import Input

_NAMES = uuid.UUID("6f0d3f5e-3c39-4c5e-9a3a-0d5f3a0a7c11")


@dataclass(frozen=True)
class Restored:
    """What came back from the archive."""

    files: int = 0
    samples: int = 0
    bytes: int = 0


def folder_of(lake: Lake, table: LiveTable) -> Path:
    """Return where the archived files of a table stand."""
    return lake.root / "archive" / table.folder.parent.name


def put_away(lake: Lake, table: LiveTable, old: Sequence[Input], faults: Faults) -> None:
    """Copy files into the archive; durable when it returns, and the table still has them. Their time is that of their arrival."""
    place = folder_of(lake, table)
    place.mkdir(parents=True, exist_ok=True)
    for one in old:
        draft = place / f".{one.path}.{os.getpid()}.tmp"
        shutil.copyfile(table.folder / one.path, draft)
        os.utime(draft, (one.arrived / 1000, one.arrived / 1000))
        sync_file(draft)
        faults.at("archive:copied")
        draft.replace(place / one.path)
    sync_folder(place)
    sync_folder(place.parent)
    faults.at("archive:durable")


def bring_back(
    lake: Lake, table: LiveTable, start: int | None, end: int | None, now: datetime, faults: Faults, *, dry_run: bool
) -> Restored:
    """Make archived files live again that may hold samples of ``start <= time < end``, and then remove them from the archive.

    A file comes back under a name that follows from its old one, and the commit carries a mark of it, so that whatever is interrupted can
    be done again: what came back already is only removed from the archive. A copy of what never left the table is left alone.

    Args:
        lake: The table store.
        table: The dataset's table.
        start: First instant [us since 1970]; None = from the first on.
        end: Instant after the last [us since 1970]; None = to the last.
        now: The time.
        faults: For tests of interruptions.
        dry_run: Only say what would come back.
    """
    place = folder_of(lake, table)
    made: list[tuple[SignalFile, int, Path]] = []
    done: list[Path] = []
    for path in sorted(place.glob("*.parquet")):
        metadata = pq.read_metadata(path)
        footer = Footer.of(metadata)
        first, last = int(footer.first.min()), int(footer.last.max())
        if (end is not None and first >= end) or (start is not None and last < start):
            continue
        name = f"l{footer.level}-{uuid.uuid5(_NAMES, path.name)}.parquet"
        if not table.taken(archived_mark(path.name)):  # a copy of what never left the table, or is about to
            continue
        if table.taken(_mark(name)):  # interrupted after it came back
            done.append(path)
            continue
        points = int(footer.points[0]), int(footer.points[-1])
        size = path.stat()
        file = SignalFile(name, size.st_size, metadata.num_rows, footer.kind, points, (first, last))
        made.append((file, int(size.st_mtime * 1000), path))
    found = Restored(len(made), sum(f.rows for f, _, _ in made), sum(f.size for f, _, _ in made))
    if dry_run:
        return found
    if made:
        _commit(table, made, now, faults)
        done += [path for _, _, path in made]
    for path in done:
        path.unlink(missing_ok=True)
    return found


def archived_mark(path: str) -> str:
    """The mark of the commit with which a file left the table: only then the archive's copy is all that there is of it."""
    return f"madang:archive:{path}"


def _mark(name: str) -> str:
    """The mark that says in the log that a file came back, also when a re-sort has taken it since."""
    return f"madang:restore:{name}"


def _commit(table: LiveTable, made: Sequence[tuple[SignalFile, int, Path]], now: datetime, faults: Faults) -> None:
    for file, _, path in made:
        draft = table.folder / f".{file.path}.{os.getpid()}.tmp"
        shutil.copyfile(path, draft)
        sync_file(draft)
        draft.replace(table.folder / file.path)
    sync_folder(table.folder)
    faults.at("restore:copied")
    with table.lock.held():
        while True:
            new = [(f, arrived) for f, arrived, _ in made if not table.taken(_mark(f.path))]
            if not new:
                return
            time_ms = table.log.next_time(int(now.timestamp() * 1000))
            actions: list[dict[str, Json]] = [
                {"txn": {"appId": _mark(f.path), "version": 1, "lastUpdated": time_ms}} for f, _ in new
            ]
            actions += [add_action(f, min(arrived, time_ms)) for f, arrived in new]
            if table.log.append(actions, operation="RESTORE", time_ms=time_ms):
                break
    faults.at("restore:committed")
