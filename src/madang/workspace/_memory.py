"""Free memory goes back to the system: allocators keep what they once needed, in pieces, and a server runs for months."""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

_trim: Any = None
if sys.platform.startswith("linux"):
    _trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not


EVERY: Final = 15.0
"""Seconds between two givings back: often enough that it stays small, seldom enough that it costs nothing."""


def give_back() -> None:
    """Give pages that are free back to the system; what is in use stays where it is. Takes some milliseconds."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)
