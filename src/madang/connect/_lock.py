"""One process at a time: a lock that the operating system takes away when its holder dies."""

from __future__ import annotations

import os
from pathlib import Path

from madang.errors import InputError


class FolderLock:
    """Held by the process that writes a folder.

    Args:
        path: The lock file; it stays, only the lock on it comes and goes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def take(self) -> None:
        """Take the lock at once.

        Raises:
            InputError: Another holder has it (``spool_busy``).
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(handle):
            os.close(handle)
            raise InputError(
                "spool_busy",
                ko="다른 프로그램이 이 연결의 임시 저장소를 쓰고 있어요.",
                en="Another program is using the spool of this connection.",
                next_ko="그 프로그램을 끝낸 뒤 다시 하세요. `madang connect status`로 볼 수 있어요.",
                next_en="End that program and try again; `madang connect status` shows it.",
                where={"folder": self.path.parent.name},
                retry=True,
            )
        self._handle = handle

    def give(self) -> None:
        """Let the lock go."""
        if self._handle is not None:
            _unlock(self._handle)
            os.close(self._handle)
            self._handle = None


if os.name == "nt":  # pragma: no cover (another system)
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True

    def _unlock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
