"""One writer at a time: a file lock that the operating system releases when its holder dies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from madang.connect import FileLock
from madang.errors import InputError

if TYPE_CHECKING:
    from madang.library._state_base import Beyond


class WriterLock:
    """Held by the process that changes a workspace; readers need none.

    Args:
        path: The lock file; it stays, only the lock on it comes and goes.
        patience: How long to wait for another writer [s].
        beyond: Keeps writers on other machines out, taken after the file's lock; None where the file does it alone.
    """

    def __init__(self, path: Path, patience: float = 300.0, beyond: Beyond | None = None) -> None:
        self.path = path
        self.patience = patience
        self._beyond = beyond
        self._depth = 0
        self._threads = threading.RLock()

    @contextmanager
    def held(self, *, wait: bool = True) -> Iterator[bool]:
        """Hold the lock; yield False at once when `wait` is False and another process holds it."""
        with self._threads, self._held(wait) as taken:
            yield taken

    @contextmanager
    def _held(self, wait: bool) -> Iterator[bool]:
        if self._depth:
            self._depth += 1
            try:
                yield True
            finally:
                self._depth -= 1
            return
        lock = FileLock(self.path)
        taken = lock.take(self.patience if wait else 0.0)
        try:
            if not taken and wait:
                raise InputError(
                    "workspace_busy",
                    ko="다른 프로그램이 이 작업 공간을 바꾸는 중이에요.",
                    en="Another program is changing this workspace.",
                    next_ko="그 작업이 끝난 뒤 다시 하세요.",
                    next_en="Try again when it has finished.",
                    where={"file": str(self.path), "waited_seconds": self.patience},
                    retry=True,
                )
            if not taken:
                yield False
                return
            with self._held_beyond(wait) as alone:
                self._depth = int(alone)
                try:
                    yield alone
                finally:
                    self._depth = 0
        finally:
            lock.release()

    @contextmanager
    def _held_beyond(self, wait: bool) -> Iterator[bool]:
        if self._beyond is None:
            yield True
            return
        taken = self._beyond.take(self.patience if wait else 0.0)
        if not taken and wait:
            raise self._beyond.busy(self.patience)
        try:
            yield taken
        finally:
            if taken:
                self._beyond.release()
