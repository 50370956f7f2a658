"""Looks for personal data while a table streams by; says where it is, never what it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from madang.connect import ROW, Layout, TableSource
from madang.plant import Bilingual, Finding

_NEW_PER_CHUNK = 4_000
"""New distinct texts of a column that are looked at in one chunk."""
_DISTINCT = 40_000
"""Distinct texts of a column that are remembered and looked at in all."""
_PREAMBLE_BYTES = 1 << 16


@dataclass
class _Seen:
    texts: set[str] = field(default_factory=set)
    personal: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    records: int = 0
    examples: list[int] = field(default_factory=list)


class PersonalWatch:
    """Finds columns of texts that hold names, phone numbers, addresses or identity numbers."""

    def __init__(self) -> None:
        self._columns: dict[str, _Seen] = {}

    def look(self, rows: pa.RecordBatch) -> None:
        """Look at the texts of a chunk of records."""
        for name, column in zip(rows.schema.names, rows.columns, strict=True):
            if pa.types.is_string(column.type):
                self._look(name, column, rows.column(ROW))

    def look_aside(self, quarantine: pa.RecordBatch) -> None:
        """Look at records that could not be read, whose text is kept too."""
        if quarantine.num_rows:
            self._look("", quarantine.column("text"), quarantine.column("row"))

    def _look(self, name: str, column: pa.Array, rows: pa.Array) -> None:
        from madang.library._personal import find_personal

        seen = self._columns.setdefault(name, _Seen())
        if len(seen.texts) < _DISTINCT:
            fresh = (t for t in pc.unique(column).to_pylist() if t is not None and t not in seen.texts)
            new = list(islice(fresh, _NEW_PER_CHUNK))
            seen.texts.update(new)
            found = find_personal(name, pa.array(new, pa.string())) if new else None
            if found is not None:
                seen.kinds.update(found.kinds)
                # One text at a time, since a finding lists only its first ten.
                for text in new if found.count > len(found.records) else [new[i] for i in found.records]:
                    if find_personal(name, pa.array([text], pa.string())) is not None:
                        seen.personal.add(text)
        if seen.personal:
            hit = pc.is_in(column, value_set=pa.array(sorted(seen.personal), pa.string()))
            places = rows.filter(hit)
            seen.records += len(places)
            seen.examples += places.slice(0, 10 - len(seen.examples)).to_pylist()

    def findings(self) -> list[Finding]:
        """Say which columns hold personal data, and in how many records."""
        return [_finding(name or None, seen) for name, seen in self._columns.items() if seen.personal]


def _finding(column: str | None, seen: _Seen) -> Finding:
    from madang.library._personal import KIND_NAMES

    kinds = [KIND_NAMES[k] for k, _ in seen.kinds.most_common()]  # type: ignore[index]
    ko, en = ", ".join(k.ko for k in kinds), ", ".join(k.en for k in kinds)
    where = Bilingual(f"‘{column}’ 열", f"Column “{column}”") if column else Bilingual("따로 둔 기록", "Records set aside")
    return Finding(
        code="personal_data",
        severity="warning",
        rows=seen.records,
        message=Bilingual(
            f"{where.ko}에 개인정보로 보이는 값이 {seen.records}행 있어요 ({ko}). 나누기 전에 지우거나 가리세요.",
            f"{where.en}: {seen.records} record(s) look like personal data ({en}). Remove or mask them before sharing.",
        ),
        examples=tuple(seen.examples),
        column=column,
        facts={"kinds": [*(k for k, _ in seen.kinds.most_common())]},
    )


def preamble_findings(source: TableSource, layout: Layout) -> list[Finding]:
    """Look at the lines above a text table."""
    from madang.library._personal import KIND_NAMES, personal_in_text

    if not layout.preamble_lines or layout.encoding is None or source.member is not None or source.part is not None:
        return []
    with source.path.open("rb") as stream:
        lines = stream.read(_PREAMBLE_BYTES).decode(layout.encoding, "replace").splitlines()[: layout.preamble_lines]
    found = [f for f in (personal_in_text(line) for line in lines) if f is not None]
    if not found:
        return []
    kinds = sorted({k for f in found for k in f.kinds})
    ko, en = ", ".join(KIND_NAMES[k].ko for k in kinds), ", ".join(KIND_NAMES[k].en for k in kinds)
    return [
        Finding(
            code="personal_data",
            severity="warning",
            rows=len(found),
            message=Bilingual(
                f"표 위의 설명 줄 {len(found)}줄에 개인정보로 보이는 글이 있어요 ({ko}).",
                f"{len(found)} line(s) above the table look like personal data ({en}).",
            ),
            facts={"kinds": [*kinds], "place": "preamble"},
        )
    ]
