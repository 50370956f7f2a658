"""``python -m madang``: the same as the ``madang`` command."""

from __future__ import annotations

from madang.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
