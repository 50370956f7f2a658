"""For how long signals are kept whole, thinned or in the archive, by importance and age; and what that will cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from madang.library._commit import Faults
from madang.library._lake import Lake
from madang.library._signals._archive import archived_mark, put_away
from madang.library._signals._commit import LiveTable
from madang.library._signals._layout import FileKind, physical
from madang.library._signals._resort import Input, Part, inputs_of, replace_files, write_anew
from madang.library._signals._samples import sort
from madang.library._signals._scales import FloatArray, IntArray

Tier = Literal["full", "thinned", "archived"]
EVERYTHING: Final = "*"
RAW_BYTES: Final = 16
"""What a raw sample takes: a time and a number of eight bytes each."""


@dataclass(frozen=True)
class Rule:
    """What happens to signals of an importance after a time."""

    after: timedelta
    """Age of a file's newest sample."""
    then: Literal["thinned", "archived"]
    importance: str = EVERYTHING
    """Importance on the dataset's card; ``*`` = every one without a rule of its own."""
    every: timedelta = timedelta(minutes=1)
    """Of thinned numbers the first, lowest, highest and last sample of each such span are kept, and every one that is not good;
    of texts the changes."""


STANDARD: Final = (
    Rule(timedelta(days=90), "thinned"),
    Rule(timedelta(days=730), "archived"),
    Rule(timedelta(days=365), "thinned", "restricted"),
    Rule(timedelta(days=1095), "thinned", "core"),
)
"""Proposed rules: nothing of them happens before somebody applies them."""


@dataclass(frozen=True)
class Retained:
    """What applying rules to a dataset did, or would do."""

    dataset: str
    thinned_files: int = 0
    thinned_samples: int = 0
    kept_samples: int = 0
    """Samples left of the thinned files; not known in a dry run (-1)."""
    archived_files: int = 0
    archived_bytes: int = 0


def rules_for(importance: str | None, rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules of an importance: its own where it has any."""
    own = [r for r in rules if r.importance == (importance or "unclassified")]
    return own or [r for r in rules if r.importance == EVERYTHING]


def apply_rules(
    lake: Lake,
    table: LiveTable,
    name: str,
    importance: str | None,
    now: datetime,
    rules: Sequence[Rule] = STANDARD,
    *,
    dry_run: bool = True,
    faults: Faults | None = None,
) -> Retained:
    """Thin out and archive the files of a dataset that are old enough.

    The files that were live before stay for the days of time travel, as after a re-sort.

    Args:
        lake: The table store.
        table: The dataset's table.
        name: The dataset's name.
        importance: Importance on its card.
        now: The time.
        rules: The rules.
        dry_run: Only say what would happen.
        faults: For tests of interruptions.
    """
    faults = faults or Faults()
    mine = rules_for(importance, rules)
    done = Retained(name)
    for rule in mine:
        cutoff = int((now - rule.after).timestamp() * 1_000_000)
        old = [i for i in inputs_of(table) if int(i.footer.last.max()) < cutoff]
        if rule.then == "archived":
            done = _archive(lake, table, old, done, faults, dry_run=dry_run)
        else:
            width = rule.every // timedelta(microseconds=1)
            due = [i for i in old if i.footer.thinned < width]
            done = _thin(table, due, width, done, faults, dry_run=dry_run)
    return done


def _thin(table: LiveTable, due: Sequence[Input], width: int, done: Retained, faults: Faults, *, dry_run: bool) -> Retained:
    before = sum(int(i.footer.rows[-1]) for i in due)
    after = -1 if dry_run else 0
    if due and not dry_run:
        kinds: tuple[FileKind, ...] = ("counts", "numbers", "texts")
        level = max(i.footer.level for i in due)
        made = [
            f for kind in kinds for f in write_anew(table.folder, kind, due, level, lambda part: thinned(part, width), width)
        ]
        faults.at("thin:files")
        if not replace_files(table, due, made, data_change=True, operation="THIN"):
            return done
        faults.at("thin:committed")
        after = sum(f.rows for f in made)
    return Retained(
        done.dataset,
        done.thinned_files + len(due),
        done.thinned_samples + before,
        after,
        done.archived_files,
        done.archived_bytes,
    )


def thinned(part: Part, width: int) -> Part:
    """Return what is kept of a part: of each span of a point the first, lowest, highest and last sample, and all that are not good.

    Args:
        part: Samples of one kind.
        width: Width of the spans [us], counted from 1970.
    """
    ordered = sort(part.samples)
    n = len(ordered)
    point = part.samples.point[ordered.order]
    keep = part.samples.quality[ordered.order] != 0
    value = part.value.take(pa.array(ordered.order))
    if pa.types.is_string(value.type):
        fresh = np.ones(n, dtype=np.bool_)
        coded = value.dictionary_encode().indices.to_numpy()
        fresh[1:] = (coded[1:] != coded[:-1]) | (point[1:] != point[:-1])
        keep |= fresh
    else:
        keep |= value.is_null().to_numpy(zero_copy_only=False)
        number = _numbers(part, value, ordered.order)
        span = ordered.time // width
        heads = np.flatnonzero(np.concatenate(([True], (point[1:] != point[:-1]) | (span[1:] != span[:-1]))))
        tails = np.append(heads[1:], n) - 1
        keep[heads] = keep[tails] = True
        run = np.repeat(np.arange(len(heads)), tails - heads + 1)
        for sign in (1.0, -1.0):
            least = np.lexsort((sign * number, run))
            keep[least[heads]] = True
    return part.some(ordered.order[keep])


def _numbers(part: Part, value: pa.Array, order: IntArray) -> FloatArray:
    if not pa.types.is_integer(value.type):
        return np.asarray(value.to_numpy(zero_copy_only=False), dtype=np.float64)
    counts = value.fill_null(0).to_numpy().astype(np.int32)
    version = part.version[order]
    found = np.empty(len(counts))
    for index, scale in enumerate(part.scales):
        mine = version == index
        found[mine] = physical(counts[mine], scale)
    return found


def _archive(lake: Lake, table: LiveTable, old: Sequence[Input], done: Retained, faults: Faults, *, dry_run: bool) -> Retained:
    size = sum(i.size for i in old)
    if old and not dry_run:
        put_away(lake, table, old, faults)
        marks = [archived_mark(i.path) for i in old]
        if not replace_files(table, old, [], data_change=True, operation="ARCHIVE", marks=marks):
            return done
        faults.at("archive:committed")
    return Retained(
        done.dataset,
        done.thinned_files,
        done.thinned_samples,
        done.kept_samples,
        done.archived_files + len(old),
        done.archived_bytes + size,
    )


@dataclass(frozen=True)
class Forecast:
    """What a stream of raw samples will take, from what the lake's own samples take."""

    samples: int
    """Samples it was measured on."""
    bytes_per_sample: float
    """Of the live files and the log."""
    sorted_bytes_per_sample: float | None
    """Of re-sorted files (an hour or more); None while there are none."""
    raw_tb_per_month: float
    samples_per_month: float
    stored_tb_per_month: float
    samples_per_second: float


def forecast(tables: Sequence[LiveTable], raw_tb_per_month: float = 30.0) -> Forecast | None:
    """Forecast from measured bytes per sample; None while there is no sample.

    Args:
        tables: Tables of signals datasets.
        raw_tb_per_month: Raw samples of 16 bytes that will come [TB per month of 30 days].
    """
    rows = size = sorted_rows = sorted_size = 0
    for table in tables:
        for one in inputs_of(table):
            n = int(one.footer.rows[-1])
            rows, size = rows + n, size + one.size
            if one.footer.level >= 2 and not one.footer.thinned:
                sorted_rows, sorted_size = sorted_rows + n, sorted_size + one.size
    if rows == 0:
        return None
    each = size / rows
    lasting = sorted_size / sorted_rows if sorted_rows else None
    coming = raw_tb_per_month * 1e12 / RAW_BYTES
    return Forecast(
        samples=rows,
        bytes_per_sample=each,
        sorted_bytes_per_sample=lasting,
        raw_tb_per_month=raw_tb_per_month,
        samples_per_month=coming,
        stored_tb_per_month=coming * (lasting or each) / 1e12,
        samples_per_second=coming / (30 * 86_400),
    )
