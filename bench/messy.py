"""How many messy files an intake recovers, how many it flags, and how many it changes without a word.

    python -m bench.messy [--first 0] [--files 355] [--json F] [--all]

The first seeds of every thousand show one trouble each, the rest combine a form with one to four troubles. Every file is taken
in by a library of its own, as a newcomer's first file is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from madang.errors import MadangError
from madang.library import Library
from madang.testing import MessyFile, Score, messy_file, score_intake

CLOCK = datetime(2025, 7, 1, tzinfo=UTC)


def intake_document(file: MessyFile, folder: Path) -> Mapping[str, Any] | None:
    """Return the intake document of one messy file; None when the intake refused it."""
    path = folder / file.name
    path.write_bytes(file.data)
    with Library.open(folder / "library", clock=lambda: CLOCK, zone="Asia/Seoul") as library:
        try:
            return library.intake([path]).document()
        except MadangError:
            return None


def run(seeds: range, show_all: bool = False) -> Score:
    """Take the files of all seeds in and return the score."""
    files, documents = [], []
    for seed in seeds:
        file = messy_file(seed)
        with TemporaryDirectory() as folder:
            try:
                document = intake_document(file, Path(folder))
            except Exception:
                print(f"seed {seed} [{file.label}] FAULT\n{traceback.format_exc(limit=-2)}")
                document = {"tables": []}
        files.append(file)
        documents.append(document)
        if show_all:
            judged = score_intake([document], [file]).judged[0]
            print(
                seed,
                judged.verdict,
                file.label,
                "|",
                judged.why,
                "| missed",
                judged.missed,
                "| false",
                judged.false_alarms,
                flush=True,
            )
    return score_intake(documents, files)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--files", type=int, default=355)
    parser.add_argument("--all", action="store_true", help="print every file")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    begun = time.perf_counter()
    score = run(range(args.first, args.first + args.files), args.all)
    seconds = time.perf_counter() - begun
    for judged in score.judged:
        if judged.verdict != "recovered" and not args.all:
            print(f"{judged.verdict:9s} seed {judged.seed} [{judged.label}] {judged.why}")
    print("missed findings:", dict(Counter(code for j in score.judged for code in j.missed)))
    print("false alarms:", dict(Counter(code for j in score.judged for code in j.false_alarms)))
    print(
        f"{score.files} files in {seconds:.0f} s: recovered {score.share_recovered:.1%} ({score.recovered}), "
        f"flagged {score.flagged}, silent changes {score.silent}"
    )
    if args.json:
        args.json.write_text(json.dumps({
            "files": score.files, "recovered": score.recovered, "flagged": score.flagged, "silent": score.silent,
            "missed_findings": score.missed_findings, "false_alarms": score.false_alarms, "seconds": seconds,
        }), encoding="utf-8")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
