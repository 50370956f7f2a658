"""Looks through a folder, and says which files have settled."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from madang.connect._source import ConnectionSettings
from madang.connect.folder._ledger import FileLedger, Stamp
from madang.errors import UsageError

UNFINISHED: Final = (
    "~$*",
    ".*",
    "*.tmp",
    "*.temp",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.filepart",
    "*.swp",
    "*~",
    "Thumbs.db",
    "desktop.ini",
)
"""Names that programs give to files that are not meant for others (yet): Excel's locks, downloads, copies under way."""


@dataclass(frozen=True)
class FolderOptions:
    """How a folder is watched; each is described in the `DESCRIPTION` of the package."""

    folder: Path
    every: float
    settle: timedelta
    marker: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    deep: bool


def read_options(settings: ConnectionSettings) -> FolderOptions:
    """Return the options of a connection.

    Raises:
        UsageError: One of them cannot be understood; the error names it.
    """
    given = settings.options
    path = settings.url.split("://", 1)[1] if "://" in settings.url else settings.url
    if not path:
        raise _bad(settings, "url", "PATH")
    deep = given.get("deep", "yes").lower()
    if deep not in ("yes", "no"):
        raise _bad(settings, "deep", "yes, no")
    return FolderOptions(
        folder=Path(path).expanduser(),
        every=_seconds(settings, "every", 5.0),
        settle=timedelta(seconds=_seconds(settings, "settle", 10.0)),
        marker=given.get("marker", ""),
        include=_patterns(given.get("include", "")) or ("*",),
        exclude=_patterns(given.get("exclude", "")),
        deep=deep == "yes",
    )


class Watch:
    """Remembers between looks since when each file has stood still."""

    def __init__(self, options: FolderOptions) -> None:
        self._options = options
        self._since: dict[str, tuple[Stamp, datetime]] = {}

    def settled(self, now: datetime, ledger: FileLedger) -> dict[str, Stamp]:
        """Return the files that are whole and not dealt with in this form, by path below the folder.

        Raises:
            OSError: The folder itself cannot be looked into.
        """
        seen = dict(self._files())
        whole: dict[str, Stamp] = {}
        for path, stamp in seen.items():
            known = ledger.entry(path)
            if known is not None and known.stamp == stamp:
                continue
            if self._is_whole(path, stamp, now, seen):
                whole[path] = stamp
        self._since = {path: since for path, since in self._since.items() if path in seen}
        return whole

    def waiting(self) -> int:
        """Return how many files are being watched until they stand still."""
        return len(self._since)

    def forget(self, path: str) -> None:
        """Begin anew with a file, such as when it changed while it was being read."""
        self._since.pop(path, None)

    def dealt_with(self, path: str) -> None:
        """Watch a file no longer; it was dealt with."""
        self._since.pop(path, None)

    def _is_whole(self, path: str, stamp: Stamp, now: datetime, seen: Mapping[str, Stamp]) -> bool:
        if self._options.marker:
            return path + self._options.marker in seen
        known = self._since.get(path)
        if known is None or known[0] != stamp or now < known[1]:
            self._since[path] = (stamp, now)
            return False
        # A file without content is one that somebody is about to fill.
        return stamp.size > 0 and now - known[1] >= self._options.settle

    def _files(self) -> Iterator[tuple[str, Stamp]]:
        marker = self._options.marker
        for path, stamp in _walk(self._options.folder, "", self._options.deep):
            name = path.rsplit("/", 1)[-1]
            if (marker and name.endswith(marker)) or self.wants(name):
                yield path, stamp

    def wants(self, name: str) -> bool:
        """Whether a file of this name is taken at all."""
        options = self._options
        if options.marker and name.endswith(options.marker):
            return False
        if any(fnmatch.fnmatch(name, pattern) for pattern in (*UNFINISHED, *options.exclude)):
            return False
        return any(fnmatch.fnmatch(name, pattern) for pattern in options.include)

    def candidates(self) -> dict[str, Stamp]:
        """Return all files that are taken when they are whole."""
        return {path: stamp for path, stamp in self._files() if self.wants(path.rsplit("/", 1)[-1])}


def _walk(root: Path, below: str, deep: bool) -> Iterator[tuple[str, Stamp]]:
    """Yield files with their stamps; what vanishes or is closed to us while we look is passed over, the root is not."""
    try:
        entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
    except OSError:
        if not below:
            raise
        return
    for entry in entries:
        path = f"{below}/{entry.name}" if below else entry.name
        try:
            # Links are not followed: one that leads upwards would never end.
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode):
            if deep and not entry.name.startswith("."):
                yield from _walk(root, path, deep)
        elif stat.S_ISREG(found.st_mode):
            yield path, Stamp(found.st_size, found.st_mtime_ns)


def content_of(file: Path, stamp: Stamp) -> str | None:
    """Return the SHA-256 of a file; None when it changed meanwhile, or is locked by the one who writes it."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
            found = os.fstat(stream.fileno())
    except OSError:
        return None
    return digest.hexdigest() if Stamp(found.st_size, found.st_mtime_ns) == stamp else None


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _seconds(settings: ConnectionSettings, name: str, usual: float) -> float:
    try:
        value = float(settings.options.get(name, usual))
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e7:
        raise _bad(settings, name, ">= 0")
    return value


def _bad(settings: ConnectionSettings, name: str, allowed: str) -> UsageError:
    return UsageError(
        "bad_option",
        ko=f"연결 '{settings.name}' 의 '{name}' 을 이해할 수 없어요. 쓸 수 있는 값: {allowed}",
        en=f"'{name}' of the connection '{settings.name}' cannot be understood. Allowed: {allowed}",
        next_ko=f"--set {name}=... 로 다시 적어 주세요.",
        next_en=f"Write it again with --set {name}=...",
        where={"connection": settings.name, "option": name},
    )
