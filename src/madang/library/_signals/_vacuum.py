"""What no kept version needs goes, by an explicit call: files that a re-sort or a deletion replaced, and commits long summed up."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa

from madang.library._lake import sync_folder
from madang.library._signals._commit import LiveTable
from madang.library._signals._log import CHECKPOINT_EVERY
from madang.library._signals._sketch import sketch_path

KEEP: Final = timedelta(days=7)
"""How long every version can be read again, unless said otherwise."""
_STRAY: Final = timedelta(hours=24)
"""Age from which a file that no commit names belongs to a commit that died, not to one on its way."""
_EVERY_COMMIT: Final = timedelta(hours=1)
"""For so long every single commit can be read again; after that, of an hour with many commits, only the last ones."""


@dataclass(frozen=True)
class Vacuumed:
    """What was removed, or would be."""

    files: int
    bytes: int
    commits: int
    """Entries of the log that are summed up elsewhere."""
    oldest: int
    """Oldest version that can still be read."""


@dataclass(frozen=True)
class _Commit:
    version: int
    time: int
    """[ms since 1970]"""
    adds: tuple[str, ...]


def vacuum(table: LiveTable, now: datetime, *, keep: timedelta = KEEP, dry_run: bool = False) -> Vacuumed:
    """Remove the files that no version of the kept days needs, and thin out the log.

    Args:
        table: A live table.
        now: The time.
        keep: For how long versions can be read again.
        dry_run: Only say what would go.
    """
    with table.lock.held():
        table.log.refresh()
        at = int(now.timestamp() * 1000)
        if not dry_run and table.log.version > table.log.last_checkpoint:
            table.log.checkpoint()
        commits = _commits(table.folder)
        oldest = _oldest(commits, at - int(keep / timedelta(milliseconds=1)))
        plan = _thinned(table.folder, commits, oldest, at)
        kept = [c for c in commits if c.version not in plan.commits]
        needed = set(table.log.live()) | {path for c in kept if c.version > oldest for path in c.adds}
        for version in {oldest, *plan.kept}:
            needed |= _live_at(table.folder, version)
        named = {path for c in commits for path in c.adds}
        for version in plan.checkpoints:
            named |= _live_at(table.folder, version)
        stray = at - int(_STRAY / timedelta(milliseconds=1))
        files = [
            p
            for p in table.folder.glob("*.parquet")
            if p.name not in needed and (p.name in named or p.stat().st_mtime * 1000 < stray)
        ]
        found = Vacuumed(len(files), sum(p.stat().st_size for p in files), len(plan.commits), oldest)
        if dry_run:
            return found
        for path in files:
            path.unlink(missing_ok=True)
            sketch_path(path).unlink(missing_ok=True)
        sync_folder(table.folder)
        log = table.folder / "_delta_log"
        for number in plan.commits:
            (log / f"{number:020d}.json").unlink(missing_ok=True)
        for version in plan.checkpoints:
            for path in log.glob(f"{version:020d}.checkpoint*.parquet"):
                path.unlink()
        sync_folder(log)
    return found


def _commits(folder: Path) -> list[_Commit]:
    found = []
    for path in sorted((folder / "_delta_log").glob("[0-9]*.json")):
        time, adds = 0, []
        for line in path.read_bytes().splitlines():
            action = json.loads(line)
            if "commitInfo" in action:
                time = int(action["commitInfo"].get("timestamp", 0))
            elif "add" in action:
                adds.append(str(action["add"]["path"]))
        found.append(_Commit(int(path.stem), time, tuple(adds)))
    return found


def _oldest(commits: list[_Commit], cutoff: int) -> int:
    """The version that was current at the cutoff: the oldest that is promised."""
    before = [c.version for c in commits if c.time <= cutoff]
    return max(before, default=commits[0].version if commits else 0)


def _live_at(folder: Path, version: int) -> set[str]:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return set(pa.table(DeltaTable(str(folder), version=version).get_add_actions())["path"].to_pylist())
    except DeltaError:
        return set()


@dataclass(frozen=True)
class _Plan:
    """How the log is thinned out."""

    commits: frozenset[int] = frozenset()
    """Commits that go."""
    checkpoints: frozenset[int] = frozenset()
    """Checkpoints that go."""
    kept: frozenset[int] = frozenset()
    """Checkpoints that stay, each a version that can be read."""


def _thinned(folder: Path, commits: list[_Commit], oldest: int, now: int) -> _Plan:
    """Drop commits that checkpoints sum up: all before the oldest promised version, and most of those of old, busy hours."""
    checkpoints = {int(p.name.split(".")[0]) for p in (folder / "_delta_log").glob("*.checkpoint*.parquet")}
    base = max((v for v in checkpoints if v <= oldest), default=-1)
    gone = {c.version for c in commits if c.version < base}
    gone_checkpoints = {v for v in checkpoints if v < base}
    hours: dict[int, list[int]] = defaultdict(list)
    for commit in commits:
        if commit.version >= base and commit.time < now - int(_EVERY_COMMIT / timedelta(milliseconds=1)):
            hours[commit.time // 3_600_000].append(commit.version)
    for versions in hours.values():
        last = max((v for v in versions if v in checkpoints), default=None)
        if last is not None and len(versions) >= CHECKPOINT_EVERY:
            gone |= {v for v in versions if v < last and v != base}
            gone_checkpoints |= {v for v in versions if v < last and v != base and v in checkpoints}
    return _Plan(frozenset(gone), frozenset(gone_checkpoints), frozenset(checkpoints - gone_checkpoints))
