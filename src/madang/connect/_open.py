"""Opens a table: finds out its layout, or takes it from a template, and returns the reader."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from madang.connect import _times
from madang.connect._discover import open_bytes
from madang.connect._encoding import FoundEncoding, find_encoding
from madang.connect._learn import Learned, Sample, learn
from madang.connect._read import Reader
from madang.connect._remarks import finding, step
from madang.connect._shape import (
    FIXED,
    WHITESPACE,
    Separator,
    TableShape,
    find_separator,
    find_shape,
    no_table,
    records,
    split_line,
)
from madang.connect._tables import (
    FileFormat,
    Layout,
    ReadingStep,
    ReadOptions,
    SourceColumn,
    TableReader,
    TableSource,
)
from madang.connect._text import Records, Repair, TextTable
from madang.errors import InputError, Json
from madang.plant import Finding, split_unit

HEAD = 1 << 20
"""Bytes at the start of a file from which separator and header are found out."""
WHOLE = 32 << 20
"""Bytes up to which all records are learned from; of a larger file its head, its end and stretches between."""
_TEXT_FORMATS = frozenset({"csv", "tsv", "fixed", "whitespace", "shdr"})


def open_table(
    source: TableSource,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - a frozen value
    template: Layout | None = None,
) -> TableReader:
    """Open one table for reading.

    Args:
        source: A table that `find_tables` found.
        options: What the caller fixes; everything else is found out.
        template: Layout of an earlier table of the kind. With it nothing is found out anew, and no record is read by what
            stands behind it, so a file cut after any record reads the same up to the cut.

    Raises:
        InputError: The source is no table, or does not fit its template; the error names the place.
    """
    if source.size == 0:
        raise empty_file()
    if source.format not in _TEXT_FORMATS:
        return _open_cells(source, options, template)
    text = _probe(source, template)
    if text is None:
        raise no_table("empty")
    if template is not None:
        return _with_template(source, text, options, template)
    return _learned(source, text, options)


def _open_cells(source: TableSource, options: ReadOptions, template: Layout | None) -> TableReader:
    try:
        from madang.connect import _openers  # type: ignore[attr-defined]
    except ImportError:
        raise InputError(
            "format_not_read",
            ko=f"{source.format} 형식은 아직 읽을 수 없어요.",
            en=f"Files of the format {source.format} cannot be read yet.",
            next_ko="CSV로 내보내서 다시 시도해 주세요.",
            next_en="Export the table as CSV and try again.",
            where={"source": source.source},
        ) from None
    raise NotImplementedError(_openers)


def empty_file() -> InputError:
    """Return the error for a file without content."""
    return InputError(
        "empty_file",
        ko="파일이 비어 있어요.",
        en="The file is empty.",
        next_ko="내보내기가 끝났는지 확인하고 다시 내보내 주세요.",
        next_en="Check that the export had finished, and export again.",
    )


# ---- text: what the bytes say


@dataclass(frozen=True)
class Probe:
    """The start of a text, decoded."""

    encoding: FoundEncoding
    newline: bytes
    lines: tuple[str, ...]
    whole: bool
    """Whether the lines are all of the file."""


def _probe(source: TableSource, template: Layout | None) -> Probe | None:
    head, others = _samples(source)
    encoding = find_encoding([head, *others])
    if template is not None and template.encoding is not None:
        encoding = _as_template(encoding, template.encoding, head)
    newline = b"\r" if b"\n" not in head and b"\r" in head and not encoding.name.startswith("utf-16") else b"\n"
    text = _head_text(head, encoding)
    if newline == b"\r":
        text = text.replace("\r", "\n")
    lines = text.replace("\r\n", "\n").split("\n")
    whole = len(head) >= source.size
    if not whole and len(lines) > 1:
        lines.pop()
    if not any(line.strip() for line in lines):
        return None
    return Probe(encoding, newline, tuple(lines), whole)


def _as_template(found: FoundEncoding, known: str, head: bytes) -> FoundEncoding:
    """Prefer the template's encoding where the bytes allow it, so that a cut file is not read in another one."""
    if found.bom or found.name.startswith("utf-16") or found.name == known:
        return found
    plain = "utf-8" if known == "utf-8-sig" else known
    if plain.startswith("utf-16"):
        return found
    if found.name == "utf-8" and not head.isascii():
        return found
    return FoundEncoding(plain, 0, found.sure)


def _head_text(head: bytes, encoding: FoundEncoding) -> str:
    name = encoding.name
    if name == "utf-16" and not encoding.bom:
        name = "utf-16-le"
    body = head if name in ("utf-16", "utf-32") else head[encoding.bom :]
    return body.decode("utf-8" if name == "utf-8-sig" else name, "backslashreplace" if name != "utf-16" else "replace")


def _samples(source: TableSource) -> tuple[bytes, list[bytes]]:
    with open_bytes(source) as stream:
        head = stream.read(HEAD)
        others = []
        if source.size > 2 * HEAD and source.member is None and stream.seekable():
            for share in (0.25, 0.5, 0.75):
                stream.seek(int(source.size * share))
                others.append(stream.read(HEAD // 4))
            stream.seek(max(0, source.size - HEAD // 4))
            others.append(stream.read())
    return head, others


# ---- text: finding out


def _learned(source: TableSource, probe: Probe, options: ReadOptions) -> TableReader:
    separator = find_separator(probe.lines[:2000])
    comment = _comment(probe.lines)
    shape = _shape(probe, separator, comment)
    table = TextTable(lambda: open_bytes(source), probe.encoding, separator, shape, probe.newline, comment)
    names = unique_names(shape.names)
    parts = list(_sample_parts(source, table))
    sample = Sample(names, parts)
    if not sample.rows and not any(part.quarantine for part in parts):
        learned = Learned({name: _default_rule() for name in names})
    else:
        learned = learn(sample, shape.units, separator.sign)
    layout = _layout(_format(separator), probe, separator, shape, comment, names, learned, options)
    return _text_reader(source, table, layout, options, _found_by_learning(learned, layout, table))


def _default_rule() -> Any:  # noqa: ANN401 - returns a ColumnRule
    from madang.connect._values import ColumnRule

    return ColumnRule("text")


def _comment(lines: Sequence[str]) -> str | None:
    """Return the sign with which the file's comment lines begin."""
    for sign in ("#", "//", "%", "*"):
        marked = [line for line in lines[:500] if line.startswith(sign)]
        if marked and len(marked) <= 0.5 * len(lines) and not (len(marked) == 1 and lines[0].startswith(sign) and _is_commented_header(lines)):
            return sign
    return None


def _is_commented_header(lines: Sequence[str]) -> bool:
    """Whether the first line is a header that begins with the sign itself, such as ``#time,temp``."""
    following = next((line for line in lines[1:] if line.strip()), "")
    return any(lines[0].count(sign) == following.count(sign) > 0 for sign in (",", ";", "\t", "|"))


def _shape(probe: Probe, separator: Separator, comment: str | None) -> TableShape:
    lines = probe.lines[:3000]
    parted = records(lines) if separator.sign not in (WHITESPACE, FIXED) else enumerate(lines)
    rows: list[list[str]] = []
    for _, text in parted:
        blank = not text.strip() or (comment is not None and text.lstrip().startswith(comment))
        rows.append([] if blank else split_line(text, separator.sign, separator.widths))
    return find_shape(rows)


def _sample_parts(source: TableSource, table: TextTable) -> Iterator[Records]:
    seekable = source.member is None and not table.encoding.name.startswith(("utf-16", "utf-32"))
    if source.size <= WHOLE or not seekable:
        taken = 0
        for part in table.records():
            yield part
            taken += part.count
            if source.size > WHOLE and taken > 400_000:
                return
        return
    for part in table.records():
        yield part
        break
    for share in (0.3, 0.6):
        yield table.segment(int(source.size * share), 2 << 20)
    yield table.segment(max(0, source.size - (2 << 20)), 2 << 20)


def unique_names(source_names: Sequence[str]) -> tuple[str, ...]:
    """Return one name per column: the header without its unit, made unique."""
    bare = [split_unit(" ".join(name.split()))[0] for name in source_names]
    full = [" ".join(name.split()) for name in source_names]
    names = [short if bare.count(short) == 1 else long for short, long in zip(bare, full, strict=True)]
    out: list[str] = []
    for name in names:
        name = name if name != "_row" else "_row_"
        candidate, number = name, 2
        while candidate in out:
            candidate, number = f"{name}_{number}", number + 1
        out.append(candidate)
    return tuple(out)


def _format(separator: Separator) -> FileFormat:
    if separator.sign == WHITESPACE:
        return "whitespace"
    if separator.sign == FIXED:
        return "fixed"
    return "tsv" if separator.sign == "\t" else "csv"


def _layout(
    kind: FileFormat,
    probe: Probe,
    separator: Separator,
    shape: TableShape,
    comment: str | None,
    names: Sequence[str],
    learned: Learned,
    options: ReadOptions,
) -> Layout:
    text: dict[str, Json] = {
        "used": list[Json](shape.used), "width": shape.width, "ragged": shape.ragged, "comment": comment,
        "newline": probe.newline.decode(), "widths": [list[Json](span) for span in separator.widths],
    }  # fmt: skip
    layout = Layout(
        format=kind,
        columns=_columns(shape.names, names, shape.units, learned),
        encoding=probe.encoding.name,
        separator=separator.sign,
        preamble_lines=shape.preamble,
        header_rows=shape.header_rows,
        units_row=shape.units_row,
        details={"text": text},
    )
    return with_learned(layout, learned, options)


def _columns(
    source_names: Sequence[str], names: Sequence[str], units: Sequence[str | None], learned: Learned
) -> tuple[SourceColumn, ...]:
    columns = [
        SourceColumn(source, name, learned.rules[name].type, unit or learned.rules[name].unit)
        for source, name, unit in zip(source_names, names, units, strict=True)
    ]
    if learned.joined is not None:
        new, day, clock = learned.joined
        columns.append(SourceColumn(f"{day} + {clock}", new, "time"))
    return tuple(columns)


def with_learned(layout: Layout, learned: Learned, options: ReadOptions) -> Layout:
    """Return the layout with everything that was learned about its columns."""
    numbers = [rule for rule in learned.rules.values() if rule.type in ("number", "integer")]
    commas = sum(rule.decimal == "," for rule in numbers)
    grouped = [rule.thousands for rule in numbers if rule.thousands is not None]
    time = learned.rules[learned.time_column] if learned.time_column is not None else None
    silent = time is not None and not _says_zone(time.formats)
    details: dict[str, Json] = {
        **layout.details,
        "rules": {name: rule.to_json() for name, rule in learned.rules.items()},
        "quality": dict[str, Json](learned.quality),
        "joined": list[Json](learned.joined) if learned.joined else None,
        "key": learned.key,
        "order_by": list[Json](learned.order_by),
        "stuck": {name: list[Json](limits) for name, limits in learned.stuck.items()},
        "counters": dict[str, Json](learned.counters),
        "tag_codes": {tag: list[Json](codes) for tag, codes in learned.tag_codes.items()},
        "tag_stuck": {tag: list[Json](limits) for tag, limits in learned.tag_stuck.items()},
    }
    return replace(
        layout,
        layout="long" if learned.long is not None else layout.layout,
        decimal="," if commas > len(numbers) / 2 else ".",
        thousands=max(set(grouped), key=grouped.count) if grouped else None,
        time_column=learned.time_column,
        time_format=time.formats[0] if time is not None else None,
        zone=options.zone if silent or time is None else "UTC",
        zone_assumed=silent and not options.zone_given,
        long=learned.long,
        steps=(*layout.steps, *_steps(learned, options, silent)),
        details=details,
    )


def _says_zone(formats: Sequence[str]) -> bool:
    return formats[0] in _times.EPOCHS or "%z" in formats[0]


def _steps(learned: Learned, options: ReadOptions, silent: bool) -> Iterator[ReadingStep]:
    if silent and not options.zone_given:
        yield step("zone", learned.time_column, options.zone, reversible=False)
    if learned.joined is not None:
        yield step("date_and_clock", learned.joined[0], reversible=False)
    for name in [*learned.evidence, *learned.ambiguous]:
        yield step("date_order", name, reversible=False)
    if learned.time_column is not None and learned.rules[learned.time_column].midnight:
        yield step("midnight_row", learned.time_column)
    for name, rule in learned.rules.items():
        if rule.bad_codes:
            yield step("bad_codes", name)
    for name in learned.quality:
        yield step("quality", name, reversible=False)
    if learned.key:
        yield step("duplicate_rows")


def _found_by_learning(learned: Learned, layout: Layout, table: TextTable | None) -> Any:  # noqa: ANN401 - a callable
    def found() -> Iterator[Finding]:
        for name, rows in learned.ambiguous.items():
            order = {"ymd": "year-month-day", "dmy": "day-month-year", "mdy": "month-day-year"}[learned.rules[name].order]
            yield finding("ambiguous_date", rows, (), name, order)
        for column in layout.columns:
            formats = learned.rules[column.name].formats if column.name in learned.rules else ()
            if len({re.sub(r"\.?%f|%z", "", written) for written in formats}) > 1:
                yield finding("format_change", 0, (), column.name, ", ".join(formats[:4]))
        if table is not None and table.mixed.lines:
            yield finding(
                "mixed_encoding", table.mixed.lines, (), word=", ".join(sorted(table.mixed.encodings)),
                facts={"lines": list[Json](table.mixed.examples)},
            )  # fmt: skip

    return lambda: tuple(found())


def _text_reader(
    source: TableSource, table: TextTable, layout: Layout, options: ReadOptions, found: Any  # noqa: ANN401 - a callable
) -> Reader:
    table.decimal = layout.decimal

    def runs(types: Sequence[Any], repair: Repair | None) -> Iterator[Records]:
        return table.records(types, repair)

    return Reader(replace(source, format=layout.format), layout, runs, options, found)


# ---- text: with a template


def _with_template(source: TableSource, probe: Probe, options: ReadOptions, template: Layout) -> TableReader:
    text = cast("dict[str, Any]", template.details["text"])
    separator = Separator(str(template.separator), tuple(tuple(span) for span in text["widths"]))
    misfit, shape = _fit(probe, template, separator, text)
    if misfit is not None:
        raise misfit
    table = TextTable(lambda: open_bytes(source), probe.encoding, separator, shape, probe.newline, text["comment"])
    layout = replace(template, encoding=probe.encoding.name, preamble_lines=shape.preamble)
    learned = Learned({})
    return _text_reader(source, table, layout, options, _found_by_learning(learned, replace(layout, columns=()), table))


def _fit(probe: Probe, template: Layout, separator: Separator, text: dict[str, Any]) -> tuple[InputError | None, TableShape]:
    raise NotImplementedError(json)
