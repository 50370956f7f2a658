"""The guardrails see planted traps on tables they have never met, and leave clean tables alone."""

from __future__ import annotations

import pytest

from madang.testing._traps import TRAPS, trap_cases
from madang.testing._traps_score import blamed, flagged, seen


def _measured(seeds: range, sizes: tuple[int, ...]) -> tuple[float, float]:
    hits: list[bool] = []
    blames: list[bool] = []
    for seed in seeds:
        for trap, clean in trap_cases(seed, sizes=sizes):
            hits.append(seen(trap, flagged(trap)))
            blames.append(bool(blamed(flagged(clean))))
    return sum(hits) / len(hits), sum(blames) / len(blames)


def test_the_corpus_plants_at_least_ten_kinds_of_traps() -> None:
    assert len(TRAPS) >= 10


def test_a_clean_twin_differs_from_its_trap_only_by_the_trap() -> None:
    for trap, clean in trap_cases(7, sizes=(400,)):
        if trap.planted:
            assert set(trap.frame.series) - set(trap.planted) >= set(clean.frame.series) - {trap.target}


def test_nine_in_ten_traps_are_seen_and_clean_tables_are_left_alone() -> None:
    found, false = _measured(range(900, 901), (600,))
    assert found >= 0.9
    assert false <= 0.08


@pytest.mark.slow
def test_nine_in_ten_traps_are_seen_over_many_seeds_and_sizes() -> None:
    found, false = _measured(range(910, 916), (300, 1_000, 4_000))
    assert found >= 0.9
    assert false <= 0.08
