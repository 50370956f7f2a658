"""Reads a table by its layout: records become typed columns, flags, quarantine and duplicates, chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import _times, _units
from madang.connect._learn import (
    BAD_QUALITY_WORDS,
    GOOD_WORDS,
    UNCERTAIN_WORDS,
    decimals_of,
    groups,
    join_date_clock,
)
from madang.connect._remarks import finding
from madang.connect._shape import TOTAL_WORDS, is_total, kind_of
from madang.connect._tables import ROW, Chunk, Layout, ReadOptions, TableSource, Tally
from madang.connect._text import Records, Repair
from madang.connect._times import NO_TIME, Instants, ZoneClock
from madang.connect._values import (
    BAD_WORDS,
    MISSING_WORDS,
    NO_OFFSET,
    Clock,
    ColumnRule,
    Remarks,
    convert_booleans,
    convert_numbers,
    convert_text,
    fold,
    instants_array,
    joined_words,
    read_clocks,
    read_number,
    to_instants,
)
from madang.connect._watch import EqualRecords, Rollovers, StandStill, TimeOrder, record_hashes, text_hash
from madang.errors import Json
from madang.plant import Finding, ValueFlag

FLAGS = pa.schema([("row", pa.int64()), ("column", pa.string()), ("flag", pa.string()), ("original", pa.string())])
QUARANTINE = pa.schema([("row", pa.int64()), ("reason", pa.string()), ("text", pa.string())])
DUPLICATES = pa.schema([("row", pa.int64()), ("of_row", pa.int64())])

ARROW_TYPES: dict[str, Any] = {
    "number": pa.float64(), "integer": pa.int64(), "text": pa.string(), "boolean": pa.bool_(), "time": pa.timestamp("us", "UTC"),
}  # fmt: skip

_ISO = frozenset(
    {
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M:%S.%f",
        "%Y-%m-%dT%H:%M:%S.%f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    }
)

_REASONS = (
    ("totals_row", "totals_row"), ("repeated_header", "repeated_header"), ("truncated", "truncated"), ("shifted", "shifted_apart"),
)  # fmt: skip
"""Reasons of the quarantine that have a finding of their own, and its kind."""

Runs = Callable[[Sequence[Any], Repair | None], Iterator[Records]]
"""Opens the records of a table anew: Arrow types that may be read directly, and the way to put a shifted record right."""

Mask = npt.NDArray[np.bool_]


@dataclass
class _Seen:
    """Counts and examples of what was noticed, by kind and column."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    words: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def add(self, kind: str, column: str, row: int, word: str | None = None) -> None:
        key = (kind, column)
        self.rows[key] += 1
        kept = self.examples.setdefault(key, [])
        if len(kept) < 10:
            kept.append(row)
        if word is not None:
            words = self.words.setdefault(key, Counter())
            if word in words or len(words) < 50:
                words[word] += 1


@dataclass
class _Values:
    """Columns of a run of records while they are being judged."""

    arrays: dict[str, Any]
    remarks: dict[str, Remarks]
    instants: dict[str, Instants]


class Reader:
    """One table being read by its layout. `chunks` is consumed once; `tally` and `findings` are complete after it."""

    def __init__(
        self,
        source: TableSource,
        layout: Layout,
        runs: Runs,
        options: ReadOptions,
        found: Callable[[], Sequence[Finding]] = tuple,
        causal: bool = False,
    ) -> None:
        """Prepare to read.

        Args:
            source: The table.
            layout: How it is read; `rules_of` holds for every column.
            runs: Opens its records.
            options: What the caller fixed.
            found: Findings of those who prepared the table; asked for after reading.
            causal: Whether no record may be judged by what stands behind it; a standstill is then marked from where it
                becomes one, not from its first record.
        """
        self.source = source
        self.layout = layout
        self._runs = runs
        self._options = options
        self._found = found
        self._plan = Plan.of(layout, options)
        self._seen = _Seen()
        self._tally = [0, 0, 0, 0]
        self._zones: dict[str, ZoneClock] = {}
        self._equal = EqualRecords()
        self._order = TimeOrder()
        self._still = StandStill({**self._plan.stuck, **self._plan.tag_stuck}, from_start=not causal)
        self._rollovers = Rollovers(self._plan.counters)
        self._header = {fold(column.source_name) for column in layout.columns}
        self._told: list[Finding] = []
        # Of the very file that was learned from only: a later one tells its unit itself.
        self._unit_changes = {} if causal else cast("dict[str, Any]", layout.details.get("unit_changes") or {})

    @property
    def tally(self) -> Tally:
        """Counts of the records seen so far."""
        return Tally(*self._tally)

    @property
    def schema(self) -> Any:  # noqa: ANN401 - pyarrow is untyped
        """Arrow schema of the rows of every chunk."""
        return pa.schema([(ROW, pa.int64()), *((column.name, ARROW_TYPES[column.type]) for column in self.layout.columns)])

    def tell(self, found: Finding) -> None:
        """Add a finding of those who prepared the table."""
        self._told.append(found)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the records in source order, in bounded memory."""
        for run in self._runs(self._plan.arrow_types(self.layout), self._plan.repair):
            yield from self._chunks_of(run)

    def _chunks_of(self, run: Records) -> Iterator[Chunk]:
        size = self._options.chunk_rows
        if run.count <= size:
            yield self._chunk(run)
            return
        start = 0
        waiting = list(run.quarantine)
        while start < len(run.rows) or waiting:
            part = run.part(start, min(start + size, len(run.rows)))
            start += size
            last = int(part.rows[-1]) if len(part.rows) and start < len(run.rows) else 2**62
            part.quarantine = [entry for entry in waiting if entry[0] <= last]
            waiting = [entry for entry in waiting if entry[0] > last]
            yield self._chunk(part)

    def _chunk(self, run: Records) -> Chunk:
        values = self._values(run)
        out = np.zeros(len(run.rows), dtype=bool)
        quarantine = [*run.quarantine, *self._set_apart(run, values, out)]
        for row, text in run.repaired:
            self._seen.add("shifted_columns", "", row)
            place = int(np.searchsorted(run.rows, row))
            column = self.layout.columns[0].name
            values.remarks.setdefault(column, Remarks()).add(place, ValueFlag.UNCERTAIN, text, "repaired")
        self._doubt_units(run, values)
        self._judge_quality(run, values)
        duplicates = self._equal_records(run, values, out)
        self._stand_still(run, values, out)
        self._watch_order(run, values, out)
        return self._finish(run, values, out, sorted(quarantine), duplicates)

    # ---- values

    def _values(self, run: Records) -> _Values:
        values = _Values({}, {}, {})
        columns = dict(zip(self._plan.names, run.columns, strict=True))
        if self._plan.joined is not None:
            new, day, clock = self._plan.joined
            columns[new] = join_date_clock(columns[day], columns[clock])
        if self._plan.text_tags:
            self._part_words(columns)
        for column in self.layout.columns:
            array, rule = columns[column.name], self._plan.rules[column.name]
            if rule.type == "time":
                self._instants(column.name, array, rule, values, run.rows)
                continue
            if pa.types.is_string(array.type):
                converted = _convert(array, rule)
                values.arrays[column.name] = converted.values
                if converted.remarks.index:
                    values.remarks[column.name] = converted.remarks
            else:
                values.arrays[column.name] = array
        if self._plan.tag_codes:
            self._tag_codes(values)
        for name, change in self._plan.conversions.items():
            self._convert_column(values, name, change)
        return values

    def _convert_column(self, values: _Values, name: str, change: tuple[float, float] | None) -> None:
        """Bring a column whose header gives another unit than the template to the unit of the template."""
        array = values.arrays[name]
        there = np.flatnonzero(pc.is_valid(array).to_numpy(zero_copy_only=False))
        if change is None:
            self._withhold(values, name, there, ValueFlag.BAD, "unit_lost")
            return
        scale, offset = change
        numbers = pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False) * scale + offset
        if pa.types.is_integer(array.type):
            whole = np.abs(numbers - np.round(numbers)) < 1e-6
            self._withhold(values, name, there[~whole[there]], ValueFlag.BAD, "type")
            there, numbers = there[whole[there]], np.round(numbers)
        made = np.isin(np.arange(len(array)), there)
        values.arrays[name] = pc.cast(pa.array(numbers, pa.float64(), mask=~made), array.type)
        remarks = values.remarks.setdefault(name, Remarks())
        for index in there.tolist():
            remarks.add(index, ValueFlag.CONVERTED, None, "unit_here")

    def _part_words(self, columns: dict[str, Any]) -> None:
        """Move the values of tags of words from the column of numbers to the column of text."""
        long = self.layout.long
        assert long is not None
        (new,) = [name for name in self._plan.rules if name not in columns]
        tags = pc.utf8_trim_whitespace(columns[long.tag])
        worded = pc.is_in(tags, value_set=pa.array(sorted(self._plan.text_tags), pa.string()))
        columns[new] = pc.if_else(worded, columns[long.value], "")
        columns[long.value] = pc.if_else(worded, "", columns[long.value])

    def _instants(
        self,
        name: str,
        array: Any,  # noqa: ANN401 - pyarrow is untyped
        rule: ColumnRule,
        values: _Values,
        rows: npt.NDArray[np.int64],
    ) -> None:
        if pa.types.is_string(array.type):
            clock = read_clocks(array, rule)
        else:
            clock = _typed_clock(array, rule)
        zone = self._zones.setdefault(name, ZoneClock(self.layout.zone))
        instants, doubtful = to_instants(clock, zone)
        for index in np.flatnonzero(doubtful).tolist():
            clock.remarks.add(index, ValueFlag.UNCERTAIN, str(_clock_text(int(clock.local[index]))), "daylight")
        if rule.midnight:
            early = np.flatnonzero((clock.local != NO_TIME) & (clock.local % _times.DAY_US == 0))
            self._seen.rows["midnight_row", name] += len(early)
            examples = self._seen.examples.setdefault(("midnight_row", name), [])
            examples.extend(rows[early[: max(0, 10 - len(examples))]].tolist())
        values.instants[name] = instants
        values.arrays[name] = instants_array(instants)
        if clock.remarks.index:
            values.remarks[name] = clock.remarks

    def _tag_codes(self, values: _Values) -> None:
        assert self.layout.long is not None
        name = self.layout.long.value
        array = values.arrays[name]
        numbers = pc.cast(array, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        bad = np.zeros(len(numbers), dtype=bool)
        for tag, where in groups(pc.fill_null(values.arrays[self.layout.long.tag], "")).items():
            codes = self._plan.tag_codes.get(tag)
            if codes:
                bad[where] = np.isin(numbers[where], codes)
        self._withhold(values, name, np.flatnonzero(bad), ValueFlag.BAD, "bad_code")

    def _withhold(self, values: _Values, name: str, indices: npt.NDArray[np.int64], flag: ValueFlag, note: str) -> None:
        """Take values out of a column and remember what they were."""
        if not len(indices):
            return
        array = values.arrays[name]
        taken = array.take(pa.array(indices)).to_pylist()
        remarks = values.remarks.setdefault(name, Remarks())
        for index, value in zip(indices.tolist(), taken, strict=True):
            if value is not None:
                remarks.add(index, flag, _written(value), note)
        mask = np.zeros(len(array), dtype=bool)
        mask[indices] = True
        values.arrays[name] = pc.if_else(pa.array(mask), pa.scalar(None, array.type), array)

    def _doubt_units(self, run: Records, values: _Values) -> None:
        """Mark values from the record on at which their column seems to have changed its unit."""
        for name, change in self._unit_changes.items():
            late = (run.rows >= change["row"]) & pc.is_valid(values.arrays[name]).to_numpy(zero_copy_only=False)
            remarks = values.remarks.setdefault(name, Remarks())
            for index in np.flatnonzero(late).tolist():
                remarks.add(index, ValueFlag.UNCERTAIN, None, "unit_change")

    # ---- records that are none

    def _set_apart(self, run: Records, values: _Values, out: Mask) -> Iterator[tuple[int, str, str]]:
        """Find totals rows, repeated headers and shifted records among records of ordinary width."""
        suspects: set[int] = set()
        strange: Counter[int] = Counter()
        for remarks in values.remarks.values():
            for index, note in zip(remarks.index, remarks.note, strict=True):
                if note in ("bad_word", "bad_time", "type"):
                    strange[index] += 1
        suspects.update(strange)
        outside = self._outside(run, values)
        suspects.update(np.flatnonzero(outside >= 2).tolist())
        for name in self._plan.names[:3]:
            array = values.arrays[name]
            if pa.types.is_string(array.type):
                hits = pc.is_in(array, value_set=self._plan.total_words)
                suspects.update(np.flatnonzero(hits.to_numpy(zero_copy_only=False)).tolist())
        suspects.update(self._out_of_place(values))
        last = len(run.rows) - 1
        for index in sorted(suspects | ({last} if run.ends_open and last >= 0 else set())):
            fields = run.fields(index)
            row = int(run.rows[index])
            reason = "truncated" if index == last and run.ends_open and self._is_cut(fields) else None
            reason = reason or self._why_apart(fields, strange[index], int(outside[index]), run, values, index)
            if reason is not None:
                out[index] = True
                yield row, reason, run.text(index)

    def _why_apart(
        self, fields: list[str], strange: int, outside: int, run: Records, values: _Values, index: int
    ) -> str | None:
        solid = [fold(cell) for cell in fields if cell.strip()]
        if len(solid) >= 2 and all(cell in self._header for cell in solid) and self.layout.header_rows:
            return "repeated_header"
        if is_total(fields) and "totals_row" not in self._options.disabled:
            return "totals_row"
        hard = self._plan.hard
        if strange >= 2 and strange >= 0.5 * hard:
            return "shifted" if self._is_shifted(fields) else "fields" if strange >= 0.8 * hard else None
        if outside + strange >= max(2, 0.5 * len(self._plan.ranges)) and self._is_shifted(fields):
            return "shifted"
        if self._plan.place is not None and self._plan.place.is_shifted(fields):
            return "shifted"
        return None

    def _out_of_place(self, values: _Values) -> Iterator[int]:
        """Yield records in which a cell stands that its column never holds: a number among words, or nothing at all."""
        if self._plan.place is None:
            return
        for name in self._plan.place.worded:
            texts = values.arrays[name]
            typed = pc.match_substring_regex(texts, r"^[<>+-]?\d[\d.,:\- T]*$")
            yield from np.flatnonzero(pc.fill_null(typed, False).to_numpy(zero_copy_only=False)).tolist()
        for name in self._plan.place.filled:
            empty = np.flatnonzero(values.arrays[name].is_null().to_numpy(zero_copy_only=False))
            remarks = values.remarks.get(name)
            yield from (np.setdiff1d(empty, remarks.index) if remarks is not None else empty).tolist()

    def _is_cut(self, fields: list[str]) -> bool:
        """Whether the last cell of a file without a line end at its end is only the beginning of one."""
        place = self._plan.place
        return place is not None and place.is_cut(fields)

    def _is_shifted(self, fields: list[str]) -> bool:
        """Whether a record of ordinary width is one that was shifted, and has lost its last field by that."""
        return self._plan.repair is not None and self._plan.repair(fields) is not None

    def _outside(self, run: Records, values: _Values) -> npt.NDArray[np.int32]:
        """Count in how many columns each record lies far outside the range that its column ordinarily has."""
        out = np.zeros(len(run.rows), dtype=np.int32)
        if len(self._plan.ranges) < 2 or self._plan.repair is None:
            return out
        for name, (low, high) in self._plan.ranges.items():
            numbers = pc.cast(values.arrays[name], pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            out += (numbers < low) | (numbers > high)
        return out

    # ---- quality, duplicates, watches

    def _judge_quality(self, run: Records, values: _Values) -> None:
        for name, quality in self._plan.quality.items():
            judged = _quality_words(values.arrays[quality])
            bad, doubtful = judged == 2, judged == 1
            array = values.arrays[name]
            there = pc.is_valid(array).to_numpy(zero_copy_only=False)
            self._withhold(values, name, np.flatnonzero(bad & there), ValueFlag.BAD, "quality")
            remarks = values.remarks.setdefault(name, Remarks())
            for index in np.flatnonzero(doubtful & there).tolist():
                remarks.add(index, ValueFlag.UNCERTAIN, None, "quality")

    def _equal_records(self, run: Records, values: _Values, out: Mask) -> dict[int, int]:
        arrays = [values.arrays[column.name] for column in self.layout.columns]
        hashes = record_hashes(arrays)
        for place, column in enumerate(self.layout.columns):
            remarks = values.remarks.get(column.name)
            if remarks is not None:
                for index, original in zip(remarks.index, remarks.original, strict=True):
                    if original is not None:
                        hashes[index] ^= text_hash(place, original)
        keep = ~out
        time = self.layout.time_column
        times = values.instants[time][keep] if time is not None else None
        earlier = self._equal.earlier(hashes[keep], run.rows[keep], times)
        found = dict(zip(np.flatnonzero(keep)[earlier > 0].tolist(), earlier[earlier > 0].tolist(), strict=True))
        kind = self._plan.duplicates
        for index in found:
            self._seen.add(kind, "", int(run.rows[index]))
        if kind != "duplicate_rows":
            return {}
        for index in found:
            out[index] = True
        return {int(run.rows[index]): of_row for index, of_row in found.items()}

    def _stand_still(self, run: Records, values: _Values, out: Mask) -> None:
        long = self.layout.long
        if long is not None:
            if not self._plan.tag_stuck:
                return
            numbers = pc.cast(values.arrays[long.value], pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            for tag, where in groups(pc.fill_null(values.arrays[long.tag], "")).items():
                where = where[~out[where]]
                self._mark_stuck(run, values, long.value, where[self._still.beyond(tag, numbers[where])])
            return
        keep = np.flatnonzero(~out)
        for name in self._plan.stuck:
            numbers = pc.cast(values.arrays[name], pa.float64(), safe=False).to_numpy(zero_copy_only=False)[keep]
            self._mark_stuck(run, values, name, keep[self._still.beyond(name, numbers)])
        for name in self._plan.counters:
            numbers = pc.cast(values.arrays[name], pa.float64(), safe=False).to_numpy(zero_copy_only=False)[keep]
            self._rollovers.see(name, numbers, run.rows[keep])

    def _mark_stuck(self, run: Records, values: _Values, name: str, indices: npt.NDArray[np.int64]) -> None:
        if not len(indices):
            return
        remarks = values.remarks.setdefault(name, Remarks())
        for index in indices.tolist():
            remarks.add(index, ValueFlag.STUCK, None, "stuck")

    def _watch_order(self, run: Records, values: _Values, out: Mask) -> None:
        time = self.layout.time_column
        if time is None:
            return
        keep = np.flatnonzero(~out)
        times, rows = values.instants[time][keep], run.rows[keep]
        if not self._plan.order_by:
            self._order.see(times, rows, None)
            return
        texts = pc.fill_null(pc.cast(values.arrays[self._plan.order_by[0]], pa.string()), "").take(pa.array(keep))
        self._order.see(times, rows, groups(texts))

    # ---- one chunk

    def _finish(
        self, run: Records, values: _Values, out: Mask, quarantine: list[tuple[int, str, str]], duplicates: dict[int, int]
    ) -> Chunk:
        keep = pa.array(~out) if out.any() else None
        arrays = [pa.array(run.rows), *(values.arrays[column.name] for column in self.layout.columns)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        kept = batch.filter(keep) if keep is not None else batch
        for row, reason, _ in quarantine:
            self._seen.add(f"quarantine:{reason}", "", row)
        flags = self._flags(run, values, out)
        records = len(np.unique(kept.column(0))) if self.layout.format == "shdr" else kept.num_rows
        counts = (records, len(quarantine), len(duplicates))
        self._tally[0] += sum(counts)
        for place, count in enumerate(counts, start=1):
            self._tally[place] += count
        return Chunk(
            kept,
            flags,
            pa.RecordBatch.from_arrays([pa.array(list(part)) for part in zip(*quarantine, strict=True)], schema=QUARANTINE)
            if quarantine
            else pa.RecordBatch.from_pylist([], QUARANTINE),
            pa.RecordBatch.from_arrays([pa.array(list(duplicates)), pa.array(list(duplicates.values()))], schema=DUPLICATES)
            if duplicates
            else pa.RecordBatch.from_pylist([], DUPLICATES),
        )

    def _flags(self, run: Records, values: _Values, out: Mask) -> Any:  # noqa: ANN401 - pyarrow is untyped
        rows: list[int] = []
        names: list[str] = []
        flags: list[str] = []
        originals: list[str | None] = []
        for column in self.layout.columns:
            remarks = values.remarks.get(column.name)
            if remarks is None:
                continue
            for place in np.argsort(np.array(remarks.index, dtype=np.int64), kind="stable").tolist():
                index = remarks.index[place]
                if out[index]:
                    continue
                row = int(run.rows[index])
                rows.append(row)
                names.append(column.name)
                flags.append(remarks.flag[place])
                originals.append(remarks.original[place])
                self._seen.add(remarks.note[place], column.name, row, remarks.original[place])
        columns = [pa.array(rows, pa.int64()), pa.array(names, pa.string()), pa.array(flags, pa.string())]
        order = pa.array(np.argsort(np.array(rows, dtype=np.int64), kind="stable"))
        return pa.RecordBatch.from_arrays([*columns, pa.array(originals, pa.string())], schema=FLAGS).take(order)

    # ---- findings

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed about the table so far."""
        return (*self._told, *self._found(), *self._row_findings(), *self._cell_findings())

    def _row_findings(self) -> Iterator[Finding]:
        for kind in ("duplicate_rows", "duplicate_kept", "duplicate_asked", "shifted_columns"):
            rows = self._seen.rows[kind, ""]
            if rows:
                undo = kind if kind in ("duplicate_rows", "shifted_columns") else None
                yield finding(kind, rows, self._seen.examples[kind, ""], undo=undo)
        for reason, kind in _REASONS:
            rows = self._seen.rows[f"quarantine:{reason}", ""]
            if rows:
                yield finding(
                    kind, rows, self._seen.examples[f"quarantine:{reason}", ""], undo=kind if kind == "totals_row" else None
                )
        others = [
            key for key in self._seen.rows
            if key[0].startswith("quarantine:") and key[0][11:] not in dict(_REASONS)
        ]  # fmt: skip
        if others:
            examples = sorted(row for key in others for row in self._seen.examples[key])
            reasons: dict[str, Json] = {key[0][11:]: self._seen.rows[key] for key in others}
            yield finding("unreadable_rows", sum(self._seen.rows[key] for key in others), examples, facts={"reasons": reasons})
        if self._order.behind:
            facts: dict[str, Json] = {"steps_back": self._order.steps_back}
            yield finding("out_of_order", self._order.behind, self._order.examples, self.layout.time_column, facts=facts)
        if self._order.set_back:
            yield finding("clock_skew", self._order.set_back, self._order.set_back_examples, self.layout.time_column)

    def _cell_findings(self) -> Iterator[Finding]:
        by_kind = {
            "midnight_row": ("midnight_row",), "daylight_saving": ("daylight",), "bad_value_code": ("bad_word", "bad_code", "missing_word"),
            "bad_quality": ("quality",), "censored_value": ("censored",), "mixed_units": ("unit",), "unit_here": ("unit_here",),
            "unit_lost": ("unit_lost",), "unit_change": ("unit_change",), "unknown_units": ("unit_unknown",), "mixed_decimal": ("decimal",),
            "formula_cell": ("formula",), "type_change": ("type",), "bad_time": ("bad_time",), "stuck_values": ("stuck",),
        }  # fmt: skip
        for kind, notes in by_kind.items():
            for column in self.layout.columns:
                keys = [(note, column.name) for note in notes if self._seen.rows[note, column.name]]
                if not keys:
                    continue
                rows = sum(self._seen.rows[key] for key in keys)
                examples = sorted(row for key in keys for row in self._seen.examples[key])[:10]
                words = [word for key in keys for word, _ in self._seen.words.get(key, Counter()).most_common(8)]
                rule = self._plan.rules[column.name]
                shown = joined_words(words)
                if kind in ("mixed_units", "unit_here", "unit_lost"):
                    shown = (column.unit_text if kind != "mixed_units" else rule.unit) or ""
                facts: dict[str, Json] = {"words": list[Json](words)} if kind == "bad_value_code" else {}
                if kind == "unit_change":
                    facts = dict[str, Json](self._unit_changes[column.name])
                    shown = f"{facts['scale']:.6g}" + (f" ({facts['offset']:+.6g})" if facts["offset"] else "")
                undo = f"midnight_row:{column.name}" if kind == "midnight_row" else None
                if kind == "bad_value_code" and ("bad_code", column.name) in keys:
                    undo = f"bad_codes:{column.name}"
                yield finding(kind, rows, examples, column.name, shown, undo, facts)
        for name, rows in self._rollovers.counts.items():
            yield finding("counter_rollover", rows, self._rollovers.rows[name], name)


@dataclass(frozen=True)
class Plan:
    """The decisions of a layout in the form the reader works with."""

    names: tuple[str, ...]
    """Columns in the order in which the records bring them."""
    rules: dict[str, ColumnRule]
    joined: tuple[str, str, str] | None
    quality: dict[str, str]
    duplicates: str
    order_by: tuple[str, ...]
    stuck: dict[str, list[float]]
    counters: dict[str, float]
    tag_codes: dict[str, list[float]]
    tag_stuck: dict[str, list[float]]
    text_tags: frozenset[str]
    ranges: dict[str, list[float]]
    repair: Repair | None
    hard: int
    """Columns whose cells must be numbers or times."""
    total_words: Any
    place: Places | None
    """How a cell is known to stand in its own column; None where the records are no lines of fields."""
    conversions: dict[str, tuple[float, float] | None]
    """Columns whose unit in this file is another than in the template: scale and offset, None where there are none."""

    @classmethod
    def of(cls, layout: Layout, options: ReadOptions) -> Plan:
        """Read the plan out of a layout, without the decisions that were undone."""
        details = cast("dict[str, Any]", layout.details)
        rules = rules_of(layout)
        absent = frozenset(details.get("absent") or ())
        here = cast("dict[str, str]", details.get("units_here") or {})
        units = {name: rules[name].unit or _unit_of(layout, name) for name in here}
        conversions = {name: _units.affine(here[name], units[name] or "") for name in here}
        for name, rule in rules.items():
            rules[name] = replace(_without(rule, name, options), unit=here.get(name, rule.unit))
        joined = tuple(details["joined"]) if details.get("joined") else None
        derived = details.get("derived") or ()
        names = tuple(column.name for column in layout.columns if column.name not in derived)
        duplicates = "duplicate_rows" if details.get("key") else "duplicate_kept"
        if details.get("key") and (options.keep_duplicates or "duplicate_rows" in options.disabled):
            duplicates = "duplicate_asked"
        hard = sum(
            rule.type in ("number", "integer", "time") for name, rule in rules.items() if name in names and name not in absent
        )
        repair = None if "shifted_columns" in options.disabled else _repairer(layout, rules, names)
        words = sorted(
            {form for word in TOTAL_WORDS for form in (word, word.upper(), word.capitalize(), word.title(), word + ":")}
        )
        return cls(
            names, rules, cast("tuple[str, str, str] | None", joined),
            {name: quality for name, quality in (details.get("quality") or {}).items() if quality not in absent}, duplicates,
            tuple(details.get("order_by") or ()), dict(details.get("stuck") or {}), dict(details.get("counters") or {}),
            dict(details.get("tag_codes") or {}), dict(details.get("tag_stuck") or {}), frozenset(details.get("text_tags") or ()),
            {name: bounds for name, bounds in (details.get("ranges") or {}).items() if name in names and name not in absent}, repair, hard,
            pa.array(words, pa.string()), places_of(layout, rules, names, repair is not None), conversions,
        )  # fmt: skip

    def arrow_types(self, layout: Layout) -> list[Any]:
        """Return the Arrow type in which each column may be read at once, None where its texts are needed."""
        out: list[Any] = []
        parts = set(self.joined[1:]) if self.joined else set()
        for name in self.names:
            rule = self.rules[name]
            plain = rule.decimal == layout.decimal and rule.thousands is None and not rule.cell_units and not rule.bad_codes
            if name in parts:
                out.append(None)
            elif rule.type == "number" and plain and name not in self.quality and not self.tag_codes and not self.text_tags:
                out.append(pa.float64())
            elif rule.type == "integer" and plain and name not in self.quality:
                out.append(pa.int64())
            elif rule.type == "time" and rule.formats and rule.formats[0] in _ISO:
                out.append(pa.timestamp("us"))
            else:
                out.append(None)
        return out


def rules_of(layout: Layout) -> dict[str, ColumnRule]:
    """Return the rule of each column of a layout."""
    stored = cast("dict[str, dict[str, Json]]", layout.details.get("rules") or {})
    return {
        column.name: ColumnRule.from_json(stored[column.name]) if column.name in stored else ColumnRule(column.type)
        for column in layout.columns
    }


def _unit_of(layout: Layout, name: str) -> str | None:
    return next((column.unit_text for column in layout.columns if column.name == name), None)


def _without(rule: ColumnRule, name: str, options: ReadOptions) -> ColumnRule:
    if f"midnight_row:{name}" in options.disabled:
        rule = replace(rule, midnight=False)
    if f"bad_codes:{name}" in options.disabled:
        rule = replace(rule, bad_codes=())
    return rule


def _convert(array: Any, rule: ColumnRule) -> Any:  # noqa: ANN401 - pyarrow is untyped
    if rule.type == "text":
        return convert_text(array)
    if rule.type == "boolean":
        return convert_booleans(array)
    return convert_numbers(array, rule)


def _typed_clock(array: Any, rule: ColumnRule) -> Clock:  # noqa: ANN401 - pyarrow is untyped
    local = pc.fill_null(array.cast(pa.int64()), NO_TIME).to_numpy(zero_copy_only=False).copy()
    if rule.midnight:
        early = (local != NO_TIME) & (local % _times.DAY_US == 0)
        local[early] += _times.DAY_US
    said = NO_OFFSET if array.type.tz is None else 0
    return Clock(local, np.full(len(local), said, dtype=np.int32), Remarks())


def _clock_text(local: int) -> str:
    return str(np.datetime64(local, "us")).replace("T", " ")


def _written(value: float | int | str | bool) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _quality_words(array: Any) -> npt.NDArray[np.int8]:  # noqa: ANN401 - pyarrow is untyped
    """Return 0 (good), 1 (uncertain) or 2 (bad) for quality codes of OPC and for words."""
    encoded = pc.cast(array, pa.string()).dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    known = np.array([_quality(word) for word in encoded.dictionary.to_pylist()] + [1], dtype=np.int8)
    out: npt.NDArray[np.int8] = known[codes]
    return out


def _quality(word: str) -> int:
    folded = fold(word)
    if folded.isdigit():
        # OPC: the two highest of eight bits say good (11), uncertain (01) or bad (00).
        return {3: 0, 1: 1}.get((int(folded) & 0xFF) >> 6, 2) if int(folded) < 2**16 else 2
    if folded in GOOD_WORDS:
        return 0
    if folded in UNCERTAIN_WORDS:
        return 1
    return 2 if folded in BAD_QUALITY_WORDS or folded in BAD_WORDS else 1


def _repairer(layout: Layout, rules: dict[str, ColumnRule], names: Sequence[str]) -> Repair | None:
    """Return the way to put a shifted record right: exactly one arrangement must make every cell fit its column."""
    text = cast("dict[str, Any]", layout.details.get("text") or {})
    if "width" not in text:
        return None
    width, used = int(text["width"]), [int(place) for place in text["used"]]
    by_place = {place: rules[name] for place, name in zip(used, names, strict=True) if place >= 0}
    here = cast("dict[str, str]", layout.details.get("units_here") or {})
    ranges = cast("dict[str, list[float]]", layout.details.get("ranges") or {})
    bounds = {place: ranges[name] for place, name in zip(used, names, strict=True) if name in ranges and name not in here}
    hard = [place for place, rule in by_place.items() if rule.type in ("number", "integer", "time")]
    if len(hard) < 2:
        return None

    def fits(fields: list[str]) -> bool:
        return all(_cell_fits(fields[place], rule, bounds.get(place)) for place, rule in by_place.items())

    def repair(fields: list[str]) -> list[str] | None:
        candidates = [list(kept) for kept in dict.fromkeys(map(tuple, _arrangements(fields, width)))]
        fitting = [candidate for candidate in candidates if fits(candidate)]
        return fitting[0] if len(fitting) == 1 else None

    return repair


@dataclass(frozen=True)
class Places:
    """How a cell is known to stand in its own column, in a record parted into fields."""

    width: int
    rules: dict[int, ColumnRule]
    """By field position."""
    bounds: dict[int, list[float]]
    decimals: dict[int, int]
    words: dict[int, list[str]]
    worded: tuple[str, ...]
    """Names of columns of words."""
    filled: tuple[str, ...]
    """Names of columns that are hardly ever empty."""
    filled_places: frozenset[int]
    mends: bool
    """Whether shifted records are looked for."""

    def is_shifted(self, fields: list[str]) -> bool:
        """Whether exactly one move of the fields by one place makes all of them fit, while two or a number among words do not."""
        if not self.mends or len(fields) != self.width or all(cell.strip() for cell in fields):
            return False
        strange = [place for place in self.rules if not self._fits(fields, place)]
        if len(strange) < 2 and not any(self.rules[place].type == "text" for place in strange):
            return False
        moved = dict.fromkeys(map(tuple, _arrangements(fields, self.width)))
        return sum(all(self._fits(list(kept), place) for place in self.rules) for kept in moved) == 1

    def _fits(self, fields: list[str], place: int) -> bool:
        cell = fields[place].strip()
        if not _cell_fits(cell, self.rules[place], self.bounds.get(place)):
            return False
        written = decimals_of(cell, self.rules[place].decimal) if cell and place in self.decimals else None
        return written is None or written == self.decimals[place]

    def is_cut(self, fields: list[str]) -> bool:
        """Whether the last field is only the beginning of one."""
        place = max(self.rules, default=-1)
        if place < 0 or place >= len(fields):
            return place >= 0
        cell = fields[place].strip()
        if not cell:
            return place in self.filled_places
        if place in self.words:
            return any(word.startswith(cell) for word in self.words[place]) and cell not in self.words[place]
        return self.rules[place].type in ("number", "integer", "time") and not self._fits(fields, place)


def places_of(layout: Layout, rules: dict[str, ColumnRule], names: Sequence[str], mends: bool) -> Places | None:
    """Return how cells are known to stand in their columns; None where the records are no lines of fields."""
    details = cast("dict[str, Any]", layout.details)
    text = details.get("text") or {}
    if "width" not in text or layout.long is not None:
        return None
    here = details.get("units_here") or {}
    by_name = {name: int(place) for place, name in zip(text["used"], names, strict=True) if place >= 0}

    def by_place(kind: str) -> dict[int, Any]:
        return {
            by_name[name]: value for name, value in (details.get(kind) or {}).items() if name in by_name and name not in here
        }

    def present(kind: str) -> tuple[str, ...]:
        return tuple(name for name in details.get(kind) or () if name in by_name)

    return Places(
        int(text["width"]), {place: rules[name] for name, place in by_name.items()}, by_place("ranges"), by_place("decimals"),
        by_place("words"), present("worded"), present("filled"), frozenset(by_name[name] for name in present("filled")), mends,
    )  # fmt: skip


def _arrangements(fields: list[str], width: int) -> Iterator[list[str]]:
    """Yield the records that a record shifted by one field may have been."""
    if len(fields) == width + 1:
        for place, cell in enumerate(fields):
            if not cell.strip():
                yield [*fields[:place], *fields[place + 1 :]]
    elif len(fields) == width:
        for place, cell in enumerate(fields):
            if not cell.strip():
                yield [*fields[:place], *fields[place + 1 :], ""]
        if not fields[-1].strip():
            yield ["", *fields[:-1]]
    elif len(fields) == width - 1:
        for place in range(width):
            yield [*fields[:place], "", *fields[place:]]


def _cell_fits(cell: str, rule: ColumnRule, bounds: Sequence[float] | None) -> bool:
    text = cell.strip()
    if not text:
        return True
    if rule.type == "text":
        # A number or an instant in a column of words is a sign that the record is still shifted.
        return not _looks_typed(text)
    if rule.type == "boolean":
        return not _looks_typed(text)
    if rule.type == "time":
        clock = read_clocks(pa.array([text]), rule)
        return int(clock.local[0]) != NO_TIME
    value = read_number(text, rule).value
    if value is None:
        return fold(text) in BAD_WORDS or fold(text) in MISSING_WORDS
    return bounds is None or bounds[0] <= float(value) <= bounds[1]


def _looks_typed(text: str) -> bool:
    return kind_of(text) in ("number", "time")
