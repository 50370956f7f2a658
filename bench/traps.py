"""Measure the guardrails: how many planted traps are seen, and how many clean tables are blamed.

Usage: ./run bench traps [--seeds 100:110] [--details]
A trap is seen when all of its columns get a finding of severity warning or stop or are dropped, or when the rows get one of
the trap's codes. A clean table is blamed when any finding is of that severity or any column is dropped. Seeds below 50 were
used while the guardrails were written; those above were not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict

from madang.testing._traps_score import blamed, flagged, seen


def main(arguments: list[str]) -> int:
    """Print a table by kind of trap; 1 when a goal is missed (90 % of traps seen, at most 8 % of clean tables blamed)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="100:110")
    parser.add_argument("--details", action="store_true")
    given = parser.parse_args(arguments)
    first, last = (int(s) for s in given.seeds.split(":"))
    from madang.testing._traps import trap_cases

    hits: dict[str, list[bool]] = defaultdict(list)
    blames: dict[str, list[bool]] = defaultdict(list)
    started = time.monotonic()
    for seed in range(first, last):
        for trap, clean in trap_cases(seed):
            found = flagged(trap)
            hits[trap.kind].append(seen(trap, found))
            if given.details and not hits[trap.kind][-1]:
                print(
                    "MISSED",
                    seed,
                    trap.kind,
                    trap.world,
                    len(trap.frame),
                    trap.planted,
                    [(f.column, f.code, f.action) for f in found],
                )
            wrong = blamed(flagged(clean))
            blames[clean.world].append(bool(wrong))
            if given.details and wrong:
                print("BLAMED", seed, clean.world, len(clean.frame), [f.evidence.en for f in wrong])
    print(f"{'trap':24}{'seen':>10}{'of':>6}{'share':>8}")
    for kind, values in sorted(hits.items()):
        print(f"{kind:24}{sum(values):>10}{len(values):>6}{sum(values) / len(values):>8.1%}")
    everything = [v for values in hits.values() for v in values]
    print(f"{'all traps':24}{sum(everything):>10}{len(everything):>6}{sum(everything) / len(everything):>8.1%}")
    for world, values in sorted(blames.items()):
        print(f"{'clean ' + world:24}{sum(values):>10}{len(values):>6}{sum(values) / len(values):>8.1%}")
    clean_all = [v for values in blames.values() for v in values]
    print(f"{'all clean':24}{sum(clean_all):>10}{len(clean_all):>6}{sum(clean_all) / len(clean_all):>8.1%}")
    print(f"seeds {given.seeds}, {time.monotonic() - started:.0f} s")
    good = sum(everything) >= 0.9 * len(everything) and sum(clean_all) <= 0.08 * len(clean_all)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
