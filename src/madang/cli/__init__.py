"""The ``madang`` command: it parses, calls one function of a room, and shows what came back.

`main` takes the arguments and returns the exit code; nothing heavy is loaded before a verb needs it.

>>> from madang.cli import main
>>> main(["no-such-verb", "--lang", "en"])
2
"""

from __future__ import annotations

from madang.cli._main import main

__all__ = ["main"]
