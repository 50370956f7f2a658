"""Opens a table: finds out its layout, or takes it from a template, and returns the reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast

from madang.connect._cellread import fits_cells, fits_given, lay_over_cells, open_cell_table, open_given
from madang.connect._cells import CellTable
from madang.connect._discover import open_bytes
from madang.connect._encoding import FoundEncoding, find_encoding
from madang.connect._layouts import columns_for, found_by_learning, unique_names, with_learned
from madang.connect._learn import Learned, Sample, learn
from madang.connect._read import Reader, rules_of
from madang.connect._remarks import finding, step
from madang.connect._shape import (
    FIXED,
    WHITESPACE,
    Separator,
    TableShape,
    find_separator,
    find_shape,
    kind_of,
    no_table,
    records,
    split_line,
)
from madang.connect._shdr import NAMES as SHDR_NAMES
from madang.connect._shdr import is_shdr, read_shdr
from madang.connect._tables import (
    FileFormat,
    Layout,
    LongColumns,
    ReadOptions,
    TableReader,
    TableSource,
)
from madang.connect._template import Located, Misfit, columns_of, locate, strange_columns
from madang.connect._text import Records, Repair, TextTable
from madang.connect._turn import MOST_CELLS, Turned, stand_again, turned
from madang.connect._values import ColumnRule
from madang.errors import InputError, Json
from madang.plant import Bilingual, Finding

HEAD = 1 << 20
"""Bytes at the start of a file from which separator and header are found out."""
WHOLE = 32 << 20
"""Bytes up to which all records are learned from; of a larger file its head, its end and stretches between."""
MOST_COLUMNS = 16_384
"""More columns than records of a plant have; a table on its side is turned before it is counted."""
_HEADER_WITHIN = 400
"""Lines within which the header of a template is looked for."""
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
            stands behind it, so a file cut after any record reads the same up to the cut. When the options are tolerant, columns
            that the file lacks are empty, columns in another unit are converted, and only a file with none of the template's
            columns is refused.

    Raises:
        InputError: The source is no table, or does not fit its template; the error names the place.
    """
    if source.size == 0:
        raise empty_file()
    if source.format not in _TEXT_FORMATS:
        return open_cell_table(source, options, template)
    if template is not None and options.tolerant:
        return _tolerantly(source, options, template)
    text = _probe(source, template)
    if text is None:
        raise no_table("empty")
    if template is not None:
        return _with_template(source, text, options, template)
    return _learned(source, text, options)


def too_many_columns(count: int) -> InputError:
    """Return the error for a table that has more columns than are read."""
    return InputError(
        "too_many_columns",
        ko=f"열이 {count}개예요. {MOST_COLUMNS}개까지 읽을 수 있어요.",
        en=f"The table has {count} columns; up to {MOST_COLUMNS} can be read.",
        next_ko="필요한 열만 골라 내보내거나, 태그·시각·값으로 된 세로로 긴 표로 내보내 주세요.",
        next_en="Export only the columns that are needed, or a long table of tag, time and value.",
        where={"columns": count},
    )


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
    lines = _lines_of(head, encoding, newline)
    whole = len(head) >= source.size
    if not whole and len(lines) > 1:
        lines.pop()
    if not any(line.strip() for line in lines):
        return None
    return Probe(encoding, newline, tuple(lines), whole)


def _lines_of(head: bytes, encoding: FoundEncoding, newline: bytes) -> list[str]:
    text = _head_text(head, encoding)
    if newline == b"\r":
        text = text.replace("\r", "\n")
    return text.replace("\r\n", "\n").split("\n")


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
    if is_shdr(probe.lines):
        return _shdr(source, probe, options)
    separator = find_separator(probe.lines[:2000])
    comment = _comment(probe.lines)
    shape = _shape(probe, separator, comment)
    table = TextTable(lambda: open_bytes(source), probe.encoding, separator, shape, probe.newline, comment)
    table.header_lines = _header_lines(probe.lines, separator, shape)
    if source.size <= MOST_CELLS and "transposed" not in options.disabled:
        lying = turned(_without_comments(table.physical_rows(), comment), _decimal_of(separator)) if _may_lie(shape) else None
        if lying is not None:
            return _turned(source, probe, table, lying, options)
    if len(shape.names) > MOST_COLUMNS:
        raise too_many_columns(len(shape.names))
    names = unique_names(shape.names)
    parts = list(_sample_parts(source, table))
    sample = Sample(names, parts)
    if not sample.rows and not any(part.quarantine for part in parts):
        learned = Learned({name: ColumnRule("text") for name in names})
    else:
        learned = learn(sample, shape.units)
    layout = _layout(_format(separator), probe, separator, shape, comment, names, learned, options)
    by_learning = found_by_learning(learned, layout)
    return _text_reader(source, table, layout, options, lambda: (*by_learning(), *_lines_told(table)))


def _may_lie(shape: TableShape) -> bool:
    return shape.width >= 4 and (shape.header_rows == 0 or sum(kind_of(name) == "time" for name in shape.names[1:]) > 2)


def _without_comments(rows: Sequence[list[str]], comment: str | None) -> list[list[str]]:
    return [row for row in rows if comment is None or not row or not row[0].lstrip().startswith(comment)]


def _decimal_of(separator: Separator) -> str:
    return "," if separator.sign == ";" else "."


def _turned(source: TableSource, probe: Probe, table: TextTable, lying: Turned, options: ReadOptions) -> TableReader:
    base = Layout(
        format=_format(table.separator), columns=(), layout="transposed", encoding=probe.encoding.name,
        separator=table.separator.sign, header_rows=0, steps=(step("transposed"),),
        details={"text": {"comment": table.comment, "widths": [list[Json](span) for span in table.separator.widths]}},
    )  # fmt: skip
    reader = open_given(source, lying.cells, options, None, base)
    reader.source = replace(source, format=base.format)
    found = finding("transposed", sum(1 for _ in lying.cells.rows()), (), word=lying.reason.en, undo="transposed")
    ko = found.message.ko.replace(lying.reason.en, lying.reason.ko)
    reader.tell(replace(found, message=Bilingual(ko, found.message.en)))
    return reader


def _shdr(source: TableSource, probe: Probe, options: ReadOptions) -> TableReader:
    count = len(SHDR_NAMES)
    table = _shdr_table(source, probe)
    parts = list(islice(read_shdr(table.blocks()), 4))
    learned = learn(Sample(SHDR_NAMES, parts), (None,) * count)
    for name in ("tag", "value", "detail"):
        learned.rules[name] = ColumnRule("text")
    learned.time_column, learned.key, learned.order_by = "time", False, ()
    learned.quality, learned.stuck, learned.counters, learned.tag_codes, learned.tag_stuck = {}, {}, {}, {}, {}
    learned.long = LongColumns("tag", "value")
    layout = Layout(
        format="shdr", columns=columns_for(SHDR_NAMES, SHDR_NAMES, (None,) * count, learned), layout="long",
        encoding=probe.encoding.name, separator="|", header_rows=0,
    )  # fmt: skip
    layout = with_learned(layout, learned, options)
    return _shdr_reader(source, table, layout, options)


def _shdr_table(source: TableSource, probe: Probe) -> TextTable:
    count = len(SHDR_NAMES)
    shape = TableShape(0, 0, False, SHDR_NAMES, (None,) * count, tuple(range(count)), count)
    return TextTable(lambda: open_bytes(source), probe.encoding, Separator("|"), shape, probe.newline)


def _shdr_reader(source: TableSource, table: TextTable, layout: Layout, options: ReadOptions) -> Reader:
    def runs(types: Sequence[Any], repair: Repair | None) -> Iterator[Records]:
        return read_shdr(table.blocks())

    return Reader(replace(source, format="shdr"), layout, runs, options, lambda: tuple(_lines_told(table)))


def _comment(lines: Sequence[str]) -> str | None:
    """Return the sign with which the file's comment lines begin."""
    for sign in ("#", "//", "%", "*"):
        marked = [line for line in lines[:500] if line.startswith(sign)]
        if (
            marked
            and len(marked) <= 0.5 * len(lines)
            and not (len(marked) == 1 and lines[0].startswith(sign) and _is_commented_header(lines))
        ):
            return sign
    return None


def _is_commented_header(lines: Sequence[str]) -> bool:
    """Whether the first line is a header that begins with the sign itself, such as ``#time,temp``."""
    following = next((line for line in lines[1:] if line.strip()), "")
    return any(lines[0].count(sign) == following.count(sign) > 0 for sign in (",", ";", "\t", "|"))


def _shape(probe: Probe, separator: Separator, comment: str | None) -> TableShape:
    return find_shape(_rows(probe.lines, separator, comment))


def _header_lines(lines: Sequence[str], separator: Separator, shape: TableShape) -> tuple[str, ...]:
    """Return the header rows as written, the last one first, and the units row."""
    if not shape.header_rows:
        return ()
    parted = records(lines[:3000]) if separator.sign not in (WHITESPACE, FIXED) else enumerate(lines[:3000])
    texts = [text for _, text in parted]
    last = shape.preamble + shape.header_rows - 1
    places = [last, *range(shape.preamble, last), *range(last + 1, shape.first_record)]
    return tuple(text for place in places if place < len(texts) and (text := texts[place].strip()))


def _rows(lines: Sequence[str], separator: Separator, comment: str | None) -> list[list[str]]:
    """Return the physical rows at the start of a text; blank lines and comments are empty rows."""
    lines = lines[:3000]
    parted = records(lines) if separator.sign not in (WHITESPACE, FIXED) else enumerate(lines)
    rows: list[list[str]] = []
    for _, text in parted:
        blank = not text.strip() or (comment is not None and text.lstrip().startswith(comment))
        rows.append([] if blank else split_line(text, separator.sign, separator.widths))
    return rows


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
        **_shape_details(shape),
        "comment": comment,
        "widths": [list[Json](span) for span in separator.widths],
    }
    layout = Layout(
        format=kind,
        columns=columns_for(shape.names, names, shape.units, learned),
        encoding=probe.encoding.name,
        separator=separator.sign,
        preamble_lines=shape.preamble,
        header_rows=shape.header_rows,
        units_row=shape.units_row,
        details={"text": text},
    )
    return with_learned(layout, learned, options)


def _shape_details(shape: TableShape) -> dict[str, Json]:
    return {
        "used": list[Json](shape.used),
        "width": shape.width,
        "ragged": shape.ragged,
        "header_fields": shape.header_fields,
    }


def _lines_told(table: TextTable) -> Iterator[Finding]:
    if table.repeated_headers:
        yield finding("repeated_header", table.repeated_headers)
    if table.mixed.lines:
        facts: dict[str, Json] = {"lines": list[Json](table.mixed.examples)}
        yield finding("mixed_encoding", table.mixed.lines, (), word=", ".join(sorted(table.mixed.encodings)), facts=facts)


def _text_reader(
    source: TableSource,
    table: TextTable,
    layout: Layout,
    options: ReadOptions,
    found: Callable[[], Sequence[Finding]],
    causal: bool = False,
) -> Reader:
    table.decimal = layout.decimal

    def runs(types: Sequence[Any], repair: Repair | None) -> Iterator[Records]:
        return table.records(types, repair)

    return Reader(replace(source, format=layout.format), layout, runs, options, found, causal)


# ---- text: with a template


def _with_template(source: TableSource, probe: Probe, options: ReadOptions, template: Layout) -> TableReader:
    if template.format == "shdr":
        if not is_shdr(probe.lines) and not any("|" in line for line in probe.lines):
            raise Misfit(header=False).error(source.source)
        return _shdr_reader(source, _shdr_table(source, probe), template, options)
    if template.layout == "transposed":
        return open_given(replace(source, format=template.format), _turned_again(source, probe, template), options, template)
    separator, located = _lay_over(source, probe, template)
    if located.misfit is not None and located.misfit.blocking:
        raise located.misfit.error(source.source)
    return _laid_over(source, probe, options, template, separator, located)


def _laid_over(
    source: TableSource, probe: Probe, options: ReadOptions, template: Layout, separator: Separator, located: Located
) -> TableReader:
    misfit = located.misfit
    comment = _text_details(template)["comment"]
    table = TextTable(lambda: open_bytes(source), probe.encoding, separator, located.shape, probe.newline, comment)
    table.header_lines = _header_lines(probe.lines, separator, located.shape)
    text: dict[str, Json] = {**_text_details(template), **_shape_details(located.shape)}
    text["widths"] = [list[Json](span) for span in separator.widths]
    details = {**template.details, "text": text, **strange_columns(template, misfit)}
    layout = replace(
        template, format=_format(separator), encoding=probe.encoding.name, separator=separator.sign,
        preamble_lines=located.shape.preamble, units_row=located.shape.units_row, details=details,
    )  # fmt: skip
    added = misfit.added if misfit is not None else ()

    def found() -> tuple[Finding, ...]:
        return (*(finding("added_column", 0, (), name) for name in added), *_lines_told(table))

    return _text_reader(source, table, layout, options, found, causal=True)


def _tolerantly(source: TableSource, options: ReadOptions, template: Layout) -> TableReader:
    """Lay a template over a text that may lack columns; separator and encoding are those under which its header is found."""
    probe = _probe(source, template)
    if probe is None:
        raise no_table("empty")
    if template.format == "shdr" or template.layout == "transposed":
        return _with_template(source, probe, options, template)
    found = _closest(source, probe, template)
    if found is None:
        raise Misfit(header=False).error(source.source)
    return _laid_over(source, found[0], options, template, *found[1:])


def _closest(source: TableSource, probe: Probe, template: Layout) -> tuple[Probe, Separator, Located] | None:
    """Return encoding, separator and place of the header that has most columns of a template; its own come first.

    Only the header is looked at: how many records follow must not matter.
    """
    text = _text_details(template)
    best: tuple[Probe, Separator, Located] | None = None
    fewest = len(columns_of(template))
    for decoded in _decodings(source, probe):
        for separator in _separators(template, text):
            rows = _rows(decoded.lines[:_HEADER_WITHIN], separator, text["comment"])
            located = locate(rows, template, rules_of(template), text["width"], text["header_fields"], tolerant=True)
            misfit = located.misfit or Misfit()
            if _is_sentence(separator, misfit, template):
                continue
            if misfit.header and len(misfit.missing) < fewest:
                best, fewest = (decoded, separator, located), len(misfit.missing)
            if not fewest:
                return best
    return best


def _is_sentence(separator: Separator, misfit: Misfit, template: Layout) -> bool:
    """Whether the columns found between blanks are rather words of a text."""
    found = len(columns_of(template)) - len(misfit.missing)
    return separator.sign == WHITESPACE and template.separator != WHITESPACE and len(misfit.added) >= found


def _separators(template: Layout, text: dict[str, Any]) -> Iterator[Separator]:
    if template.separator is not None:
        yield Separator(template.separator, tuple((int(a), int(b)) for a, b in text["widths"]))
    if template.header_rows or template.separator is None:
        yield from (Separator(sign) for sign in (",", ";", "\t", "|", WHITESPACE) if sign != template.separator)


def _decodings(source: TableSource, probe: Probe) -> Iterator[Probe]:
    yield probe
    if probe.encoding.bom or probe.encoding.name.startswith(("utf-16", "utf-32")):
        return
    with open_bytes(source) as stream:
        head = stream.read(HEAD)
    for name in ("utf-8", "cp949", "latin-1"):
        if name != probe.encoding.name and not head.isascii():
            encoding = FoundEncoding(name, 0, False)
            yield replace(probe, encoding=encoding, lines=tuple(_lines_of(head, encoding, probe.newline)))


def lacking(source: TableSource, template: Layout) -> int | None:
    """Say by how many columns a file differs from a template, judged by its header; None when none is the template's.

    Args:
        source: A table that `find_tables` found.
        template: Layout learned from an earlier table.

    Raises:
        InputError: The source is no table at all.
    """
    if source.size == 0:
        raise empty_file()
    if source.format not in _TEXT_FORMATS:
        return _difference(lay_over_cells(source, template).misfit, template)
    probe = _probe(source, template)
    if probe is None:
        raise no_table("empty")
    if template.format == "shdr":
        return 0 if is_shdr(probe.lines) else None
    if template.layout == "transposed":
        return _difference(fits_given(_turned_again(source, probe, template), template), template)
    found = _closest(source, probe, template)
    return None if found is None else _difference(found[2].misfit, template)


def _difference(misfit: Misfit | None, template: Layout) -> int | None:
    if misfit is None:
        return 0
    if not misfit.header or len(misfit.missing) == len(columns_of(template)):
        return None
    return len(misfit.missing) + len(misfit.added)


def _turned_again(source: TableSource, probe: Probe, template: Layout) -> CellTable:
    text = _text_details(template)
    separator = Separator(str(template.separator), tuple((int(a), int(b)) for a, b in text["widths"]))
    shape = TableShape(0, 0, False, (), (), (), 0)
    table = TextTable(lambda: open_bytes(source), probe.encoding, separator, shape, probe.newline, text["comment"])
    rows = _without_comments(table.physical_rows(), text["comment"])
    return stand_again(rows, cast("dict[str, Json]", template.details["opener"]))


def _text_details(template: Layout) -> dict[str, Any]:
    text = template.details.get("text")
    if text is not None:
        return cast("dict[str, Any]", text)
    # The template was learned from a workbook or another container that is not text.
    count = len(columns_of(template))
    return {"comment": None, "widths": [], "width": count, "header_fields": count, "used": list(range(count))}


def _lay_over(source: TableSource, probe: Probe, template: Layout) -> tuple[Separator, Located]:
    """Lay a template over the start of a text."""
    text = _text_details(template)
    separator = Separator(str(template.separator), tuple((int(a), int(b)) for a, b in text["widths"]))
    located = locate(
        _rows(probe.lines, separator, text["comment"]), template, rules_of(template), text["width"], text["header_fields"]
    )
    if located.misfit is not None and (not located.misfit.header or len(located.misfit.missing) > 0.5 * len(template.columns)):
        try:
            other = find_separator(probe.lines[:2000])
        except InputError:
            return separator, located
        if other.sign != separator.sign:
            width = max(map(len, _rows(probe.lines[:200], other, text["comment"])), default=0)
            again = locate(_rows(probe.lines, other, text["comment"]), template, rules_of(template), width, width)
            if again.misfit is None or (again.misfit.header and len(again.misfit.missing) < len(template.columns)):
                misfit = replace(again.misfit or Misfit(), separator=(separator.sign, other.sign), types=())
                return separator, replace(located, misfit=misfit)
    return separator, located


def fits(source: TableSource, template: Layout) -> Misfit | None:
    """Say where a file does not fit the template of its kind; None when it fits in everything.

    Args:
        source: A table that `find_tables` found.
        template: Layout learned from an earlier table.

    Raises:
        InputError: The source is no table at all.
    """
    if source.size == 0:
        raise empty_file()
    if source.format not in _TEXT_FORMATS:
        return fits_cells(source, template)
    if template.format not in _TEXT_FORMATS:
        return Misfit(header=False)
    probe = _probe(source, template)
    if probe is None:
        raise no_table("empty")
    if template.format == "shdr":
        return None if is_shdr(probe.lines) else Misfit(header=False)
    if template.layout == "transposed":
        return fits_given(_turned_again(source, probe, template), template)
    return _lay_over(source, probe, template)[1].misfit
