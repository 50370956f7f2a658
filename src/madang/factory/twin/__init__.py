"""The built-in line that stands for a plant: it runs from a seed, and writes the files a real plant would.

>>> run = simulate_kiln(7, lots=60)
>>> len(run.lots["lot"]), sorted({str(lane) for lane in run.lots["lane"]}) == sorted(["좌", "중", "우"])
(60, True)

`write_exports` writes the run as the exports of its control systems, lot system, laboratory and accounts; the truth goes to
another folder. `simulate_kiln(seed, causes="none")` gives the twin in which nothing special happened. `load_pack` reads what
is known about the line. `emit` writes one table with chosen troubles and says what stands in the file.

`LiveRun` runs the same kiln as a living plant, second by second, seen over OPC UA, MQTT, a lot system and a laboratory's folder, with
troubles on demand; `account_for` counts what a watcher kept of what the plant handed out.
"""

from __future__ import annotations

from madang.factory.twin._emit import ColumnTruth, Emitted, EmittedTruth, Outcome, Style, Trouble, emit
from madang.factory.twin._exports import ExportTruth, truth_document, write_exports
from madang.factory.twin._kiln import CAUSES, CauseCode, KilnRun, KilnTruth, PlantedCause, Tag, simulate_kiln
from madang.factory.twin._live_count import Account, Kept, account_for, kept_samples
from madang.factory.twin._live_points import LivePoint, live_points
from madang.factory.twin._live_run import LiveRun
from madang.factory.twin._live_settings import LiveSettings
from madang.factory.twin._live_trace import sent_path
from madang.factory.twin._live_troubles import TROUBLE_KINDS, LiveTrouble, read_troubles
from madang.factory.twin._pack import Pack, PackSource, Quality, QualityShare, load_pack, lower_bound, pack_names
from madang.factory.twin._plain import PlainColumn, PlainTable, plain_table

__all__ = [
    "CAUSES",
    "TROUBLE_KINDS",
    "Account",
    "CauseCode",
    "ColumnTruth",
    "Emitted",
    "EmittedTruth",
    "ExportTruth",
    "Kept",
    "KilnRun",
    "KilnTruth",
    "LivePoint",
    "LiveRun",
    "LiveSettings",
    "LiveTrouble",
    "Outcome",
    "Pack",
    "PackSource",
    "PlainColumn",
    "PlainTable",
    "PlantedCause",
    "Quality",
    "QualityShare",
    "Style",
    "Tag",
    "Trouble",
    "account_for",
    "emit",
    "kept_samples",
    "live_points",
    "load_pack",
    "lower_bound",
    "pack_names",
    "plain_table",
    "read_troubles",
    "sent_path",
    "simulate_kiln",
    "truth_document",
    "write_exports",
]
