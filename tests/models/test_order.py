"""Whether the rows of a file are sorted by what is asked for."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from madang.models._frame import FloatArray, Frame, Series, Task
from madang.models._order import order_of, row_order_carries_target


def _frame(values: FloatArray, categories: tuple[str, ...] | None = None) -> Frame:
    n = len(values)
    return Frame({"y": Series("y", values, categories)}, np.zeros(n, dtype=np.int64), np.arange(1, n + 1, dtype=np.int64))


def test_shuffled_classes_carry_nothing() -> None:
    alarms = sum(order_of(np.random.default_rng(s).integers(0, 4, 300).astype(float), True, 0).found for s in range(40))
    assert alarms <= 2


def test_rows_sorted_by_class_are_found_and_called_sorted() -> None:
    test = row_order_carries_target(_frame(np.repeat(np.arange(4.0), 50)), "y", "classification", 0)
    assert test.found
    assert test.sorted


def test_a_slow_process_is_found_but_not_called_sorted() -> None:
    walk = np.cumsum(np.random.default_rng(1).standard_normal(800))
    test = row_order_carries_target(_frame(walk - 0.9 * np.linspace(walk[0], walk[-1], 800)), "y", "regression", 0)
    assert test.found
    assert not test.sorted


def test_numbers_in_rising_order_are_sorted() -> None:
    assert order_of(np.sort(np.random.default_rng(2).standard_normal(400)), False, 0).sorted


def test_too_few_rows_or_one_value_cannot_be_tested() -> None:
    for values in (np.arange(5.0), np.ones(100), np.full(50, np.nan)):
        assert not order_of(values, False, 0).found


def test_steel_plates_are_sorted_by_class(shared_data: Path) -> None:
    with (shared_data / "steel_plates_faults" / "SteelPlatesFaults_Clean.csv").open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    classes = np.array([row[-7:].index("1") for row in rows[1:]], dtype=float)
    task: Task = "classification"
    test = row_order_carries_target(_frame(classes, tuple(rows[0][-7:])), "y", task, 0)
    assert test.found
    assert test.sorted
    assert test.statistic > 0.95
