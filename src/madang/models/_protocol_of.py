"""Which protocol a study gets, and why."""

from __future__ import annotations

import numpy as np

from madang.models._frame import Frame
from madang.models._protocol import Protocol, forward, grouped_forward, shuffled
from madang.models._setting import Setting, training_rows
from madang.models._words import StudyRequest
from madang.plant import Bilingual

LAST_SHARE = 0.2
WINDOW_ROWS = 12
"""Longest window over which neighbouring rows of a soft sensor share readings [row]."""


def protocol_of(frame: Frame, setting: Setting, request: StudyRequest, order_evidence: Bilingual | None) -> Protocol:
    """Return the folds of a study.

    Args:
        frame: Rows in the order of the study.
        setting: What was decided.
        request: What a person asked.
        order_evidence: What the test of the row order said, when rows have no meaningful order.
    """
    rows = np.arange(len(frame), dtype=np.int64)
    target = frame[setting.target].values
    labelled = np.flatnonzero(np.isfinite(target)).astype(np.int64)
    folds = 4 if len(labelled) >= 400 else 3 if len(labelled) >= 90 else 2
    fixed = training_rows(frame, request)
    group = (
        np.unique(frame.group, return_inverse=True)[1].astype(np.int64) if setting.grouped and frame.group is not None else None
    )
    if not setting.ordered:
        reason = setting.order_reason
        if group is not None:
            reason = Bilingual("로트(묶음)를 통째로 한쪽에만 두었어요.", "Whole lots (groups) stay on one side.")
        if order_evidence is not None:
            reason = Bilingual(f"{reason.ko} {order_evidence.ko}", f"{reason.en} {order_evidence.en}")
        strata = target.astype(np.int64) if setting.classes else None
        if strata is not None:
            strata = np.where(np.isfinite(target), np.nan_to_num(target), 0).astype(np.int64)
        return shuffled(labelled, strata=strata, group=group, folds=5, last_share=LAST_SHARE, seed=request.seed, reason=reason)
    gap = gap_rows(frame, setting)
    if fixed is not None:
        inside, after = fixed
        order = np.concatenate([inside, after])
        boundary: int | None = len(inside)
    else:
        order, boundary = rows, None
    if group is not None:
        made = grouped_forward(
            order,
            group,
            gap=0 if setting.by_group else gap,
            folds=folds,
            last_share=LAST_SHARE,
            boundary=boundary,
            reason=_grouped_reason(setting),
        )
        if made.folds and len(made.final.test):
            return made
    return forward(order, gap=gap, folds=folds, last_share=LAST_SHARE, boundary=boundary, reason=setting.order_reason)


def _grouped_reason(setting: Setting) -> Bilingual:
    reason = setting.order_reason
    return Bilingual(
        f"{reason.ko} 같은 로트(묶음)의 행은 한쪽에만 두었어요.", f"{reason.en} Rows of one lot (group) stay on one side."
    )


def gap_rows(frame: Frame, setting: Setting) -> int:
    """Rows to leave out between learning and judging: the longest of window, horizon and lab delay [row]."""
    timing = setting.timing
    if timing is None:
        return 0
    waits = [timing.length(timing.horizon) + timing.length(timing.delay)]
    if frame.result_time is not None and frame.time is not None:
        late = (frame.result_time - frame.time).astype("timedelta64[us]").astype(np.float64) / 1e6
        late = late[~np.isnat(frame.result_time) & ~np.isnat(frame.time)]
        if len(late):
            waits.append(float(np.quantile(late, 0.95)))
    window = WINDOW_ROWS if len(frame) >= 300 else 0
    return max(window, int(np.ceil(max(waits) / timing.step - 1e-9)))
