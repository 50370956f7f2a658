"""Answers every record of new files: one line each, in their order, from nothing that came after."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from madang.connect import ROW, TableReader
from madang.errors import InputError, Json
from madang.library import PART, ColumnCard, ReadResult
from madang.models._assemble import frame_of, read_of
from madang.models._assemble_columns import instants
from madang.models._features import Builder, Matrix
from madang.models._frame import BoolArray, FloatArray, Frame, IntArray, Series
from madang.models._history import History, Query, look
from madang.models._model import SavedModel
from madang.models._race import standing_still
from madang.models._setting import TARGET_OF_FAMILY, joined_family
from madang.models._study import _beyond
from madang.plant import Bilingual, affine, parse_unit

HEADER = (
    "source", "row", "time", "issued", "group", "prediction", "lower", "upper", "probability", "score", "limit", "alarm", "flag", "reason",
)  # fmt: skip
FLAGS = ("ok", "outside", "degraded", "no_history", "stale", "unread")
OUTSIDE = 0.05
"""How far beyond the learned range an input may lie before a line is flagged, in widths of that range."""


@dataclass(frozen=True)
class Predicted:
    """What a prediction run did."""

    rows: int
    flags: dict[str, int]
    sources: tuple[str, ...]

    def document(self) -> dict[str, Json]:
        """Return the report as ``predict/1`` (without the envelope that a face adds)."""
        return {"rows": self.rows, "flags": dict(self.flags), "sources": list(self.sources)}


def predict(
    model: SavedModel,
    readers: Sequence[TableReader],
    out: Path | io.TextIOBase,
    *,
    progress: Callable[[Bilingual, float], None] | None = None,
) -> Predicted:
    """Answer every record of new files with a saved model, and write the lines as CSV.

    A model of joined exports answers every record of the table that lists the lots; the other files tell of those lots.
    Every line depends on the model and on records before it alone: cutting a file after any record changes no earlier line.

    Args:
        model: What a study saved.
        readers: Files of the same kind, opened with the layouts the model was learned from; read once.
        out: File (written whole, or not at all) or text stream for the lines.
        progress: Told what is being done.

    Raises:
        InputError: The model's rows are no lots that a table lists, a file lacks the columns that give time, order or group, or none of the model's inputs is in it.
    """
    tell = progress or (lambda what, share: None)
    tell(Bilingual("파일을 읽고 있어요", "Reading the files"), 0.1)
    records, frame = _joined(model, readers) if model.facts.get("joined") else (_records(readers), None)
    lines = answer(model, records, tell, frame)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(lines)
    if isinstance(out, Path):
        half = out.with_name(out.name + ".part")
        half.write_text(text.getvalue(), encoding="utf-8", newline="")
        half.replace(out)
    else:
        out.write(text.getvalue())
    counts = Counter(line[HEADER.index("flag")] for line in lines)
    return Predicted(
        len(lines), {flag: counts[flag] for flag in FLAGS if counts[flag]}, tuple(r.source.source for r in readers)
    )


@dataclass(frozen=True)
class Records:
    """All records of some files, in their order, unreadable ones as empty rows."""

    table: pa.Table
    unread: tuple[str, ...]
    """Why a record could not be read; empty for those that could."""
    sources: tuple[str, ...]


def _records(readers: Sequence[TableReader], *, joined: bool = False) -> Records:
    """Read whole files; a long table (tag, value) may be one of several that are joined, but has no records to answer."""
    tables: list[pa.Table] = []
    unread: list[str] = []
    for part, reader in enumerate(readers):
        if reader.layout.layout == "long" and not joined:
            raise InputError(
                "long_table",
                ko=f"{reader.source.source}: 세로로 긴 표(태그·값)는 아직 행마다 예측할 수 없어요.",
                en=f"{reader.source.source}: a long table (tag, value) cannot be answered record by record yet.",
                next_ko="library export --form wide 로 펼친 파일을 주세요.",
                next_en="Give a file widened by library export --form wide.",
                where={"source": reader.source.source},
            )
        chunks = list(reader.chunks())
        good = pa.Table.from_batches([c.rows for c in chunks]) if chunks else pa.table({ROW: pa.array([], pa.int64())})
        bad: dict[int, str] = {}
        for chunk in chunks:
            for row, reason in zip(chunk.quarantine["row"].to_pylist(), chunk.quarantine["reason"].to_pylist(), strict=True):
                bad[int(row)] = str(reason)
            for row, of in zip(chunk.duplicates["row"].to_pylist(), chunk.duplicates["of_row"].to_pylist(), strict=True):
                bad[int(row)] = f"duplicate of record {of}"
        if bad:
            empty = pa.table({ROW: pa.array(sorted(bad), pa.int64())})
            good = pa.concat_tables([good, empty], promote_options="default").sort_by(ROW)
        numbers = good[ROW].to_pylist()
        unread += [bad.get(int(n), "") for n in numbers]
        tables.append(good.append_column(PART, pa.array(np.full(len(numbers), part), pa.int32())))
    table = pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({ROW: pa.array([], pa.int64())})
    return Records(table, tuple(unread), tuple(r.source.source for r in readers))


def answer(
    model: SavedModel,
    records: Records,
    tell: Callable[[Bilingual, float], None] = lambda what, share: None,
    frame: Frame | None = None,
) -> list[list[str]]:
    """Return the lines (without the header) for some records, or for the frame that was already made of them."""
    rows = records.table.num_rows
    if rows == 0:
        return []
    frame = _frame(model, records) if frame is None else frame
    tell(Bilingual("예측하고 있어요", "Predicting"), 0.4)
    timing = model.timing or standing_still()
    past = _continued(model, frame)
    history, query, place = look(frame, model.target, timing, past=past)
    builder = Builder(history, query, timing)
    features = builder.matrix(model.recipe)
    watched = builder.matrix(model.watched)
    base = model.learner.predict(features)
    missing = _absent(model, features)
    if model.classes:
        columns = _class_columns(model, base)
    else:
        columns = _number_columns(model, frame, history, query, place, past, base, watched)
    tell(Bilingual("쓰고 있어요", "Writing"), 0.9)
    flags = _flags(model, records, query, history, watched, missing)
    when = _instants(query.clock, model)
    issued = _instants(_issued(model, query), model)
    lines = []
    for row in range(rows):
        flag, reason = flags[row]
        values = ["", "", "", ""] if flag == "unread" else [c[row] for c in columns]
        lines.append([
            records.sources[int(frame.part[row])] if records.sources else "", str(int(frame.row[row])),
            when[row], issued[row] if flag != "unread" else "", "" if frame.group is None else str(frame.group[row]),
            *values, "", "", "", flag, reason,
        ])  # fmt: skip
    return lines


def _joined(model: SavedModel, readers: Sequence[TableReader]) -> tuple[Records, Frame]:
    """Return the records of the table that lists the lots, and what all files tell of each."""
    from madang.models._predict_joined import by_table, joined_frame, lots_name, plant_table

    single = [_records([reader], joined=True) for reader in readers]
    numbers = by_table(model, {at: found.table.column_names for at, found in enumerate(single)})
    lots = lots_name(model)
    if not numbers[lots]:
        raise InputError(
            "no_lots", ko=f"로트 목록 '{lots}'에 해당하는 파일이 없어요.", en=f"No file is the list of lots, '{lots}'.",
            next_ko="로트의 시작과 끝이 있는 파일을 함께 주세요.", next_en="Give the file with starts and ends of the lots too.",
            where={"model": model.name},
        )  # fmt: skip
    tables, answered = {}, Records(pa.table({}), (), ())
    for name, places in numbers.items():
        records = _together([single[at] for at in places])
        table = records.table
        if name == lots:
            answered = records
        else:
            table = table.filter(pa.array([not reason for reason in records.unread], pa.bool_()))
        made = plant_table(model, name, table if places else None, records.sources)
        units = replace(made.view, table=_in_units(made.view.table, made.view.columns))
        tables[name] = replace(made, view=units)
    frame = joined_frame(model, tables)
    if model.timing is None or not model.timing.timed:
        frame = replace(frame, time=None, result_time=None)
    return answered, replace(frame, series={s.name: _same_categories(model, s) if s.name == model.target else s for s in frame})


def _together(some: Sequence[Records]) -> Records:
    """Return the records of several files one after another, each a part of its own."""
    tables = [
        one.table.set_column(one.table.column_names.index(PART), PART, pa.array(np.full(one.table.num_rows, part), pa.int32()))
        for part, one in enumerate(some)
    ]
    table = pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({ROW: pa.array([], pa.int64())})
    return Records(table, tuple(u for one in some for u in one.unread), tuple(name for one in some for name in one.sources))


def _frame(model: SavedModel, records: Records) -> Frame:
    """Read records into the columns, categories and classes that the study knew."""
    cards = {c.name: c.card() for c in model.columns if c.name in records.table.column_names}
    records = replace(records, table=_in_units(records.table, cards.values()))
    read = read_of(records.table)
    known = {c.name for c in read.columns}
    shown = ReadResult(records.table, tuple(cards.get(c.name, c) for c in read.columns), read.version, (), read.decision)
    request = model.request
    target = request.target if request.target in known else None
    keep = [c.name for c in model.columns if c.type == "text"]
    frame = frame_of(shown, replace(request, target=target, exclude=(), train_rows=None), keep=keep)
    # What the study settled stays settled: nothing about groups or result times is found out anew from the new file.
    late = model.facts.get("result_time")
    returned = instants(records.table[late]) if isinstance(late, str) and late in records.table.column_names else None
    frame = replace(frame, sources=records.sources, result_time=returned, group=frame.group if request.group else None)
    if model.family:
        present = all(n in frame.series for n in model.family)
        frame = (
            joined_family(frame, model.family) if present else frame.without(*[n for n in model.family if n in frame.series])
        )
    if not (model.timing is not None and model.timing.timed):
        frame = replace(frame, time=None, result_time=None)
    elif frame.time is None:
        raise InputError(
            "no_time", ko="모델이 쓰는 시각 열이 파일에 없어요.", en="The file lacks the time column that the model uses.",
            next_ko="학습한 것과 같은 종류의 파일을 주세요.", next_en="Give a file of the kind the model was learned from.",
        )  # fmt: skip
    series = {s.name: _same_categories(model, s) for s in frame}
    used = {c for f in model.recipe for c in f.columns}
    if used and not used & set(series):
        names = ", ".join(sorted(used)[:10])
        raise InputError(
            "no_inputs", ko=f"모델의 입력이 파일에 하나도 없어요: {names}", en=f"None of the model's inputs is in the file: {names}",
            next_ko="학습한 것과 같은 종류의 파일을 주세요.", next_en="Give a file of the kind the model was learned from.",
        )  # fmt: skip
    return replace(frame, series=series)


def _in_units(table: pa.Table, cards: Iterable[ColumnCard]) -> pa.Table:
    """Turn the numbers a file writes into the units the study learned in."""
    for card in cards:
        if card.unit is None or card.unit_source is None or card.type not in ("number", "integer"):
            continue
        written = parse_unit(card.unit_source, card.kind)
        if written is None:
            continue
        scale, offset = affine(written, card.unit)
        if (scale, offset) != (1.0, 0.0):
            values = table[card.name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            at = table.column_names.index(card.name)
            table = table.set_column(at, card.name, pa.array(values * scale + offset, pa.float64(), from_pandas=True))
    return table


def _same_categories(model: SavedModel, series: Series) -> Series:
    """Code a column by the categories of the study; what it never saw becomes absent."""
    if series.name == model.target or series.name == TARGET_OF_FAMILY:
        wanted: tuple[str, ...] | None = model.classes or None
    else:
        wanted = next((c.categories for c in model.columns if c.name == series.name), None)
    if wanted is None:
        return replace(series, values=np.full(len(series.values), np.nan), categories=None) if series.categories else series
    code = {name: float(place) for place, name in enumerate(wanted)}
    names = (
        series.categories
        if series.categories is not None
        else tuple(f"{v:g}" for v in np.unique(series.values[np.isfinite(series.values)]))
    )
    if series.categories is None:
        levels = np.unique(series.values[np.isfinite(series.values)])
        place = np.searchsorted(levels, np.nan_to_num(series.values))
    else:
        place = np.nan_to_num(series.values).astype(np.int64)
    table = np.array([code.get(n, np.nan) for n in names] or [np.nan])
    values = np.where(np.isfinite(series.values), table[np.minimum(place, len(table) - 1)], np.nan)
    return replace(series, values=values, categories=wanted)


def _continued(model: SavedModel, frame: Frame) -> Frame | None:
    """Return the end of the learned rows when the file continues after them; decided on the first record with a time alone."""
    tail = model.tail
    if tail is None or not len(tail) or tail.time is None or frame.time is None:
        return None
    known = np.flatnonzero(~np.isnat(frame.time))
    if not len(known) or not frame.time[known[0]] > tail.time[~np.isnat(tail.time)].max():
        return None
    return tail


def _absent(model: SavedModel, features: Matrix) -> BoolArray:
    """Say which features (row, feature) are absent."""
    return np.asarray(~np.isfinite(features))


def _number_columns(
    model: SavedModel,
    frame: Frame,
    history: History,
    query: Query,
    place: IntArray,
    past: Frame | None,
    base: FloatArray,
    watched: Matrix,
) -> list[list[str]]:
    target = frame[model.target].values if model.target in frame.series else np.full(len(frame), np.nan)
    inside = place >= 0
    residual = np.full(len(history), np.nan)
    residual[place[inside]] = (target - base)[inside]
    inputs = np.zeros((len(history), len(model.inputs.columns)))
    now = model.inputs.scaled(watched)
    inputs[place[inside]] = now[inside]
    if past is not None and len(model.tail_residual) == len(past):
        # The tail comes first in its own runs; its own rows never change with the file.
        old = _tail_places(history, place)
        residual[old] = model.tail_residual[-len(old) :] if len(old) else residual[old]
        timing = model.timing or standing_still()
        _, before, own = look(past, model.target, timing)
        scaled = model.inputs.scaled(Builder(_, before, timing).matrix(model.watched))
        inputs[old] = scaled[np.argsort(own, kind="stable")][-len(old) :]
    corrected = base + model.feedback.corrections(history, query, residual, inputs, now)
    if model.band is None:
        return [[_text(v) for v in corrected], [""] * len(base), [""] * len(base), [""] * len(base)]
    beyond = _beyond(model.inputs.outside(watched))
    scale = model.band.scale(corrected, beyond)
    final = np.full(len(history), np.nan)
    scales = np.full(len(history), np.nan)
    final[place[inside]] = (target - corrected)[inside]
    scales[place[inside]] = scale[inside]
    half = model.band.quantiles(history, query, final, scales) * scale
    return [
        [_text(v) for v in corrected],
        [_text(v) for v in corrected - half],
        [_text(v) for v in corrected + half],
        [""] * len(base),
    ]


def _tail_places(history: History, place: IntArray) -> IntArray:
    """History rows that are not rows of the file."""
    mine = np.zeros(len(history), dtype=bool)
    mine[place[place >= 0]] = True
    return np.flatnonzero(~mine).astype(np.int64)


def _class_columns(model: SavedModel, base: FloatArray) -> list[list[str]]:
    called = np.argmax(base * model.weights, axis=1)
    likely = base[np.arange(len(base)), called]
    nothing = [""] * len(base)
    return [[model.classes[int(c)] for c in called], nothing, nothing, [_text(v) for v in likely]]


def _text(value: float) -> str:
    return f"{value:.9g}" if np.isfinite(value) else ""


def _issued(model: SavedModel, query: Query) -> FloatArray:
    return np.where(np.isfinite(query.issue), query.issue, np.nan)


def _instants(clock: FloatArray, model: SavedModel) -> list[str]:
    """Write clock readings as UTC instants; empty when the clock counts rows."""
    if model.timing is None or not model.timing.timed:
        return [""] * len(clock)
    # Rounded down: what is issued must never look later than it was.
    micros = np.floor(np.where(np.isfinite(clock), clock, 0.0) * 1e6 + 1e-3).astype(np.int64) + model.timing.origin
    stamps = micros.astype("datetime64[us]")
    # Each in its own form: that of the others must not decide it.
    whole = micros % 1_000_000 == 0
    texts = np.where(whole, np.datetime_as_string(stamps, unit="s"), np.datetime_as_string(stamps, unit="us"))
    return [f"{t}Z" if np.isfinite(c) else "" for t, c in zip(texts, clock, strict=True)]


def _flags(
    model: SavedModel, records: Records, query: Query, history: History, watched: Matrix, missing: BoolArray
) -> list[tuple[str, str]]:
    """Return a flag and its reason for every record, the gravest that applies."""
    names = [", ".join(f.columns) or f.name for f in model.watched]
    beyond = model.inputs.outside(watched) > OUTSIDE
    absent = (
        ~np.isfinite(watched) & np.isfinite(model.inputs.scale)[None, :]
        if watched.shape[1]
        else np.zeros((len(missing), 0), dtype=bool)
    )
    looks = [
        n
        for n, f in enumerate(model.recipe)
        if f.kind in ("lag", "roll", "target_lag", "target_roll", "result", "results", "slot")
    ]
    newest = _newest(model, query, history)
    timing = model.timing or standing_still()
    forecast = model.task == "forecast"
    made: list[tuple[str, str]] = []
    for row in range(len(records.unread)):
        if records.unread[row]:
            made.append(("unread", records.unread[row]))
        elif timing.timed and not np.isfinite(query.clock[row]):
            made.append(("unread", "no time"))
        elif forecast and looks and bool(missing[row, looks].all()):
            made.append(("no_history", "no reading before the issue"))
        elif forecast and np.isfinite(newest[row]) and query.issue[row] - newest[row] > 3 * timing.step:
            made.append(("stale", "the newest reading before the issue is old"))
        elif beyond.shape[1] and bool(beyond[row].any()):
            made.append(
                ("outside", "outside the learned range: " + "; ".join(names[n] for n in np.flatnonzero(beyond[row])[:5]))
            )
        elif absent.shape[1] and bool(absent[row].any()):
            made.append(("degraded", "absent: " + "; ".join(names[n] for n in np.flatnonzero(absent[row])[:5])))
        else:
            made.append(("ok", ""))
    return made


def _newest(model: SavedModel, query: Query, history: History) -> FloatArray:
    from madang.models._history import as_of

    found = as_of(history, query, query.issue)
    if not len(history):
        return np.full(len(query), np.nan)
    return np.where(found >= 0, history.clock[np.maximum(found, 0)], np.nan)
