"""How a plant's files get ugly: the run of a line as its systems would export it, from a seed, with the truth apart.

The control systems keep another clock than the lot system; lot numbers are used twice; the laboratory repeats and corrects;
sensors freeze, lines shift by a cell, codes stand for values. Everything that was done is written down in an `ExportTruth`.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from madang.errors import InputError, Json
from madang.factory.twin._kiln import TARGET_CENTRE, TOLERANCE, KilnRun, System, Tag

if TYPE_CHECKING:
    import pyarrow as pa

FloatArray: TypeAlias = NDArray[np.float64]
TimeArray: TypeAlias = NDArray[np.datetime64]
Column: TypeAlias = NDArray[Any]

SEOUL = np.timedelta64(9, "h")


@dataclass
class ExportTruth:
    """What was done to the files, for scoring an intake and a join."""

    files: dict[str, dict[str, Json]] = field(default_factory=dict)
    """Per file (path inside the folder): ``system``, ``rows`` (source records), ``encoding``, and the troubles put in."""
    clock_offset_minutes: int = 0
    """Clock of the control systems minus clock of the lot system and the laboratory [min]."""
    reused_lots: list[str] = field(default_factory=list)
    """Lot numbers that stand for two lots."""
    repeated: list[str] = field(default_factory=list)
    """Lots tested twice; both results are valid."""
    superseded: list[str] = field(default_factory=list)
    """Lots whose first result was corrected later; the later result (``정정``) stands."""
    untested: list[str] = field(default_factory=list)
    """Lots without a laboratory result."""
    final: dict[str, float] = field(default_factory=dict)
    """The result that stands per lot number (mean of repeats; re-used numbers left out) [ppm]."""


def write_exports(
    run: KilnRun, folder: Path, *, truth: Path | None = None, lean: bool = False, troubles: bool = True
) -> ExportTruth:
    """Write a run as the exports of a plant.

    Args:
        run: The run of the line.
        folder: Where the exports go; made when missing.
        truth: File for the truth (JSON). It may not lie inside `folder`, where an intake would read it.
        lean: Two-minute history and no fast recordings: smaller files for long series of seeds.
        troubles: Whether the files carry faults of transmission and of people beside their ordinary ugliness.

    Returns:
        What was done.

    Raises:
        InputError: The truth would lie inside the folder.
    """
    if truth is not None and truth.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            "truth_inside_input", ko="정답 파일을 내보내기 폴더 안에 둘 수 없어요.", en="The truth may not lie inside the export folder.",
            next_ko="다른 폴더를 지정해 주세요.", next_en="Name a file in another folder.", where={"folder": folder.name},
        )  # fmt: skip
    rng = np.random.default_rng(np.random.SeedSequence([run.seed, 77]))
    done = ExportTruth(clock_offset_minutes=run.truth.clock_offset_minutes)
    for name in ("PLC", "UTIL", "LAB", "MES", "ERP", "일지"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lots = _lot_numbers(run, rng, done, troubles)
    _write_kiln_history(run, folder, rng, done, lean, troubles)
    _write_utility_history(run, folder, rng, done, lean, troubles)
    if not lean:
        _write_fast_history(run, folder, rng, done)
        _write_second_history(run, folder, rng, done)
    tests = _tests(run, lots, rng, done, troubles)
    _write_lab(tests, folder, done)
    _write_mes(run, lots, folder, done)
    _write_mes_database(run, lots, folder, done)
    _write_erp(run, lots, folder, rng, done)
    _write_log(run, folder, rng, done)
    if truth is not None:
        truth.parent.mkdir(parents=True, exist_ok=True)
        truth.write_text(json.dumps(truth_document(run, done), ensure_ascii=False, indent=1), encoding="utf-8")
    return done


def truth_document(run: KilnRun, done: ExportTruth) -> dict[str, Json]:
    """Return the truth of a run and of its exports as JSON values."""
    causes: list[Json] = [
        {
            "code": c.code, "columns": list(c.columns), "direction": c.direction, "window": c.window,
            "effect_sd_ppm": round(c.effect_sd, 1), "share": round(c.share, 3), **c.mechanism.fields("mechanism"),
        }
        for c in run.truth.causes
    ]  # fmt: skip
    return {
        "schema": "kiln_truth/1", "seed": run.seed, "target": run.truth.target, "unit": run.truth.unit,
        "tolerance": {"centre": TARGET_CENTRE, "plus_minus": TOLERANCE},
        "share_in_tolerance": round(run.truth.share_in_tolerance, 4), "causes": causes, "exports": asdict(done),
    }  # fmt: skip


def _write_table(
    path: Path, table: pa.Table, *, encoding: str, separator: str = ",", header: Sequence[str],
    lines: Mapping[int, str] | None = None, units: Sequence[str] | None = None, preamble: Sequence[str] = (),
    newline: str = "\r\n",
) -> None:  # fmt: skip
    """Write a table as delimited text without needless quotes; `lines` replaces data lines (0-based) by ready text."""
    rows = _rows_of_text(table, separator)
    for at, text in (lines or {}).items():
        rows[at] = text
    head = [*preamble, separator.join(header)]
    if units is not None:
        head.append(separator.join(units))
    path.write_bytes((newline.join([*head, *rows]) + newline).encode(encoding))


def _rows_of_text(table: pa.Table, separator: str) -> list[str]:
    """Return the records as lines; cells that hold a separator are quoted."""
    import csv as plain

    import pyarrow as pa
    from pyarrow import csv

    if table.num_rows < 10_000:
        text = io.StringIO()
        writer = plain.writer(text, delimiter=separator, lineterminator="\n")
        writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))
        body = text.getvalue()
    else:
        sink = pa.BufferOutputStream()
        csv.write_csv(table, sink, csv.WriteOptions(include_header=False, delimiter=separator, quoting_style="none"))
        body = sink.getvalue().to_pybytes().decode("utf-8")
    return body.removesuffix("\n").split("\n")


def _local_text(time: TimeArray, form: str = "space") -> list[str]:
    """Return local wall times of Seoul as text: ``space`` 2025-06-01 06:00:00, ``iso`` with T, ``ampm`` in Korean."""
    text = np.datetime_as_string(np.asarray(time.astype("datetime64[s]") + SEOUL, dtype="datetime64[s]"))
    if form == "iso":
        return [str(t) for t in text.tolist()]
    if form == "space":
        return [t.replace("T", " ") for t in text.tolist()]
    out = []
    for t in text:
        day, clock = str(t).split("T")
        hour = int(clock[:2])
        out.append(f"{day} {'오전' if hour < 12 else '오후'} {(hour % 12) or 12:02d}{clock[2:]}")
    return out


def _months(time: TimeArray) -> list[tuple[str, NDArray[np.int64]]]:
    """Return (``2025-06``, rows) per local month."""
    month = (time + SEOUL).astype("datetime64[M]")
    return [(str(m), np.flatnonzero(month == m)) for m in np.unique(month)]


def _cells(values: FloatArray) -> pa.Array:
    """Return numbers as text, integers without a point."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.size and np.all(values == np.floor(values)):
        return pc.cast(pa.array(values.astype(np.int64)), pa.string())
    return pc.cast(pa.array(values), pa.string())


def _spoil(cells: pa.Array, at: NDArray[np.int64], words: Sequence[str]) -> pa.Array:
    """Return the cells with some of them replaced by words for bad values, in turn."""
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = np.zeros(len(cells), dtype=bool)
    mask[at] = True
    return pc.replace_with_mask(cells, pa.array(mask), pa.array([words[i % len(words)] for i in range(len(at))], pa.string()))


def _system_tags(run: KilnRun, system: System) -> list[Tag]:
    return [t for t in run.tags if t.system == system]


def _planted(run: KilnRun) -> set[str]:
    return {name for cause in run.truth.causes for name in cause.columns}


def _history(run: KilnRun, lean: bool) -> tuple[NDArray[np.int64], TimeArray]:
    """Return the rows of the history that the export keeps, and their times on the control systems' clock."""
    rows = np.arange(0, len(run.time), 2 if lean else 1)
    return rows, run.time[rows] + np.timedelta64(run.truth.clock_offset_minutes, "m")


def _write_kiln_history(
    run: KilnRun, folder: Path, rng: np.random.Generator, done: ExportTruth, lean: bool, troubles: bool
) -> None:
    """Write the kiln's control system: one wide CP949 file a month with Korean headers."""
    import pyarrow as pa

    rows, clock = _history(run, lean)
    tags = _system_tags(run, "kiln")
    planted = _planted(run)
    calm = [t for t in tags if t.name not in planted and t.name.startswith("Z") and "설정" not in t.name]
    frozen, coded = (calm[int(i)] for i in rng.choice(len(calm), 2, replace=False))
    columns = {t.name: run.values[t.name][rows] for t in tags}
    stuck = (0, 0)
    if troubles:
        length = len(rows) // 60
        first = int(rng.integers(len(rows) // 4, len(rows) // 2))
        columns[frozen.name] = columns[frozen.name].copy()
        columns[frozen.name][first : first + length] = columns[frozen.name][first]
        stuck = (first, first + length)
    for month, inside in _months(clock):
        order = inside
        here: dict[str, Json] = {}
        held = int(np.sum((inside >= stuck[0]) & (inside < stuck[1])))
        if held:
            here["stuck"] = {"column": frozen.name, "records": held}
        bad = np.zeros(0, dtype=np.int64)
        if troubles and len(inside) > 2000:
            late = int(rng.integers(500, len(inside) - 800))
            block = inside[late : late + 60]
            order = np.concatenate([inside[:late], inside[late + 60 : late + 360], block, inside[late + 360 :]])
            order = np.concatenate([order, order[-40:]])
            bad = np.sort(rng.choice(len(order) - 100, max(len(order) // 1500, 6), replace=False))
            here |= {"out_of_order": 60, "duplicates": 40, "bad_codes": {"column": coded.name, "records": len(bad)}}
        cells: dict[str, Any] = {"t": pa.array(_local_text(clock[order]))}
        for t in tags:
            cells[t.name] = _cells(columns[t.name][order])
        if bad.size:
            # The repeated tail is left alone so that its records stay exact copies.
            cells[coded.name] = _spoil(cells[coded.name], bad, ("-", "9999", "#N/A", "ERR"))
        name = f"PLC/소성로1호기_{month}.csv"
        header = ["일시", *(f"{t.name}({t.unit})" if t.unit else t.name for t in tags)]
        _write_table(folder / name, pa.table(cells), encoding="cp949", header=header)
        done.files[name] = {"system": "plc", "rows": len(order), "encoding": "cp949", **here}


def _write_utility_history(
    run: KilnRun, folder: Path, rng: np.random.Generator, done: ExportTruth, lean: bool, troubles: bool
) -> None:
    """Write the utility system: vendor tags, a units row, a preamble; one month reports draft in Pa instead of mmAq."""
    import pyarrow as pa

    rows, clock = _history(run, lean)
    tags = _system_tags(run, "utility")
    for number, (month, inside) in enumerate(_months(clock)):
        here: dict[str, Json] = {}
        units = [t.unit for t in tags]
        cells: dict[str, Any] = {"t": pa.array(_local_text(clock[inside], "iso"))}
        for i, t in enumerate(tags):
            reading = run.values[t.name][rows][inside]
            if troubles and t.name == "RHK1.DRAFT" and number == 1:
                reading, units[i] = np.round(reading * 9.80665, 1), "Pa"
                here["unit_change"] = {"column": t.name, "from": "mmAq", "to": "Pa"}
            cells[t.name] = _cells(reading)
        lines: dict[int, str] = {}
        if troubles and len(inside) > 2000:
            shifted = np.sort(rng.choice(len(inside), 12, replace=False))
            for at in shifted:
                values = [str(cells[n][int(at)]) for n in cells]
                lines[int(at)] = ",".join([values[0], "", *values[1:]])
            here["shifted"] = len(shifted)
        name = f"UTIL/RHK1_UTIL_{month.replace('-', '')}.csv"
        _write_table(
            folder / name, pa.table(cells), encoding="utf-8-sig", header=["TimeStamp", *(t.name for t in tags)],
            units=["", *units], preamble=["# Export: UTIL-SCADA v4.2", f"# Period: {month}"], lines=lines,
        )  # fmt: skip
        done.files[name] = {"system": "utility", "rows": len(inside), "encoding": "utf-8-sig", **here}


def _write_fast_history(run: KilnRun, folder: Path, rng: np.random.Generator, done: ExportTruth) -> None:
    """Write the last three days of the ten-second recorder."""
    import pyarrow as pa

    tags = _system_tags(run, "fast")
    end = float(len(run.time) - 1) * 60.0
    seconds = np.arange(max(end - 3 * 86400.0, 0.0), end, 10.0)
    clock = run.time[0] + np.round(seconds).astype("timedelta64[s]") + np.timedelta64(run.truth.clock_offset_minutes, "m")
    cells: dict[str, Any] = {"t": pa.array(_local_text(clock))}
    for t in tags:
        smooth = np.interp(seconds / 60.0, np.arange(len(run.time)), run.values[t.name])
        cells[t.name] = _cells(np.round(smooth + 0.004 * np.abs(smooth) * rng.standard_normal(len(seconds)), t.decimals))
    name = "PLC/RHK1_TREND_10s.csv"
    _write_table(folder / name, pa.table(cells), encoding="utf-8", header=["TIME", *(f"{t.name} [{t.unit}]" for t in tags)])
    done.files[name] = {"system": "fast", "rows": len(seconds), "encoding": "utf-8", "sampling_seconds": 10}


def _write_second_history(run: KilnRun, folder: Path, rng: np.random.Generator, done: ExportTruth) -> None:
    """Write two hours of the historian's one-second form: long, epoch milliseconds, OPC quality codes."""
    import pyarrow as pa

    tags = _system_tags(run, "fast")[4:]
    first = len(run.time) // 2
    seconds = first * 60.0 + np.arange(0.0, 7200.0, 1.0)
    clock = run.time[0] + np.round(seconds).astype("timedelta64[s]") + np.timedelta64(run.truth.clock_offset_minutes, "m")
    epoch = clock.astype("datetime64[ms]").astype(np.int64)
    names, at, value, quality = [], [], [], []
    for t in tags:
        smooth = np.interp(seconds / 60.0, np.arange(len(run.time)), run.values[t.name])
        names.append(np.full(len(seconds), t.name))
        at.append(epoch)
        value.append(np.round(smooth + 0.006 * np.abs(smooth) * rng.standard_normal(len(seconds)), t.decimals))
        quality.append(rng.choice(np.array([192, 64, 0]), len(seconds), p=[0.985, 0.01, 0.005]))
    all_at = np.concatenate(at)
    order = np.argsort(all_at, kind="stable")
    table = pa.table({
        "tag": pa.array(np.concatenate(names)[order]), "t": pa.array(all_at[order]),
        "v": _cells(np.concatenate(value)[order]), "q": pa.array(np.concatenate(quality)[order]),
    })  # fmt: skip
    name = "PLC/RHK1_HIST_1s.tsv"
    _write_table(
        folder / name,
        table,
        encoding="utf-8",
        separator="\t",
        header=["TagName", "TimestampMs", "Value", "Quality"],
        newline="\n",
    )
    done.files[name] = {
        "system": "historian", "rows": len(order), "encoding": "utf-8", "sampling_seconds": 1,
        "not_good": int(np.sum(np.concatenate(quality) != 192)),
    }  # fmt: skip


def _lot_numbers(run: KilnRun, rng: np.random.Generator, done: ExportTruth, troubles: bool) -> list[str]:
    """Return the lot number of each lot as people wrote it: a few numbers are used twice, weeks apart."""
    lots = [str(x) for x in run.lots["lot"]]
    if not troubles:
        return lots
    again = rng.choice(np.arange(len(lots) // 2, len(lots)), 5, replace=False)
    for i in sorted(int(k) for k in again):
        old = lots[int(rng.integers(0, len(lots) // 4))]
        if old not in done.reused_lots:
            lots[i] = old
            done.reused_lots.append(old)
    return lots


def _tests(run: KilnRun, lots: list[str], rng: np.random.Generator, done: ExportTruth, troubles: bool) -> list[tuple[Any, ...]]:
    """Return the laboratory's rows in the order results came back."""
    lab = run.lab
    sampled = (lab["sampled"] + SEOUL).astype("datetime64[s]")
    resulted = (lab["resulted"] + SEOUL).astype("datetime64[s]")
    kind = rng.choice(4, len(lots), p=[0.95, 0.02, 0.02, 0.01] if troubles else [1.0, 0.0, 0.0, 0.0])
    rows: list[tuple[Any, ...]] = []
    reused = set(done.reused_lots)
    testers = ("한지우", "오세린", "문태경")
    for i, lot in enumerate(lots):
        if kind[i] == 3:
            done.untested.append(lot)
            continue
        value = float(lab["residual"][i])
        who = testers[int(rng.integers(0, 3))]
        rest = (float(lab["capacity"][i]), float(lab["crystallite"][i]), float(lab["d50"][i]))
        first = value
        if kind[i] == 2:
            # A slip of the balance: the first report is wrong and is corrected the same day.
            first = float(np.round(value * rng.choice([0.62, 1.45]), 0))
            done.superseded.append(lot)
        rows.append((resulted[i], lot, sampled[i], 1, first, *_parts(first, lab, i), *rest, who, ""))
        standing = value
        if kind[i] == 2:
            rows.append(
                (resulted[i] + np.timedelta64(5, "h"), lot, sampled[i], 1, value, *_parts(value, lab, i), *rest, who, "정정")
            )
        if kind[i] == 1:
            second = float(np.round(value + 75.0 * rng.standard_normal(), 0))
            rows.append(
                (
                    resulted[i] + np.timedelta64(4, "h"),
                    lot,
                    sampled[i],
                    2,
                    second,
                    *_parts(second, lab, i),
                    *rest,
                    who,
                    "재시험",
                )
            )
            standing = (value + second) / 2.0
            done.repeated.append(lot)
        if lot not in reused:
            done.final[lot] = standing
    rows.sort(key=lambda r: (r[0], r[1]))
    return rows


def _parts(value: float, lab: Mapping[str, Column], i: int) -> tuple[float, float]:
    """Return the two parts of a residual lithium: as LiOH and as Li2CO3."""
    share = float(lab["lioh"][i]) / float(lab["residual"][i])
    lioh = round(value * share)
    return float(lioh), value - lioh


def _write_lab(tests: list[tuple[Any, ...]], folder: Path, done: ExportTruth, *, history: bool = True) -> None:
    """Write the laboratory's workbook: title, merged two-level headers, units row, averages at the foot, a hidden sheet of corrections."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "시험결과"
    sheet["A1"] = "양극재 소성품 시험 성적서"
    sheet["A2"] = "작성: 품질보증팀"
    top = ["로트번호", "채취일시", "결과일시", "회차", "잔류리튬", None, None, "물성", None, None, "시험자", "비고"]
    low = [None, None, None, None, "합계", "LiOH", "Li2CO3", "방전용량", "결정자크기", "D50", None, None]
    units = [None, None, None, None, "ppm", "ppm", "ppm", "mAh/g", "nm", "㎛", None, None]
    for line in ([], top, low, units):
        sheet.append(line)
    for area in ("E4:G4", "H4:J4", "A4:A5", "B4:B5", "C4:C5", "D4:D5", "K4:K5", "L4:L5"):
        sheet.merge_cells(area)
    for resulted, lot, sampled, run_number, total, lioh, carbonate, capacity, crystallite, d50, who, note in tests:
        sheet.append(
            [
                lot,
                sampled.item(),
                resulted.item(),
                run_number,
                total,
                lioh,
                carbonate,
                capacity,
                crystallite,
                d50,
                who,
                note or None,
            ]
        )
    average = [float(np.mean([t[k] for t in tests])) for k in range(4, 10)]
    sheet.append(["평균", None, None, None, *(round(a, 2) for a in average), None, None])
    if history:
        hidden = book.create_sheet("보정이력")
        hidden.append(["일자", "장비", "보정값"])
        hidden.append(["2025-01-02", "적정기 2호", 1.002])
        hidden.sheet_state = "hidden"
    name = "LAB/소성품_시험성적.xlsx"
    book.save(folder / name)
    done.files[name] = {"system": "lab", "rows": len(tests), "encoding": None, "totals_row": 1, "hidden_sheet": int(history)}


def _mes_columns(run: KilnRun, lots: list[str]) -> dict[str, list[Any]]:
    """Return the lot system's export, column by column."""
    lot, raw, lab = run.lots, run.raw, run.lab
    index = lot["raw"].astype(np.int64)
    off = np.abs(lab["residual"].astype(np.float64) - TARGET_CENTRE)
    scrap = np.where(off > TOLERANCE, 1 + (off - TOLERANCE) // 120.0, 0.0).astype(np.int64)
    return {
        "로트번호": lots,
        "제품": ["NCM622"] * len(lots),
        "레시피": ["R-850A"] * len(lots),
        "투입일시": _local_text(lot["charge"], "ampm"),
        "배출일시": _local_text(lot["discharge"], "ampm"),
        "레인": [str(x) for x in lot["lane"]],
        "단": [str(x) for x in lot["layer"]],
        "새거수량": [int(x) for x in lot["saggars"]],
        "투입량(kg)": [f"{float(x):,.1f}" for x in lot["mass"]],
        "원료로트": [str(x) for x in raw["raw_lot"][index]],
        "공급사": [str(x) for x in raw["supplier"][index]],
        "Li/Me비": [f"{float(x):.5f}" for x in raw["ratio"][index]],
        "원료수분(%)": [f"{float(x):.3f}" for x in raw["moisture"][index]],
        "원료BET(m2/g)": [f"{float(x):.3f}" for x in raw["bet"][index]],
        "작업조": [str(x) for x in lot["shift"]],
        "작업자": [str(x) for x in lot["operator"]],
        "폐기수량": [int(x) for x in scrap],
        "판정": ["합격" if s == 0 else "불합격" for s in scrap],
    }


def _write_mes(run: KilnRun, lots: list[str], folder: Path, done: ExportTruth) -> None:
    """Write the lot system's list (CP949, morning and afternoon in Korean)."""
    import pyarrow as pa

    columns = _mes_columns(run, lots)
    name = "MES/생산로트.csv"
    table = pa.table({k: pa.array([str(x) for x in v]) for k, v in columns.items()})
    _write_table(folder / name, table, encoding="cp949", header=list(columns))
    done.files[name] = {"system": "mes", "rows": len(lots), "encoding": "cp949", "reused_lots": len(done.reused_lots)}


def _write_mes_database(run: KilnRun, lots: list[str], folder: Path, done: ExportTruth) -> None:
    """Write the lot system's database: steps of each lot, and receipts of raw lots."""
    name = "MES/mes.sqlite"
    path = folder / name
    path.unlink(missing_ok=True)
    lot, raw = run.lots, run.raw
    borders = [_local_text(lot[k]) for k in ("charge", "soak_start", "soak_end", "discharge")]
    steps = [
        (lots[i], step, borders[k][i], borders[k + 1][i])
        for i in range(len(lots))
        for k, step in enumerate(("승온", "유지", "냉각"))
    ]
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE lot_step (lot_no TEXT, step TEXT, start_time TEXT, end_time TEXT)")
        base.executemany("INSERT INTO lot_step VALUES (?, ?, ?, ?)", steps)
        base.execute("CREATE TABLE raw_lot (raw_lot_no TEXT, supplier TEXT, received TEXT, weight_kg REAL)")
        received = _local_text(raw["received"])
        base.executemany(
            "INSERT INTO raw_lot VALUES (?, ?, ?, ?)",
            [(str(r), str(s), t, 16_000.0) for r, s, t in zip(raw["raw_lot"], raw["supplier"], received, strict=True)],
        )
    base.close()
    done.files[name] = {
        "system": "mes",
        "rows": len(steps) + len(raw["raw_lot"]),
        "encoding": None,
        "tables": {"lot_step": len(steps), "raw_lot": len(raw["raw_lot"])},
    }


def _write_erp(run: KilnRun, lots: list[str], folder: Path, rng: np.random.Generator, done: ExportTruth) -> None:
    """Write orders and costs (CP949, thousands marks, money in won)."""
    import pyarrow as pa

    mass = run.lots["mass"].astype(np.float64)
    energy = np.round(mass * rng.normal(310.0, 6.0, len(lots)), -1)
    material = np.round(mass * rng.normal(24_500.0, 260.0, len(lots)), -2)
    day = [t[:10].replace("-", ".") for t in _local_text(run.lots["discharge"])]
    table = pa.table({
        "a": [f"PO{250000 + i // 12}" for i in range(len(lots))], "b": day, "c": lots,
        "d": [f"{m:,.1f}" for m in mass], "e": [f"{int(x):,}" for x in energy], "f": [f"{int(x):,}" for x in material],
        "g": [f"{int(x + y):,}" for x, y in zip(energy, material, strict=True)],
    })  # fmt: skip
    name = "ERP/오더원가.csv"
    header = ["오더번호", "전기일자", "로트번호", "수량(kg)", "에너지비(원)", "원료비(원)", "총원가(원)"]
    _write_table(folder / name, table, encoding="cp949", header=header)
    done.files[name] = {"system": "erp", "rows": len(lots), "encoding": "cp949"}


REMARKS = (
    "새거 파손 1매 교체함", "롤러 이음 발생, 정비팀 연락함", "배기팬 필터 청소", "인수인계 이상 없음", "산소 봄베 교체 완료",
    "장입구 커튼 교체 요청", "존 온도 편차 있어 확인 중", "원료 투입 지연 20분", "시료 채취 후 QA 전달", "청소 및 점검 실시",
)  # fmt: skip


def _write_log(run: KilnRun, folder: Path, rng: np.random.Generator, done: ExportTruth) -> None:
    """Write the crews' log: free text with invented names and telephone numbers."""
    import pyarrow as pa

    days = int((run.time[-1] - run.time[0]).astype("timedelta64[D]").astype(int))
    at, crew, who, text = [], [], [], []
    names = sorted({str(x) for x in run.lots["operator"]})
    for k in range(days * 3):
        at.append(run.time[0] + np.timedelta64(8 * k * 60 + int(rng.integers(0, 440)), "m"))
        crew.append(("주간", "오후", "야간")[k % 3])
        person = names[int(rng.integers(0, len(names)))]
        who.append(person)
        remark = REMARKS[int(rng.integers(0, len(REMARKS)))]
        if rng.random() < 0.2:
            remark += f" ({names[int(rng.integers(0, len(names)))]} 010-{rng.integers(2000, 9999)}-{rng.integers(1000, 9999)})"
        text.append(remark)
    table = pa.table({"t": _local_text(np.array(at)), "c": crew, "w": who, "x": text})
    name = "일지/운전일지.csv"
    _write_table(folder / name, table, encoding="utf-8-sig", header=["일시", "근무조", "작성자", "내용"])
    done.files[name] = {"system": "log", "rows": len(at), "encoding": "utf-8-sig", "personal": True}
