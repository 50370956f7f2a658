"""Equal records are found wherever they stand, also when older hashes have gone to disk."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from madang.connect import _watch
from madang.connect._watch import EqualRecords, record_hashes


def test_records_hash_alike_only_where_every_field_agrees() -> None:
    table = [pa.array([1.0, 1.0, 2.0, None, None]), pa.array(["a" * 17, "a" * 17, "a" * 17, "", None])]
    hashes = record_hashes(table)
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 4


@pytest.mark.parametrize("in_memory", [10, 10**9])
def test_the_first_equal_record_is_named_whatever_the_order(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(_watch, "_IN_MEMORY", in_memory)
    rng = np.random.default_rng(3)
    values = rng.integers(0, 400, 1000)
    watch = EqualRecords()
    first: dict[int, int] = {}
    found: dict[int, int] = {}
    for start in range(0, 1000, 50):
        part = values[start : start + 50]
        rows = np.arange(start + 1, start + len(part) + 1)
        earlier = watch.earlier(record_hashes([pa.array(part)]), rows, part.astype(np.int64))
        found.update({int(row): int(of) for row, of in zip(rows, earlier, strict=True) if of})
    wanted: dict[int, int] = {}
    for row, value in enumerate(values.tolist(), start=1):
        if value in first:
            wanted[row] = first[value]
        first.setdefault(value, row)
    assert found == wanted


def test_records_that_run_forward_are_remembered_for_a_late_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "_IN_MEMORY", 100)
    watch = EqualRecords()
    times = np.arange(500, dtype=np.int64)
    for start in range(0, 500, 50):
        part = times[start : start + 50]
        assert not watch.earlier(record_hashes([pa.array(part)]), part + 1, part).any()
    late = np.array([7, 499, 1000], dtype=np.int64)
    assert watch.earlier(record_hashes([pa.array(late)]), np.array([501, 502, 503]), late).tolist() == [8, 500, 0]
