"""The Delta log of a table that is written every second: appended to by us, durable and whole before it is seen.

The usual writer neither flushes a commit nor keeps a steady pace: it reads back every commit since it opened the table. Here a
commit is a file that is written beside the log, flushed, and then linked to its number, so a number is taken once, and no power loss
leaves half a commit. Making a table, checkpoints and everything that readers do stay with the Delta library.

Source:
    Delta transaction log protocol, github.com/delta-io/delta/blob/master/PROTOCOL.md: actions ``add``, ``remove``, ``txn``,
    ``commitInfo``; a version is a file put only if absent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from madang.errors import Json
from madang.library._lake import sync_file, sync_folder

CHECKPOINT_EVERY: Final = 64
"""Commits after which the log is summed up, so that opening a table reads few files."""
_WRITER: Final = 2
_BOUNDS: Final = ("point", "time", "_sequence")
"""Columns whose bounds are kept of each file."""
_SETTINGS: Final = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "1000000",
}
"""Checkpoints and their cleaning up are ours, since both have to be flushed."""


class DeltaLog:
    """The log of one table.

    Args:
        folder: The table's folder.
        schema: Columns of a table that does not exist yet.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder = folder
        self._path = folder / "_delta_log"
        self._schema = schema
        self._marks: dict[str, int] = {}
        self._live: dict[str, dict[str, Json]] = {}
        self.version = -1
        self._checkpoint = -1
        self._newest = 0

    def open(self) -> None:
        """Make the table when missing, put right what a power loss left, and read how it stands."""
        from deltalake import DeltaTable, Schema
        from deltalake.transaction import create_table_with_add_actions

        if not (self._path / f"{0:020d}.json").exists() and not any(self._path.glob("*.checkpoint.parquet")):
            self.folder.mkdir(parents=True, exist_ok=True)
            create_table_with_add_actions(
                str(self.folder), Schema.from_arrow(self._schema), [], mode="error", configuration=dict(_SETTINGS)
            )
            sync_file(self._path / f"{0:020d}.json")
            # Readers with no Delta library of their own begin at a checkpoint (see open.sql).
            self.checkpoint()
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
        mend(self._path)
        protocol = DeltaTable(str(self.folder)).protocol()
        if protocol.min_writer_version > _WRITER:
            raise ValueError(f"the table asks for writer version {protocol.min_writer_version}; {_WRITER} is known")
        self._load()

    def _load(self) -> None:
        """Read how the table stands now, whatever was known before."""
        from deltalake import DeltaTable

        opened = DeltaTable(str(self.folder))
        self.version = opened.version()
        self._checkpoint = _last_checkpoint(self._path)
        self._marks = {}
        actions = pa.table(opened.get_add_actions()).to_pylist()
        self._newest = max((row["modification_time"] for row in actions), default=0)
        self._live = {row["path"]: _action(row) for row in actions}

    def next_time(self, now_ms: int) -> int:
        """Return the time for the next commit's files [ms since 1970]: later than every file's before, so that it tells the order."""
        return max(now_ms, self._newest + 1)

    def refresh(self) -> None:
        """Take in the commits that others made."""
        while True:
            path = self._path / f"{self.version + 1:020d}.json"
            try:
                text = path.read_bytes()
            except FileNotFoundError:
                # Of a log that was thinned out meanwhile only a newer checkpoint tells the end.
                if _last_checkpoint(self._path) > self.version:
                    self._load()
                    continue
                return
            self._apply([json.loads(line) for line in text.splitlines() if line.strip()])
            self.version += 1

    def _apply(self, actions: Iterable[Mapping[str, Any]]) -> None:
        for action in actions:
            if "txn" in action:
                self._marks[action["txn"]["appId"]] = action["txn"]["version"]
            elif "add" in action:
                self._newest = max(self._newest, action["add"]["modificationTime"])
                self._live[action["add"]["path"]] = action["add"]
            elif "remove" in action:
                self._live.pop(action["remove"]["path"], None)

    def mark(self, app: str) -> int:
        """Return the last sequence that was taken from a spool, 0 before the first."""
        if app not in self._marks:
            from deltalake import DeltaTable

            found = DeltaTable(str(self.folder)).transaction_version(app)
            self._marks[app] = 0 if found is None else int(found)
        return self._marks[app]

    def live(self) -> Mapping[str, dict[str, Json]]:
        """Return the ``add`` actions of the live files by their paths, as of the last `refresh`."""
        return self._live

    def append(self, actions: Sequence[Mapping[str, Json]], *, operation: str, time_ms: int) -> bool:
        """Write one commit, flushed; False when the next number was taken by another writer (then `refresh` and look again).

        Args:
            actions: ``add``, ``remove`` and ``txn`` actions.
            operation: What it is, for people who read the log.
            time_ms: Time of the commit [ms since 1970].
        """
        head: dict[str, Json] = {
            "commitInfo": {
                "timestamp": time_ms,
                "operation": operation,
                "operationParameters": {},
                "engineInfo": "madang",
                "isBlindAppend": not any("remove" in a for a in actions),
            }
        }
        text = "".join(json.dumps(a, ensure_ascii=False, separators=(",", ":")) + "\n" for a in (head, *actions))
        number = self.version + 1
        if not _put_if_absent(self._path / f"{number:020d}.json", text.encode()):
            return False
        self._apply(actions)
        self.version = number
        return True

    @property
    def last_checkpoint(self) -> int:
        """Version of the newest checkpoint; 0 before the first."""
        return self._checkpoint

    def checkpoint_due(self) -> bool:
        """Whether enough commits came since the last checkpoint."""
        return self.version - self._checkpoint >= CHECKPOINT_EVERY

    def checkpoint(self) -> None:
        """Sum up the log in one flushed file."""
        from deltalake import DeltaTable

        table = DeltaTable(str(self.folder))
        table.create_checkpoint()
        number = table.version()
        for path in self._path.glob(f"{number:020d}.checkpoint*.parquet"):
            sync_file(path)
        sync_file(self._path / "_last_checkpoint")
        sync_folder(self._path)
        self._checkpoint = number


def _action(row: Mapping[str, Any]) -> dict[str, Json]:
    known = {"path": row["path"], "size": row["size_bytes"], "modificationTime": row["modification_time"]}
    return {**known, "stats": _stats(row)}


def _stats(row: Mapping[str, Any]) -> str:
    bounds = {name: {k: v for k, v in row[name].items() if k in _BOUNDS} for name in ("min", "max") if row[name] is not None}
    return json.dumps(
        {
            "numRecords": row["num_records"],
            "minValues": bounds.get("min", {}),
            "maxValues": bounds.get("max", {}),
        },
        default=lambda moment: moment.isoformat().replace("+00:00", "Z"),
    )


def _put_if_absent(path: Path, text: bytes) -> bool:
    draft = path.with_name(f".{path.stem}.{os.getpid()}.{id(text):x}.draft")
    try:
        with draft.open("wb") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links: taken once all the same, though a power loss may leave half of it
            try:
                with path.open("xb") as stream:
                    stream.write(text)
                    stream.flush()
                    os.fsync(stream.fileno())
            except FileExistsError:
                return False
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def _last_checkpoint(log: Path) -> int:
    try:
        return int(json.loads((log / "_last_checkpoint").read_bytes())["version"])
    except (OSError, ValueError, KeyError):
        return 0


def mend(log: Path) -> list[str]:
    """Remove what a power loss left half-written: a last checkpoint that cannot be read, a last commit that is no JSON.

    Neither was ever acknowledged: a commit counts when it is flushed, and a checkpoint only repeats the log.

    Returns:
        Names of what was removed.
    """
    removed = []
    for draft in log.glob(".*.draft"):
        draft.unlink(missing_ok=True)
    number = _last_checkpoint(log)
    broken = [p for p in log.glob(f"{number:020d}.checkpoint*.parquet") if not _readable(p)]
    pointer = log / "_last_checkpoint"
    if broken or (pointer.exists() and number == 0 and not any(log.glob(f"{0:020d}.checkpoint*.parquet"))):
        for path in (*broken, pointer):
            path.unlink(missing_ok=True)
            removed.append(path.name)
    commits = sorted(log.glob("[0-9]*.json"))
    if commits and not _whole(commits[-1]):
        commits[-1].unlink()
        removed.append(commits[-1].name)
    if removed:
        sync_folder(log)
    return removed


def _readable(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return True


def _whole(path: Path) -> bool:
    try:
        lines = path.read_bytes().splitlines()
        return bool(lines) and all(isinstance(json.loads(line), dict) for line in lines)
    except ValueError:
        return False
