"""The intake recovers messy files, flags the rest, and changes none without a word."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from madang.errors import MadangError
from madang.library import Library
from madang.testing import SINGLES, MessyFile, Score, messy_file, score_intake

CLOCK = datetime(2025, 7, 1, tzinfo=UTC)


def _document(file: MessyFile, folder: Path) -> Mapping[str, Any] | None:
    folder.mkdir()
    path = folder / file.name
    path.write_bytes(file.data)
    with Library.open(folder / "library", clock=lambda: CLOCK, zone="Asia/Seoul") as library:
        try:
            return library.intake([path]).document()
        except MadangError:
            return None


def _score(seeds: range, folder: Path) -> Score:
    files = [messy_file(seed) for seed in seeds]
    return score_intake([_document(f, folder / str(f.seed)) for f in files], files)


def _told(score: Score) -> str:
    return "\n".join(f"{j.verdict} seed {j.seed} [{j.label}] {j.why}" for j in score.judged if j.verdict != "recovered")


def test_twenty_files_with_several_troubles_are_recovered_or_flagged(tmp_path: Path) -> None:
    score = _score(range(100, 120), tmp_path)
    assert score.silent == 0, _told(score)
    assert score.share_recovered >= 0.9, _told(score)


@pytest.mark.slow
def test_every_single_trouble_is_recovered_or_flagged(tmp_path: Path) -> None:
    score = _score(range(len(SINGLES)), tmp_path)
    assert score.silent == 0, _told(score)
    assert score.share_recovered >= 0.95, _told(score)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_of_three_hundred_files_ninety_five_percent_are_recovered_and_none_is_changed_silently(tmp_path: Path) -> None:
    score = _score(range(200, 500), tmp_path)
    assert score.silent == 0, _told(score)
    assert score.share_recovered >= 0.95, _told(score)
