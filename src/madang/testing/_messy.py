"""Messy files by the seed, each with the truth beside it, and a judge of what an intake made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from madang.errors import InputError
from madang.factory.twin._emit import ColumnTruth, Emitted, EmittedTruth, FileForm, Outcome, Style, TimeForm, Trouble, emit
from madang.factory.twin._plain import Language, plain_table

PREAMBLES: Mapping[Language, tuple[str, ...]] = {
    "ko": ("설비명: 2호기 가열로", "출력자: 시스템"),
    "vendor": ("# Trend export v3", "# Station 4"),
    "de": ("Gerät: Ofen 2", "Exportiert am 05.01.2025"),
}

_SINGLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("plain csv", {}),
    ("utf-8-sig", {"encoding": "utf-8-sig"}),
    ("cp949", {"encoding": "cp949"}),
    ("utf-16", {"encoding": "utf-16", "separator": "\t", "form": "tsv"}),
    ("latin-1", {"encoding": "latin-1", "separator": ";", "decimal": ","}),
    ("semicolon", {"separator": ";"}),
    ("pipe", {"separator": "|"}),
    ("tab", {"separator": "\t", "form": "tsv"}),
    ("tab in a csv", {"separator": "\t"}),
    ("decimal comma and thousands", {"separator": ";", "decimal": ",", "thousands": True}),
    ("thousands", {"thousands": True}),
    ("preamble", {"preamble": True}),
    ("two header rows", {"header": "two"}),
    ("units row", {"units": "row"}),
    ("no header", {"header": "none", "units": "none"}),
    ("transposed", {"layout": "transposed", "units": "none", "time": "epoch_s"}),
    ("long", {"layout": "long", "units": "none"}),
    ("fixed width", {"form": "fixed"}),
    ("blanks", {"form": "whitespace", "units": "none", "time": "epoch_s"}),
    ("json lines", {"form": "jsonl"}),
    ("json array", {"form": "json"}),
    ("nested json lines", {"form": "jsonl", "layout": "nested"}),
    ("parquet", {"form": "parquet"}),
    ("workbook", {"form": "xlsx"}),
    ("workbook, merged headers", {"form": "xlsx", "header": "two", "units": "row", "preamble": True}),
    ("workbook, hidden sheet", {"form": "xlsx", "troubles": ("hidden_sheet",)}),
    ("workbook, hidden column", {"form": "xlsx", "troubles": ("hidden_column",)}),
    ("workbook, second table", {"form": "xlsx", "troubles": ("second_table",)}),
    ("workbook, totals", {"form": "xlsx", "troubles": ("totals",)}),
    ("sqlite", {"form": "sqlite"}),
    ("gzip", {"compress": "gzip"}),
    ("zip", {"compress": "zip", "encoding": "cp949"}),
    ("morning and afternoon", {"time": "ampm"}),
    ("24:00:00", {"time": "h24"}),
    ("midnight row", {"time": "midnight_row"}),
    ("day first, points", {"time": "day_first_dot"}),
    ("day first, strokes", {"time": "day_first_slash"}),
    ("epoch s", {"time": "epoch_s"}),
    ("epoch ms", {"time": "epoch_ms"}),
    ("epoch us", {"time": "epoch_us"}),
    ("twelve digits", {"time": "compact"}),
    ("offset", {"time": "iso_offset"}),
    ("duplicates", {"troubles": ("duplicates",)}),
    ("out of order", {"troubles": ("out_of_order",)}),
    ("shifted, longer", {"troubles": ("shifted_longer",)}),
    ("shifted, same length", {"troubles": ("shifted_same",)}),
    ("totals", {"troubles": ("totals",)}),
    ("truncated", {"troubles": ("truncated",)}),
    ("bad codes", {"troubles": ("bad_codes",)}),
    ("missing words", {"troubles": ("missing_words",)}),
    ("stuck", {"troubles": ("stuck",)}),
    ("rollover", {"troubles": ("rollover",)}),
    ("mixed units", {"troubles": ("mixed_units",)}),
    ("censored", {"troubles": ("censored",)}),
    ("personal", {"troubles": ("personal",)}),
    ("blank lines", {"troubles": ("blank_lines",)}),
    ("headers in between", {"troubles": ("repeated_header",), "units": "row"}),
    ("separator at the line end", {"troubles": ("trailing_separator",)}),
    ("sep= line", {"troubles": ("sep_line",), "separator": ";"}),
    ("a unit in every cell", {"troubles": ("cell_units",), "units": "none"}),
    ("full-width digits", {"troubles": ("full_width",)}),
    ("line ends in quotes", {"troubles": ("quoted_newline",)}),
    ("date and clock in two columns", {"time": "split"}),
    ("time in Korean words", {"time": "words_ko", "encoding": "cp949"}),
    ("serial days of a spreadsheet", {"time": "excel_serial"}),
    ("UTC with Z", {"time": "iso_z"}),
    ("month first, AM and PM", {"time": "month_first"}),
    (
        "date and clock, cp949, semicolon, decimal comma",
        {"time": "split", "encoding": "cp949", "separator": ";", "decimal": ","},
    ),
)


@dataclass(frozen=True)
class MessyFile:
    """A file with what a right reading of it gives."""

    seed: int
    label: str
    """What is remarkable about it."""
    name: str
    data: bytes = field(repr=False)
    truth: EmittedTruth = field(repr=False)


def messy_file(seed: int) -> MessyFile:
    """Make one messy file.

    The first `len(SINGLES)` seeds of every thousand show one trouble each; the others combine a form with one to four troubles.

    Args:
        seed: Everything random follows from it.

    Returns:
        The file and its truth.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 613]))
    place = seed % 1000
    if place < len(_SINGLES):
        label, given = _SINGLES[place]
    else:
        given = _combined(rng)
        label = ", ".join(f"{k}={v}" for k, v in given.items())
    return _made(seed, label, dict(given), rng)


SINGLES: tuple[str, ...] = tuple(label for label, _ in _SINGLES)
"""What the first seeds of every thousand show."""


def _made(seed: int, label: str, given: dict[str, Any], rng: np.random.Generator) -> MessyFile:
    encoding = given.get("encoding", "utf-8")
    troubles: tuple[Trouble, ...] = given.get("troubles", ())
    language: Language = "de" if encoding == "latin-1" else ("ko" if encoding == "cp949" else _language(rng))
    given["preamble"] = PREAMBLES[language] if given.get("preamble") else ()
    period = int(rng.choice([300, 600, 900, 1800]))
    table = plain_table(
        seed, language=language, rows=int(rng.integers(max(220, 2 * 86400 // period), 420 + 86400 // period)), period=period,
        columns=int(rng.integers(2, 6)), state="shifted_same" in troubles or bool(rng.random() < 0.4),
        counter="rollover" in troubles or bool(rng.random() < 0.25),
    )  # fmt: skip
    emitted: Emitted = emit(table, Style(**given), seed)
    return MessyFile(seed, label, emitted.name, emitted.data, emitted.truth)


def _language(rng: np.random.Generator) -> Language:
    return "ko" if rng.random() < 0.5 else "vendor"


def _combined(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a style with several troubles that do not contradict each other."""
    form = _one(rng, ("csv", "csv", "csv", "csv", "tsv", "jsonl", "xlsx", "xlsx", "sqlite", "fixed"))
    given: dict[str, Any] = {"form": form}
    time: TimeForm = _one(rng, (
        "space", "space", "ampm", "h24", "day_first_dot", "epoch_s", "epoch_ms", "iso_offset", "compact", "midnight_row",
        "words_ko", "month_first", "iso_z",
    ))  # fmt: skip
    given["time"] = "space" if form == "fixed" and time in ("ampm", "words_ko", "month_first") else time
    if form in ("csv", "tsv", "fixed"):
        given["encoding"] = _one(rng, ("utf-8", "utf-8-sig", "cp949", "cp949", "latin-1", "utf-16"))
        if given["encoding"] == "latin-1" and given["time"] in ("ampm", "words_ko"):
            given["time"] = "day_first_dot"
    if form == "csv":
        given["separator"] = _one(rng, (",", ",", ";", "\t", "|"))
        if given["separator"] != "," and rng.random() < 0.4:
            given["decimal"] = ","
        given["thousands"] = bool(rng.random() < 0.3)
        given["layout"] = _one(rng, ("wide", "wide", "wide", "long"))
    if form == "tsv":
        given["separator"] = "\t"
    if form == "jsonl" and rng.random() < 0.5:
        given["layout"] = "nested"
    if form in ("csv", "tsv", "xlsx", "fixed"):
        given["preamble"] = bool(rng.random() < 0.4)
        if given.get("layout", "wide") == "wide":
            given["units"] = _one(rng, ("none", "header", "header", "row"))
            given["header"] = _one(rng, ("one", "one", "one", "two")) if form != "fixed" else "one"
        else:
            given["units"] = "none"
    if form not in ("xlsx", "sqlite"):
        given["compress"] = _one(rng, ("none", "none", "none", "none", "gzip", "zip"))
    given["troubles"] = _drawn_troubles(rng, given)
    return given


def _drawn_troubles(rng: np.random.Generator, given: Mapping[str, Any]) -> tuple[Trouble, ...]:
    wide = given.get("layout", "wide") == "wide"
    pool: list[Trouble] = ["duplicates", "out_of_order", "bad_codes", "missing_words", "stuck", "censored"]
    if wide:
        pool.append("personal")
    if given["form"] in ("csv", "tsv") and wide:
        pool += [
            "shifted_longer",
            "totals",
            "truncated",
            "blank_lines",
            "repeated_header",
            "trailing_separator",
            "quoted_newline",
        ]
    if given.get("units", "header") != "none":
        pool.append("mixed_units")
    if given["form"] == "xlsx":
        pool += ["hidden_sheet", "totals"]
    number = int(rng.integers(1, 5))
    drawn = [pool[int(i)] for i in rng.permutation(len(pool))[:number]]
    if "totals" in drawn and "truncated" in drawn:
        drawn.remove("totals")
    return tuple(drawn)


def _one(rng: np.random.Generator, among: Sequence[Any]) -> Any:  # noqa: ANN401 - any of the words handed in
    return among[int(rng.integers(0, len(among)))]


Judgement = Literal["recovered", "flagged", "silent"]


@dataclass(frozen=True)
class Judged:
    """What an intake made of one file."""

    seed: int
    label: str
    verdict: Judgement
    why: str
    """What differs from the truth; empty when recovered."""
    missed: tuple[str, ...]
    """Findings that a good intake reports and this one did not."""
    false_alarms: tuple[str, ...]
    """Findings of severity warning or stop that nothing in the file justifies."""


@dataclass(frozen=True)
class Score:
    """How an intake did over many files."""

    files: int
    recovered: int
    flagged: int
    silent: int
    """Files that were changed without a word: the figure that must be 0."""
    missed_findings: int
    false_alarms: int
    judged: tuple[Judged, ...]

    @property
    def share_recovered(self) -> float:
        """Share of files read exactly right [-]."""
        return self.recovered / self.files if self.files else 0.0


def score_intake(documents: Iterable[Mapping[str, Any] | None], files: Iterable[MessyFile]) -> Score:
    """Judge intake documents against the truth.

    A file is *recovered* when its counts of records, its layout, the sum and number of good values of every numeric column (in
    the unit written in the file) and its time range are one of the right readings. It is *flagged* when something differs and a
    warning, a quarantine or a refusal says so. Otherwise it was changed *silently*.

    Args:
        documents: One ``intake/1`` document per file; None where the intake refused with an error.
        files: The files, in the same order.

    Returns:
        The score.
    """
    judged = tuple(_judge(document, file) for document, file in zip(documents, files, strict=True))
    count = {v: sum(j.verdict == v for j in judged) for v in ("recovered", "flagged", "silent")}
    return Score(
        len(judged), count["recovered"], count["flagged"], count["silent"], sum(len(j.missed) for j in judged),
        sum(len(j.false_alarms) for j in judged), judged,
    )  # fmt: skip


def _judge(document: Mapping[str, Any] | None, file: MessyFile) -> Judged:
    if document is None:
        return Judged(file.seed, file.label, "flagged", "refused", (), ())
    tables = [t for t in document["tables"] if _shares_columns(t, file.truth)]
    if not tables:
        tables = list(document["tables"])
    if not tables:
        return Judged(file.seed, file.label, "silent", "no table found", (), ())
    best = min((_differences(tables[0], outcome, file.truth) for outcome in file.truth.outcomes), key=len)
    if len(tables) > 1:
        best = [*best, f"{len(tables)} tables instead of one"]
    findings = [f for t in document["tables"] for f in t["findings"]]
    codes = {f["code"] for f in findings}
    loud = {f["code"] for f in findings if f["severity"] != "info"}
    missed = tuple(sorted(file.truth.expected - codes))
    false = tuple(sorted(loud - file.truth.allowed - _CAREFUL))
    if not best:
        return Judged(file.seed, file.label, "recovered", "", missed, false)
    said = bool(loud - {"personal_data", "hidden_sheet", "hidden_column"}) or any(t["rows_quarantined"] for t in tables)
    return Judged(file.seed, file.label, "flagged" if said else "silent", "; ".join(best[:4]), missed, false)


_CAREFUL = frozenset({"unreadable_rows", "ambiguous_date", "merged_header", "formula_cell", "type_change", "repeated_file"})
"""Findings that are careful rather than wrong."""


def _plain_name(text: str) -> str:
    return "".join(ch for ch in text if ch not in " _").casefold()


def _shares_columns(table: Mapping[str, Any], truth: EmittedTruth) -> bool:
    if truth.style.header == "none":
        return len(table["columns"]) >= len(truth.outcomes[0].columns)
    names = " ".join(_plain_name(c["name"]) for c in table["columns"])
    return any(_plain_name(c.name) in names for c in truth.outcomes[0].columns)


def _differences(table: Mapping[str, Any], outcome: Outcome, truth: EmittedTruth) -> list[str]:
    """Return in which points a table differs from a right reading."""
    found: list[str] = []
    counts = (table["rows_kept"], table["rows_quarantined"], table["rows_duplicate"])
    wanted = (outcome.kept, outcome.quarantined, outcome.duplicate)
    if counts != wanted:
        found.append(f"records kept/quarantined/duplicate {counts} instead of {wanted}")
    if truth.encodings and str(table["encoding"]) not in truth.encodings:
        found.append(f"encoding {table['encoding']}")
    if table["layout"] != truth.layout:
        found.append(f"layout {table['layout']} instead of {truth.layout}")
    for name, got, want in (
        ("first", table["time_first"], outcome.time_first),
        ("last", table["time_last"], outcome.time_last),
    ):
        if got is None or want is None or np.datetime64(str(got).rstrip("Z"), "s") != np.datetime64(str(want).rstrip("Z"), "s"):
            found.append(f"time_{name} {got} instead of {want}")
    for place, column in enumerate(outcome.columns):
        found += _column_difference(table["columns"], place, column, truth)
    return found


def _column_difference(columns: Sequence[Mapping[str, Any]], place: int, want: ColumnTruth, truth: EmittedTruth) -> list[str]:
    from madang.plant import convert, parse_unit

    if truth.style.header == "none":
        numeric = [c for c in columns if c.get("stats") and c["role"] != "time"]
        fit = numeric[place : place + 1]
    else:
        fit = [c for c in columns if _plain_name(c["name"]) == _plain_name(want.name)]
        fit = fit or [c for c in columns if _plain_name(want.name) in _plain_name(c["name"])]
    if not fit:
        return [f"column {want.name} is missing"]
    stats = fit[0].get("stats")
    if not stats:
        return [f"column {want.name} has no numbers"]
    n, total = int(stats["n"]), float(stats["sum"])
    if n != want.n:
        return [f"column {want.name}: {n} good values instead of {want.n}"]
    expected = want.sum
    written = parse_unit(want.unit) if want.unit else None
    if written is not None and fit[0]["unit"] and fit[0]["unit"] != written.code:
        try:
            expected = float(convert(want.sum / max(n, 1), written, fit[0]["unit"])) * n
        except InputError:
            return [f"column {want.name}: {want.unit} was taken for {fit[0]['unit']}"]
    if not np.isclose(total, expected, rtol=1e-6, atol=1e-6):
        return [f"column {want.name}: sum {total:.6g} instead of {expected:.6g} [{fit[0]['unit']}]"]
    return []


__all__ = ["SINGLES", "FileForm", "Judged", "MessyFile", "Score", "messy_file", "score_intake"]
