"""Builds a layout from what was learned, with the steps and findings that go with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from madang.connect import _times
from madang.connect._learn import Learned
from madang.connect._remarks import finding, step
from madang.connect._tables import Layout, ReadingStep, ReadOptions, SourceColumn
from madang.errors import Json
from madang.plant import Finding, split_unit


def unique_names(source_names: Sequence[str]) -> tuple[str, ...]:
    """Return one name per column: the header without its unit, made unique without regard to case, as stores compare names."""
    bare = [split_unit(" ".join(name.split()))[0] for name in source_names]
    full = [" ".join(name.split()) for name in source_names]
    often = Counter(short.casefold() for short in bare)
    names = [short if often[short.casefold()] == 1 else long for short, long in zip(bare, full, strict=True)]
    out: list[str] = []
    taken: set[str] = set()
    for name in names:
        name = name if name != "_row" else "_row_"
        candidate, number = name, 2
        while candidate.casefold() in taken:
            candidate, number = f"{name}_{number}", number + 1
        taken.add(candidate.casefold())
        out.append(candidate)
    return tuple(out)


def columns_for(
    source_names: Sequence[str], names: Sequence[str], units: Sequence[str | None], learned: Learned
) -> tuple[SourceColumn, ...]:
    """Return the columns of a layout; a joined time stands last."""
    columns = [
        SourceColumn(source, name, learned.rules[name].type, unit or learned.rules[name].unit)
        for source, name, unit in zip(source_names, names, units, strict=True)
    ]
    if learned.joined is not None:
        new, day, clock = learned.joined
        columns.append(SourceColumn(f"{day} + {clock}", new, "time"))
    if learned.text_tags and learned.long is not None:
        value = learned.long.value
        columns.append(SourceColumn(f"{value} (text)", text_column(value, names), "text"))
    return tuple(columns)


def text_column(value: str, names: Sequence[str]) -> str:
    """Return the name of the column that takes the words of a long table's values."""
    name = f"{value}_text"
    return name if name.casefold() not in {other.casefold() for other in names} else f"{name}_"


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
        "text_tags": list[Json](learned.text_tags),
        "derived": list[Json](
            column.name for column in layout.columns if column.name not in learned.rules or _is_new(learned, column.name)
        ),
        "order_by": list[Json](learned.order_by),
        "stuck": {name: list[Json](limits) for name, limits in learned.stuck.items()},
        "ranges": {name: list[Json](bounds) for name, bounds in learned.ranges.items()},
        "decimals": dict[str, Json](learned.decimals),
        "worded": list[Json](learned.worded),
        "unit_changes": {
            name: {"row": row, "scale": change.scale, "offset": change.offset}
            for name, (row, change) in learned.unit_changes.items()
        },
        "filled": list[Json](learned.filled),
        "words": {name: list[Json](words) for name, words in learned.words.items()},
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


def _is_new(learned: Learned, name: str) -> bool:
    return learned.joined is not None and learned.joined[0] == name


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


def found_by_learning(learned: Learned, layout: Layout) -> Callable[[], tuple[Finding, ...]]:
    """Return the findings that learning made, to be asked for after reading."""

    def found() -> Iterator[Finding]:
        for name, rows in learned.ambiguous.items():
            order = {"ymd": "year-month-day", "dmy": "day-month-year", "mdy": "month-day-year"}[learned.rules[name].order]
            yield finding("ambiguous_date", rows, (), name, order)
        for column in layout.columns:
            formats = learned.rules[column.name].formats if column.name in learned.rules else ()
            if len({re.sub(r"\.?%f|%z", "", written) for written in formats}) > 1:
                yield finding("format_change", 0, (), column.name, ", ".join(formats[:4]))

    return lambda: tuple(found())
