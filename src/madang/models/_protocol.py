"""How a study is judged: which rows are learned from, which are kept apart, and the untouched last block."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from madang.models._frame import FloatArray, IntArray
from madang.plant import Bilingual

ProtocolKind = Literal["forward", "grouped", "grouped_forward", "shuffled"]


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to judge on (indices into the frame)."""

    train: IntArray
    test: IntArray


@dataclass(frozen=True)
class Protocol:
    """The folds of a study and its untouched last block."""

    kind: ProtocolKind
    reason: Bilingual
    gap: int
    """Rows left out between learning and judging."""
    folds: tuple[Fold, ...]
    final: Fold
    """Everything that may be learned from, and the untouched last block."""
    ordered: bool
    """Whether a later row really is later."""


def forward(
    order: IntArray,
    *,
    gap: int,
    folds: int,
    last_share: float,
    boundary: int | None,
    reason: Bilingual,
) -> Protocol:
    """Blocks in the order of time: learn from what lies before, judge on what follows, with a gap between.

    Args:
        order: Rows of the frame, oldest first.
        gap: Rows left out before each judged block: the longest of horizon and lab delay.
        folds: How many blocks to judge on inside the learning part.
        last_share: Share of the rows kept as the untouched last block, from 0 to 1 (when there is no boundary).
        boundary: Place in `order` at which the last block begins, when a person fixed it.
        reason: Why this protocol.
    """
    rows = len(order)
    begin = round(rows * (1 - last_share)) if boundary is None else boundary
    begin = min(max(begin, 1), rows)
    # A gap never eats more than a fifth of what there is to learn from.
    gap = min(gap, begin // 5)
    learn_end = max(1, begin - gap)
    first = max(1, int(learn_end * 0.5))
    edges = np.linspace(first, learn_end, folds + 1).round().astype(np.int64)
    made = []
    for start, end in itertools.pairwise(edges):
        train = order[: max(0, start - gap)]
        test = order[start:end]
        if len(train) and len(test):
            made.append(Fold(train, test))
    final = Fold(order[:learn_end], order[begin:])
    return Protocol("forward", reason, gap, tuple(f for f in made if len(f.train) and len(f.test)), final, ordered=True)


def grouped_forward(
    order: IntArray, group: IntArray, *, gap: int, folds: int, last_share: float, boundary: int | None, reason: Bilingual
) -> Protocol:
    """Blocks in the order of time with whole groups on one side: a group belongs where its first row lies.

    Args:
        order: Rows of the frame, oldest first.
        group: Group code of each row of the frame.
        gap: Rows left out before each judged block.
        folds: How many blocks to judge on.
        last_share: Share of the groups kept as the last block.
        boundary: Place in `order` where the last block begins, when a person fixed it; a group that straddles it is left out of
            learning.
        reason: Why this protocol.
    """
    first_place: dict[int, int] = {}
    for place, row in enumerate(order):
        first_place.setdefault(int(group[row]), place)
    in_turn = sorted(first_place, key=lambda g: first_place[g])
    rank = {g: r for r, g in enumerate(in_turn)}
    rank_of = np.array([rank[int(g)] for g in group[order]], dtype=np.int64)
    if boundary is None:
        begin = max(1, round(len(in_turn) * (1 - last_share)))
    else:
        late = {int(g) for g in group[order[boundary:]]}
        begin = next((r for r, g in enumerate(in_turn) if g in late), len(in_turn))
    edges = np.unique(np.linspace(max(1, int(begin * 0.5)), begin, folds + 1).round().astype(np.int64))
    made = []
    for start, end in itertools.pairwise(edges):
        test_places = np.flatnonzero((rank_of >= start) & (rank_of < end))
        train_places = np.flatnonzero(rank_of < start)
        if len(test_places):
            train_places = train_places[train_places < test_places[0] - gap] if gap else train_places
        made.append(Fold(order[train_places], order[test_places]))
    last_places = np.flatnonzero(rank_of >= begin) if boundary is None else np.arange(boundary, len(order))
    learn_places = np.flatnonzero(rank_of < begin)
    if boundary is not None:
        learn_places = learn_places[learn_places < boundary]
    elif gap and len(last_places):
        learn_places = learn_places[learn_places < last_places[0] - gap]
    final = Fold(order[learn_places], order[last_places])
    return Protocol("grouped_forward", reason, gap, tuple(f for f in made if len(f.train) and len(f.test)), final, ordered=True)


def shuffled(
    rows: IntArray,
    *,
    strata: IntArray | None,
    group: IntArray | None,
    folds: int,
    last_share: float,
    seed: int,
    reason: Bilingual,
    boundary_rows: IntArray | None = None,
) -> Protocol:
    """Folds at random (by whole groups where there are groups, else evenly over the classes), with an untouched random share.

    Args:
        rows: Rows of the frame to share out.
        strata: Class of each row of the frame, spread evenly; None = no classes.
        group: Group code of each row of the frame, kept whole; None = no groups.
        folds: How many folds.
        last_share: Share kept as the untouched block.
        seed: For the shuffling.
        reason: Why this protocol.
        boundary_rows: Rows kept as the untouched block when a person fixed them.
    """
    rng = np.random.default_rng(seed)
    spread = np.empty(len(rows))
    if group is not None:
        names, codes = np.unique(group[rows], return_inverse=True)
        spread = _even(rng.permutation(len(names)))[codes]
    else:
        classes = np.zeros(len(rows), dtype=np.int64) if strata is None else strata[rows]
        for value in np.unique(classes):
            mine = np.flatnonzero(classes == value)
            # A random start keeps small classes from always missing the untouched block.
            spread[mine] = np.mod(_even(rng.permutation(len(mine))) + rng.random() / max(len(mine), 1), 1.0)
    if boundary_rows is not None:
        kept = np.isin(rows, boundary_rows)
    else:
        kept = spread >= 1 - last_share
    learn = rows[~kept]
    share = spread[~kept] if boundary_rows is not None else spread[~kept] / (1 - last_share)
    number = np.minimum((share * folds).astype(np.int64), folds - 1)
    made = [Fold(learn[number != f], learn[number == f]) for f in range(folds)]
    kind: ProtocolKind = "grouped" if group is not None else "shuffled"
    return Protocol(
        kind, reason, 0, tuple(f for f in made if len(f.train) and len(f.test)), Fold(learn, rows[kept]), ordered=False
    )


def _even(places: IntArray) -> FloatArray:
    return (places + 0.5) / max(len(places), 1)
