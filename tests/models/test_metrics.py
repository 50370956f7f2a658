"""Figures agree with those of another tool, and intervals keep their promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as peer

from madang.models._frame import Frame, Series
from madang.models._history import Timing, look
from madang.models._intervals import calibrate, conformal_quantile
from madang.models._metrics import average_precision, f1, macro_f1, r2, recall_at, roc_auc, with_interval
from madang.models._span import Span


def test_scores_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(500) < 0.2).astype(np.float64)
    score = np.round(truth * 0.3 + rng.random(500), 2)
    called = (score > 0.8).astype(np.float64)
    assert average_precision(truth, score) == pytest.approx(peer.average_precision_score(truth, score))
    assert roc_auc(truth, score) == pytest.approx(peer.roc_auc_score(truth, score))
    assert f1(truth, called) == pytest.approx(peer.f1_score(truth, called))
    kinds, guess = rng.integers(0, 4, 300).astype(np.float64), rng.integers(0, 4, 300).astype(np.float64)
    assert macro_f1(kinds, guess, 4) == pytest.approx(peer.f1_score(kinds, guess, average="macro"))
    assert r2(score, truth) == pytest.approx(peer.r2_score(score, truth))


def test_recall_is_counted_at_the_stated_false_alarm_rate() -> None:
    good, bad = np.arange(100) / 100, np.array([0.5, 0.955, 0.99, 2.0])
    truth = np.concatenate([np.zeros(100), np.ones(4)])
    # Five of a hundred good rows may alarm: the limit is the sixth highest, 0.94.
    assert recall_at(truth, np.concatenate([good, bad]), 0.05) == 0.75


def test_a_bootstrap_of_a_series_is_wider_than_one_of_single_rows() -> None:
    rng = np.random.default_rng(1)
    noise = np.zeros(2000)
    for k in range(1, 2000):
        noise[k] = 0.95 * noise[k - 1] + rng.normal()

    def mean(rows: np.typing.NDArray[np.int64]) -> float:
        return float(np.mean(noise[rows]))

    single, blocks = (with_interval(mean, 2000, block=b, seed=0) for b in (1, 100))
    assert single.low is not None and single.high is not None and blocks.low is not None and blocks.high is not None
    assert blocks.high - blocks.low > 3 * (single.high - single.low)


def test_a_conformal_interval_covers_new_rows_like_the_old_ones() -> None:
    covered = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        level = rng.uniform(0, 10, 1200)
        error = rng.normal(0, 0.2 + 0.3 * level)
        band = calibrate(level[:600], error[:600], np.zeros(600), adaptive=False)
        half = band.quantile * band.scale(level[600:], np.zeros(600))
        covered.append(float(np.mean(np.abs(error[600:]) <= half)))
        wide, narrow = half[level[600:] > 8].mean(), half[level[600:] < 2].mean()
        assert wide > 3 * narrow, "it is wide where errors are large"
    assert abs(np.mean(covered) - 0.90) < 0.015


def test_an_adaptive_interval_follows_an_error_that_grows() -> None:
    rng = np.random.default_rng(0)
    rows = 4000
    error = rng.normal(0, np.linspace(1, 4, rows))
    frame = Frame({"y": Series("y", error)}, np.zeros(rows, dtype=np.int64), np.arange(1, rows + 1))
    history, query, _ = look(frame, "y", Timing(timed=False, step=1.0, delay=Span(rows=24)))
    band = calibrate(np.zeros(500), error[:500], np.zeros(500), adaptive=True, late=24)
    scale = band.scale(np.zeros(rows), np.zeros(rows))
    half = band.quantiles(history, query, error, scale) * scale
    assert abs(float(np.mean(np.abs(error) <= half)) - 0.90) < 0.02
    assert half[-1] > 2.5 * half[0]


def test_the_conformal_quantile_counts_the_new_row_too() -> None:
    # Nine scores: the tenth row is covered with probability 0.9 by their largest.
    assert conformal_quantile(np.arange(1.0, 10.0), 0.9) == 9.0
