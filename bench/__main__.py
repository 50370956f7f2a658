"""``./run bench [NAME ...]``: run all benches, or those named; each is a module with ``main(arguments) -> int``."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    known = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.name.startswith("_"))
    named = [a for a in arguments if not a.startswith("-")][:1]
    if named and named[0] not in known:
        print(f"No bench {named[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    rest = arguments[1:] if named else arguments
    codes = []
    for name in named or known:
        print(f"== {name}", flush=True)
        codes.append(int(importlib.import_module(f"bench.{name}").main(rest)))
    return max(codes, default=0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
