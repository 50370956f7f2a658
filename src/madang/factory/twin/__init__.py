"""The built-in line that stands for a plant: it runs from a seed, and writes the files a real plant would.

>>> run = simulate_kiln(7, lots=60)
>>> len(run.lots["lot"]), sorted({str(lane) for lane in run.lots["lane"]}) == sorted(["좌", "중", "우"])
(60, True)

`write_exports` writes the run as the exports of its control systems, lot system, laboratory and accounts; the truth goes to
another folder. `simulate_kiln(seed, causes="none")` gives the twin in which nothing special happened.
"""

from __future__ import annotations

from madang.factory.twin._exports import ExportTruth, truth_document, write_exports
from madang.factory.twin._kiln import CAUSES, CauseCode, KilnRun, KilnTruth, PlantedCause, Tag, simulate_kiln

__all__ = [
    "CAUSES",
    "CauseCode",
    "ExportTruth",
    "KilnRun",
    "KilnTruth",
    "PlantedCause",
    "Tag",
    "simulate_kiln",
    "truth_document",
    "write_exports",
]
