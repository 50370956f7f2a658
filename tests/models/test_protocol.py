"""No row in two places, the gap is kept, and groups are never split."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from madang.models._protocol import Fold, Protocol, forward, grouped_forward, shuffled
from madang.plant import Bilingual

WHY = Bilingual("까닭", "why")


def _parts(protocol: Protocol) -> list[Fold]:
    return [*protocol.folds, protocol.final]


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(20, 400), gap=st.integers(0, 60), folds=st.integers(2, 5), fixed=st.booleans(), seed=st.integers(0, 9))
def test_forward_blocks_never_look_back_and_keep_the_gap(rows: int, gap: int, folds: int, fixed: bool, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(rows).astype(np.int64)
    place = np.argsort(order)
    boundary = rows * 2 // 3 if fixed else None
    protocol = forward(order, gap=gap, folds=folds, last_share=0.2, boundary=boundary, reason=WHY)
    for part in _parts(protocol):
        assert not set(part.train) & set(part.test)
        assert place[part.test].min() - place[part.train].max() > protocol.gap
    for fold in protocol.folds:
        assert set(fold.train) | set(fold.test) <= set(protocol.final.train)
    if fixed:
        assert set(protocol.final.test) == set(order[rows * 2 // 3 :])
    assert protocol.gap == gap or gap > len(order) // 8, "a gap is cut only where it would leave nothing to learn from"


@settings(max_examples=60, deadline=None)
@given(groups=st.integers(5, 40), size=st.integers(1, 9), gap=st.integers(0, 5), mixed=st.booleans(), seed=st.integers(0, 9))
def test_whole_groups_stay_on_one_side(groups: int, size: int, gap: int, mixed: bool, seed: int) -> None:
    group = np.repeat(np.arange(groups), size).astype(np.int64)
    if mixed:
        group = np.random.default_rng(seed).permutation(group)
    order = np.arange(len(group), dtype=np.int64)
    for protocol in (
        grouped_forward(order, group, gap=gap, folds=3, last_share=0.2, boundary=None, reason=WHY),
        shuffled(order, strata=None, group=group, folds=4, last_share=0.2, seed=seed, reason=WHY),
    ):
        for part in _parts(protocol):
            assert not set(group[part.train]) & set(group[part.test])
        for fold in protocol.folds:
            assert not set(group[fold.test]) & set(group[protocol.final.test])


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(40, 500), rare=st.floats(0.05, 0.5), seed=st.integers(0, 99))
def test_shuffled_folds_hold_every_row_once_and_keep_the_classes_even(rows: int, rare: float, seed: int) -> None:
    classes = (np.random.default_rng(seed).random(rows) < rare).astype(np.int64)
    protocol = shuffled(
        np.arange(rows, dtype=np.int64), strata=classes, group=None, folds=5, last_share=0.2, seed=seed, reason=WHY
    )
    judged = np.concatenate([f.test for f in protocol.folds])
    assert sorted([*judged, *protocol.final.test]) == list(range(rows))
    expected = classes.sum() * 0.2
    assert abs(classes[protocol.final.test].sum() - expected) <= 1.5
    again = shuffled(
        np.arange(rows, dtype=np.int64), strata=classes, group=None, folds=5, last_share=0.2, seed=seed, reason=WHY
    )
    assert np.array_equal(again.final.test, protocol.final.test)


def test_rows_after_a_stated_end_are_the_last_block_and_nothing_else_is() -> None:
    order = np.arange(100, dtype=np.int64)
    protocol = forward(order, gap=5, folds=4, last_share=0.2, boundary=60, reason=WHY)
    assert protocol.final.test.tolist() == list(range(60, 100))
    assert protocol.final.train.max() < 60 - 5
