"""A sink that keeps records the way the library promises to, and can lose what was not durable yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from madang.connect import Block, ConnectionState, GapCause, Message, Reject, Rows, Tag
from madang.plant import Bilingual


@dataclass
class Shelf:
    """Keeps everything in order. `cut` forgets the end, as a loss of power does."""

    log: list[tuple[str, Any]] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    states: list[tuple[ConnectionState, Bilingual | None]] = field(default_factory=list)
    gaps: dict[str, dict[str, Any]] = field(default_factory=dict)

    def number_of(self, tag: Tag) -> int:
        return self.tags.setdefault(tag.name, len(self.tags) + 1)

    def put_block(self, block: Block, done: Callable[[], None] | None = None) -> None:
        self.log.append(("block", block))

    def put_messages(self, messages: Sequence[Message], done: Callable[[], None] | None = None) -> None:
        raise AssertionError("a database sends no messages")

    def put_rows(self, rows: Rows, done: Callable[[], None] | None = None) -> None:
        self.log.append(("rows", rows))

    def put_reject(self, reject: Reject) -> None:
        self.log.append(("reject", reject))

    def gap_opened(self, cause: GapCause, since: datetime, *, tags: Sequence[str] | None = None, note: str = "") -> str:
        name = f"gap-{len(self.gaps) + 1}"
        self.gaps[name] = {"cause": cause, "since": since, "tags": tags, "until": None, "filled": None, "note": note}
        return name

    def gap_closed(self, gap: str, until: datetime, *, samples: int | None = None) -> None:
        self.gaps[gap]["until"] = until

    def gap_filled(self, gap: str, filled: int, *, whole: bool | None) -> None:
        self.gaps[gap]["filled"] = filled

    def state(self, state: ConnectionState, text: Bilingual | None = None) -> None:
        self.states.append((state, text))

    def cursor(self, name: str) -> str | None:
        return next(
            (value for kind, value_of in reversed(self.log) if kind == "cursor" for key, value in [value_of] if key == name),
            None,
        )

    def save_cursor(self, name: str, value: str, done: Callable[[], None] | None = None) -> None:
        self.log.append(("cursor", (name, value)))

    # ---- what the tests ask

    def cut(self, length: int) -> None:
        """Keep only the first entries."""
        del self.log[length:]

    def records(self, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        """Return the records as the library would show them: the newest entry of a key counts."""
        held: dict[tuple[Any, ...], dict[str, Any]] = {}
        for kind, rows in self.log:
            if kind == "rows" and rows.table == table:
                for record in rows.batch.to_pylist():
                    key = tuple(record[name] for name in rows.key)
                    if rows.change == "delete":
                        held.pop(key, None)
                    else:
                        held[key] = record
        return held

    def rejects(self) -> list[Reject]:
        return [entry for kind, entry in self.log if kind == "reject"]

    def put(self, table: str) -> int:
        """Return how many records of a table were handed over in all."""
        return sum(entry.batch.num_rows for kind, entry in self.log if kind == "rows" and entry.table == table)

    def samples(self) -> list[tuple[str, datetime, float | None, str | None, int, str]]:
        names = {number: name for name, number in self.tags.items()}
        return [
            (names[row["tag"]], row["time"], row["number"], row["text"], row["quality"], block.origin)
            for kind, block in self.log
            if kind == "block"
            for row in block.batch.to_pylist()
        ]


@dataclass
class Hands:
    """A clock that is moved by hand."""

    now: datetime = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
