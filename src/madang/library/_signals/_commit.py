"""One commit of a live table: flushed files and the marks of the spools they came from, in one step or not at all.

The mark of a spool (Delta's ``txn`` action) is the last sequence that was taken from it. It is read and written under one lock on
one log, so a batch that was committed before a crash is known, and is not committed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from madang.errors import Json
from madang.library._commit import Faults
from madang.library._lake import Lake, sync_folder
from madang.library._lock import WriterLock
from madang.library._signals._log import DeltaLog


class NewFile(Protocol):
    """A flushed file in the table's folder."""

    @property
    def path(self) -> str:
        """Name of the file."""

    @property
    def size(self) -> int:
        """Size [byte]."""

    def stats(self) -> str:
        """Statistics of its ``add`` action."""


@dataclass(frozen=True)
class Mark:
    """Which frames of one spool a batch holds."""

    app: str
    after: int
    """Last sequence taken before."""
    upto: int
    """Last sequence of this batch, included."""


class AlreadyTaken(Exception):  # noqa: N818 - an answer of the log, handled where the batch was made
    """Another commit took frames of this batch; the batch has to be made again from the mark on."""

    def __init__(self, app: str, upto: int) -> None:
        super().__init__(f"{app} is taken up to {upto}")
        self.app = app
        self.upto = upto


class LiveTable:
    """One Delta table that live data is committed to.

    Args:
        lake: The table store.
        table: Folder of the table, such as ``d000001/signals``.
        schema: Its columns.
        faults: For tests of interrupted commits.
    """

    def __init__(self, lake: Lake, table: str, schema: pa.Schema, faults: Faults | None = None) -> None:
        self.folder = lake.folder(table)
        self._faults = faults or Faults()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = WriterLock(self.folder.parent / ".commit.lock", patience=60.0)
        self.log = DeltaLog(self.folder, schema)
        with self.lock.held():
            self.log.open()

    def taken(self, app: str) -> int:
        """Return the last sequence that this table took from a spool, 0 before the first."""
        self.log.refresh()
        return self.log.mark(app)

    def live(self) -> Mapping[str, dict[str, Json]]:
        """Return the ``add`` actions of the live files by their paths, as of now."""
        self.log.refresh()
        return self.log.live()

    def commit(self, files: Sequence[NewFile], marks: Sequence[Mark], now: datetime) -> bool:
        """Make files part of the table, together with the marks; durable when it returns. Files that it does not take are deleted.

        Returns:
            Whether anything was written; False when all of it was taken before.

        Raises:
            AlreadyTaken: A part of it was taken before; nothing was written.
        """
        named = False
        try:
            sync_folder(self.folder)
            self._faults.at("live:files")
            with self.lock.held():
                while True:
                    self.log.refresh()
                    if marks and all(self.log.mark(m.app) >= m.upto for m in marks):
                        self.discard(files)
                        return False
                    for mark in marks:
                        if self.log.mark(mark.app) != mark.after:
                            raise AlreadyTaken(mark.app, self.log.mark(mark.app))
                    time_ms = self.log.next_time(int(now.timestamp() * 1000))
                    actions: list[dict[str, Json]] = [
                        {"txn": {"appId": m.app, "version": m.upto, "lastUpdated": time_ms}} for m in marks
                    ]
                    actions += [add_action(f, time_ms) for f in files]
                    self._faults.at("live:locked")
                    named = True
                    if self.log.append(actions, operation="WRITE", time_ms=time_ms):
                        break
                    named = False
                self._faults.at("live:committed")
                self._checkpoint_when_due()
        except BaseException:
            # From the moment that the log may name them the files stay, whatever goes wrong after it.
            if not named:
                self.discard(files)
            raise
        return True

    def _checkpoint_when_due(self) -> None:
        if not self.log.checkpoint_due():
            return
        try:
            self.log.checkpoint()
        except OSError:  # a full disk: the commit stands, and the log is summed up another time
            return
        self._faults.at("live:checkpoint")

    def replace(self, old: Sequence[str], new: Sequence[NewFile], now: datetime) -> bool:
        """Put files in the place of others; False, and the new ones are deleted, when an old one is not live any more."""
        sync_folder(self.folder)
        with self.lock.held():
            while True:
                live = self.live()
                if any(path not in live for path in old):
                    self.discard(new)
                    return False
                time_ms = self.log.next_time(int(now.timestamp() * 1000))
                actions = [remove_action(p, int(str(live[p]["size"])), time_ms, data_change=True) for p in old]
                actions += [add_action(f, time_ms) for f in new]
                if self.log.append(actions, operation="REPLACE", time_ms=time_ms):
                    return True

    def discard(self, files: Sequence[NewFile]) -> None:
        """Delete files that were written for a commit that did not come about."""
        for file in files:
            (self.folder / file.path).unlink(missing_ok=True)


def add_action(file: NewFile, time_ms: int, *, data_change: bool = True) -> dict[str, Json]:
    """The Delta action that makes a file live."""
    return {
        "add": {
            "path": file.path,
            "partitionValues": {},
            "size": file.size,
            "modificationTime": time_ms,
            "dataChange": data_change,
            "stats": file.stats(),
        }
    }


def remove_action(path: str, size: int, time_ms: int, *, data_change: bool = False) -> dict[str, Json]:
    """The Delta action that withdraws a file; without a change of data its samples stand elsewhere now."""
    return {
        "remove": {
            "path": path,
            "deletionTimestamp": time_ms,
            "dataChange": data_change,
            "extendedFileMetadata": True,
            "partitionValues": {},
            "size": size,
        }
    }
