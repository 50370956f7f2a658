"""The generator of messy files says the truth, and its judge can tell right from wrong."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest

from madang.testing import SINGLES, MessyFile, messy_file, score_intake


def _reread(file: MessyFile) -> dict[str, list[float]]:
    """Read a clean wide text file the plain way, knowing its style: numbers by column."""
    style = file.truth.style
    text = file.data.decode(style.encoding)
    lines = list(csv.reader(io.StringIO(text), delimiter=style.separator))[len(style.preamble) :]
    head = lines[0]
    out: dict[str, list[float]] = {name: [] for name in head[1:]}
    for row in lines[1 + (style.units == "row") :]:
        for name, cell in zip(head[1:], row[1:], strict=True):
            if style.thousands:
                cell = cell.replace("." if style.decimal == "," else ",", "")
            try:
                number = float(cell.replace(",", "."))
            except ValueError:
                continue
            if math.isfinite(number):
                out[name].append(number)
    return out


CLEAN = [
    i for i, label in enumerate(SINGLES)
    if label in ("plain csv", "cp949", "utf-16", "latin-1", "semicolon", "pipe", "tab", "decimal comma and thousands", "thousands",
                 "preamble", "units row", "missing words", "24:00:00", "epoch ms", "twelve digits")
]  # fmt: skip


@pytest.mark.parametrize("place", CLEAN, ids=[SINGLES[i] for i in CLEAN])
def test_the_truth_agrees_with_a_plain_second_reading(place: int) -> None:
    for seed in (place, place + 1000, place + 2000):
        file = messy_file(seed)
        read = _reread(file)
        outcome = file.truth.outcomes[0]
        for column in outcome.columns:
            values = next(v for name, v in read.items() if name.split("(")[0] == column.name)
            assert len(values) == column.n
            assert sum(values) == pytest.approx(column.sum, rel=1e-9)


def test_the_same_seed_gives_the_same_bytes_and_other_seeds_other_files() -> None:
    names = []
    for seed in (*range(0, len(SINGLES), 7), *range(100, 112)):
        one, two = messy_file(seed), messy_file(seed)
        if not one.name.endswith("xlsx"):
            assert one.data == two.data
        assert one.truth == two.truth
        names.append(one.data)
    assert len(set(names)) == len(names)


def test_every_seed_has_a_right_reading_in_which_no_record_is_lost() -> None:
    for seed in range(100, 160):
        file = messy_file(seed)
        assert file.truth.outcomes
        for outcome in file.truth.outcomes:
            assert outcome.kept > 0
            assert min(outcome.quarantined, outcome.duplicate) >= 0
        total = {o.kept + o.quarantined + o.duplicate for o in file.truth.outcomes}
        # A totals row, blank lines and headers in between may be counted as records or not; nothing else may.
        disturbed = {"totals", "blank_lines", "repeated_header"} & set(file.truth.style.troubles)
        assert max(total) - min(total) <= (8 if disturbed else 0), file.label


def _document(file: MessyFile, **change: object) -> dict[str, Any]:
    """Return the document of a perfect intake, with something changed."""
    outcome = file.truth.outcomes[0]
    encodings = sorted(file.truth.encodings)
    table: dict[str, Any] = {
        "rows_kept": outcome.kept, "rows_quarantined": outcome.quarantined, "rows_duplicate": outcome.duplicate,
        "encoding": encodings[0] if encodings else None, "layout": file.truth.layout, "time_first": outcome.time_first,
        "time_last": outcome.time_last, "findings": [],
        "columns": [
            {"name": c.name, "role": "actual", "unit": None, "stats": {"n": c.n, "sum": c.sum}} for c in outcome.columns
        ],
    }  # fmt: skip
    table.update(change)
    return {"tables": [table]}


def test_a_perfect_reading_is_recovered() -> None:
    score = score_intake([_document(messy_file(0))], [messy_file(0)])
    assert (score.recovered, score.flagged, score.silent) == (1, 0, 0)
    assert score.share_recovered == 1.0


def test_a_lost_record_without_a_word_is_a_silent_change() -> None:
    file = messy_file(0)
    score = score_intake([_document(file, rows_kept=file.truth.outcomes[0].kept - 1)], [file])
    assert score.silent == 1


def test_a_wrong_sum_is_silent_and_with_a_warning_it_is_flagged() -> None:
    file = messy_file(0)
    wrong = json.loads(json.dumps(_document(file)))
    wrong["tables"][0]["columns"][0]["stats"]["sum"] *= 1.01
    assert score_intake([wrong], [file]).silent == 1
    wrong["tables"][0]["findings"] = [{"code": "type_change", "severity": "warning"}]
    assert score_intake([wrong], [file]).flagged == 1


def test_a_refusal_is_flagged_and_an_unjustified_warning_is_a_false_alarm() -> None:
    file = messy_file(0)
    assert score_intake([None], [file]).flagged == 1
    loud = _document(file, findings=[{"code": "clock_skew", "severity": "warning"}])
    assert score_intake([loud], [file]).false_alarms == 1
