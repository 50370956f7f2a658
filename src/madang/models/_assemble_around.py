"""A signal that holds the target itself, with what the other signals held at its instants."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from madang.errors import Json
from madang.library import Decision, ReadResult, VersionId, as_of
from madang.models._assemble_signals import signal_of
from madang.models._assemble_table import frame_of
from madang.models._assemble_tables import PlantTable, Target, is_signal
from madang.models._frame import Frame, Series
from madang.models._words import StudyRequest
from madang.plant import Bilingual, Kind, Role


def around_signal(tables: Sequence[PlantTable], target: Target, request: StudyRequest, keep: Collection[str]) -> Frame:
    """Return the frame of a signal that holds the target itself, with the readings of the other signals that held then."""
    base = target.table
    version = VersionId(base.name, 1)
    nobody = Decision(True, "study", "study", version, (), "none", Bilingual("", ""), -1)
    frame = frame_of(ReadResult(base.view.table, base.view.columns, version, (), nobody), request, keep=keep)
    frame = replace(frame, sources=base.sources)
    sentences, unused, added = [target.reason], [], []
    for table in tables:
        if table is base:
            continue
        if base.times is None or table.times is None or not is_signal(table):
            reason = Bilingual(
                f"'{table.name}'은(는) 같은 시각에 이을 수 없어 쓰지 않았어요.",
                f"'{table.name}' cannot be joined by time; not used.",
            )
            unused.append({"table": table.name, **reason.fields("reason")})
            sentences.append(reason)
            continue
        signal = signal_of(table.view, table.times)
        step = int(np.median(np.diff(np.unique(signal.time)).astype(np.int64)))
        found = as_of(signal.time, base.times.start, tolerance=2 * step)
        cards = {card.name: card for card in table.view.columns}
        for tag, values in signal.tags.items():
            card = cards.get(tag)
            at = np.where(found >= 0, values[np.maximum(found, 0)], np.nan)
            name = tag if tag not in frame.series else f"{tag} ({table.name})"
            role, kind, unit = (Role.UNKNOWN, Kind.UNKNOWN, None) if card is None else (card.role, card.kind, card.unit)
            added.append(Series(name, at, None, role, kind, unit, origin=table.name))
        share = float(np.mean(found >= 0))
        sentences.append(
            Bilingual(f"'{table.name}'을(를) 그 시각까지의 마지막 값으로 이었어요: 행의 {share:.0%}.",
                      f"'{table.name}' was joined by the last reading held at each instant: {share:.0%} of the rows.")
        )  # fmt: skip
    join: dict[str, Json] = {
        "target": {"table": base.name, "column": target.column, **target.reason.fields("reason")},
        "rows": len(frame), "joins": [], "offsets": {}, "unused": [*unused],
        "sentences": [dict(sentence.fields("text")) for sentence in sentences],
    }  # fmt: skip
    facts = {**frame.facts, "rows_are": "records", "features": {}, "join": join, "target": target.column}
    return replace(frame.with_series(*added), facts=facts)
