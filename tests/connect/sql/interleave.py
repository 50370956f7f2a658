"""Writers whose transactions are open at the same time, a follower that looks in between, and crashes of it; all from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from madang.connect import ConnectionSettings
from madang.connect.sql import make
from madang.connect.sql._source import SqlSource
from tests.connect.sql.shelf import Hands, Shelf

TABLE = "생산 실적"
COLUMNS = ("번호", "중량", "비고", "updated_at")


class Writer(Protocol):
    """One connection that writes."""

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> Any: ...  # noqa: ANN401
    def commit(self) -> None: ...
    def rollback(self) -> None: ...


@dataclass
class Plant:
    """A MES with some writers; what they do is drawn from a seed."""

    seed: int
    writers: Sequence[Writer]
    reader: Writer
    quote: str
    sign: str
    lock: str
    """How a row is chosen that no other transaction holds."""
    start: datetime
    keyed: bool = True
    random: random.Random = field(init=False)
    open: set[int] = field(default_factory=set)
    given: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def table(self) -> str:
        return f"{self.quote}{TABLE}{self.quote}"

    def rows(self) -> list[tuple[Any, ...]]:
        """Return what is committed now."""
        self.reader.execute(f"SELECT {self._columns()} FROM {self.table}")
        found = sorted((tuple(row) for row in self.reader.fetchall()), key=repr)  # type: ignore[attr-defined]
        self.reader.rollback()
        return found

    def act(self, writer: int) -> None:
        """Let a writer do one thing: insert, update in place, delete, commit or roll back."""
        what = self.random.choices(("insert", "update", "delete", "commit", "rollback"), (5, 3, 2, 3, 1))[0]
        connection = self.writers[writer]
        if what in ("commit", "rollback"):
            (connection.commit if what == "commit" else connection.rollback)()
            self.open.discard(writer)
            return
        self.open.add(writer)
        try:
            self._write(connection, what)
        except Exception as error:
            # Records without a key are changed all alike, and another transaction may hold one of them.
            assert "lock timeout" in str(error), error
            connection.rollback()

    def _write(self, connection: Writer, what: str) -> None:
        s, q = self.sign, self.quote
        if what == "insert":
            for _ in range(self.random.randint(1, 3)):
                connection.execute(f"INSERT INTO {self.table} ({self._columns()}) VALUES ({s}, {s}, {s}, {s})", self._record())
            return
        connection.execute(
            f"SELECT {q}번호{q} FROM {self.table} ORDER BY {q}번호{q} LIMIT 1 OFFSET {self.random.randint(0, 8)} {self.lock}"
        )
        found = connection.fetchone()  # type: ignore[attr-defined]
        if found is None:
            return
        if what == "update":
            # In place: nothing tells from the record that, or when, it was changed.
            connection.execute(f"UPDATE {self.table} SET {q}중량{q} = {s} WHERE {q}번호{q} = {s}", (self._weight(), found[0]))
        else:
            connection.execute(f"DELETE FROM {self.table} WHERE {q}번호{q} = {s}", (found[0],))

    def settle(self) -> None:
        """End all transactions."""
        for writer in sorted(self.open):
            self.writers[writer].commit()
        self.open.clear()

    def _record(self) -> tuple[Any, ...]:
        self.given += 1
        number = self.given if self.keyed else self.random.randint(1, 3)
        when = self.start + timedelta(seconds=self.given)
        return number, self._weight(), self.random.choice([None, "정상", "재작업", ""]), when

    def _weight(self) -> Decimal:
        if not self.keyed:
            return Decimal(self.random.randint(0, 1))
        return Decimal(self.random.randint(-(10**20), 10**20)).scaleb(-10)

    def _columns(self) -> str:
        return ", ".join(f"{self.quote}{name}{self.quote}" for name in COLUMNS)


@dataclass
class Follower:
    """Madang's side: a source, a shelf, a clock, and crashes that lose what was not durable."""

    url: str
    options: dict[str, str]
    random: random.Random
    hands: Hands = field(default_factory=Hands)
    shelf: Shelf = field(default_factory=Shelf)
    source: SqlSource | None = None

    def look(self, seconds: float) -> None:
        """Look once, after some time has passed."""
        self.hands.on(seconds)
        if self.source is None:
            made = make(ConnectionSettings("mes", "sql", self.url, self.options, tags=(TABLE,)), clock=self.hands)
            assert isinstance(made, SqlSource)
            self.source = made
        before = len(self.shelf.log)
        self.source.round(self.shelf)
        if self.random.random() < 0.15:
            # A crash at any instant of this look: what was put after it is lost, and a new process begins.
            self.shelf.cut(self.random.randint(before, len(self.shelf.log)))
            self.source.close()
            self.source = None

    def rows(self) -> list[tuple[Any, ...]]:
        held = self.shelf.records(TABLE).values()
        return sorted((tuple(record[name] for name in COLUMNS) for record in held), key=repr)

    def close(self) -> None:
        if self.source is not None:
            self.source.close()


def play(plant: Plant, follower: Follower, steps: int, settled: Callable[[Follower], None]) -> None:
    """Let writers and follower take turns, then let everything end."""
    for _ in range(steps):
        if plant.random.random() < 0.25:
            follower.look(plant.random.choice([0.5, 2.0, 40.0]))
        else:
            plant.act(plant.random.randrange(len(plant.writers)))
    plant.settle()
    follower.look(5.0)
    settled(follower)
    follower.close()
