"""Runs one source into one spool, and counts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from madang.connect._blocks import Block, Message, Reject, Rows, Tag
from madang.connect._gaps import Gap, GapCause
from madang.connect._ledger import Ledger
from madang.connect._limits import SpoolDepth
from madang.connect._source import ConnectionState, Source
from madang.connect._spool import Spool
from madang.connect._window import RecentMessages
from madang.connect._writer import Done
from madang.errors import MadangError
from madang.plant import Bilingual, Interval

_PATIENCE: Final = (1.0, 60.0)
"""Shortest and longest wait before a source that failed is started again [s]."""


@dataclass(frozen=True)
class CollectorStatus:
    """How one connection is, in numbers since this collector was made. Counts are of samples, messages and records."""

    state: ConnectionState
    text: Bilingual | None
    """What the source said about its state."""
    received: int
    """Got from the peer, duplicates and rejects included."""
    durable: int
    """Of those, on disk."""
    duplicates_dropped: int
    """Sent again by the peer and kept already; told to the peer as taken."""
    rejected: int
    overflowed: int
    """Deleted or thinned out because the spool was full, over the life of the ledger."""
    newest: datetime | None
    """When the newest of it was received (UTC)."""
    depth: SpoolDepth
    gaps_open: int


class Collector:
    """The `Sink` of one source: everything goes to the spool, and what does not come goes to the ledger.

    Args:
        source: Runs in the thread that calls `run`.
        spool: Where things go.
        ledger: Where gaps go; the spool's own.
        clock: Tells the time (aware).
        options: ``identity=payload``: messages with the topic and payload of a recent one are duplicates, whatever the peer says.
        tags: Names of the tags that the connection subscribes; empty = all.
    """

    def __init__(
        self,
        source: Source,
        spool: Spool,
        ledger: Ledger,
        clock: Callable[[], datetime],
        *,
        options: Mapping[str, str] | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        self._source = source
        self._spool = spool
        self._ledger = ledger
        self._clock = clock
        self._tags = tuple(tags)
        self._lock = threading.Lock()
        self._counts = {"received": 0, "durable": 0, "duplicates": 0, "rejected": 0}
        self._state: ConnectionState = "starting"
        self._text: Bilingual | None = None
        self._newest = spool.newest
        self._window = RecentMessages(by_payload=(options or {}).get("identity") == "payload")
        for message in spool.tail(self._window.limit):
            self._window.remember(message)
        self._inherited = [g for g in ledger.gaps() if g.until is None]
        self._stopped: str | None = None
        self._helpers: list[threading.Thread] = []

    def number_of(self, tag: Tag) -> int:
        """Return the tag's lasting number."""
        return self._spool.tags.number_of(tag)

    def put_block(self, block: Block, done: Done | None = None) -> None:
        """Take samples."""
        self._count("received", len(block))
        if block.origin == "live":
            self._alive(block.received)
        self._spool.append_block(block, self._when_durable(len(block), done))

    def put_messages(self, messages: Sequence[Message], done: Done | None = None) -> None:
        """Take raw messages; those sent again that are kept already are told as taken and dropped."""
        if not messages:
            return
        fresh = self._window.fresh(messages)
        self._count("received", len(messages))
        if len(fresh) < len(messages):
            self._count("duplicates", len(messages) - len(fresh))
        self._alive(messages[0].received)
        self._spool.append_messages(fresh, self._when_durable(len(fresh), done))

    def put_rows(self, rows: Rows, done: Done | None = None) -> None:
        """Take records of a table."""
        self._count("received", rows.batch.num_rows)
        self._alive(rows.received)
        self._spool.append_rows(rows, self._when_durable(rows.batch.num_rows, done))

    def put_reject(self, reject: Reject) -> None:
        """Take what could not be understood."""
        self._count("received", 1)
        self._count("rejected", 1)
        self._spool.append_reject(reject)

    def gap_opened(self, cause: GapCause, since: datetime, *, tags: Sequence[str] | None = None, note: str = "") -> str:
        """Note that nothing is got from an instant on; returns the gap's id."""
        gap = self._ledger.open(cause, since, tags=tags, note=note)
        self._inherited = [g for g in self._inherited if g.id != gap]
        return gap

    def gap_closed(self, gap: str, until: datetime, *, samples: int | None = None) -> None:
        """Note that samples arrive again."""
        self._ledger.close(gap, until, samples=samples)

    def gap_filled(self, gap: str, filled: int, *, whole: bool | None) -> None:
        """Note what backfilling brought."""
        self._ledger.fill(gap, filled, whole=whole)

    def state(self, state: ConnectionState, text: Bilingual | None = None) -> None:
        """Say how the connection is."""
        with self._lock:
            self._state, self._text = state, text

    def cursor(self, name: str) -> str | None:
        """Return a saved position."""
        return self._spool.cursor(name)

    def save_cursor(self, name: str, value: str, done: Done | None = None) -> None:
        """Save a position; it becomes durable in order with what was put before it."""
        self._spool.save_cursor(name, value, done)

    def run(self, stop: threading.Event) -> None:
        """Run the source until `stop` is set. A source that breaks down is started again; a refusal is not.

        Raises:
            MadangError: What the source says that trying again cannot help; the state is ``failed``.
        """
        if self._newest is not None:
            self._stopped = self._ledger.open("collector_stopped", self._newest, note="")
            self._inherited = [g for g in self._inherited if g.id != self._stopped]
        wait, longest = _PATIENCE
        try:
            while not stop.is_set():
                self.state("starting")
                try:
                    self._source.subscribe(self, stop)
                    break
                except MadangError as error:
                    self.state("failed", Bilingual(error.ko, error.en))
                    raise
                except Exception as error:  # an adapter's fault must not end the collection
                    name = type(error).__name__
                    self.gap_opened("disconnected", self._newest or self._clock(), note=name)
                    self.state(
                        "disconnected",
                        Bilingual(f"내부 오류로 다시 시작해요 ({name}).", f"Starts again after a fault ({name})."),
                    )
                    stop.wait(wait)
                    wait = min(longest, wait * 2)
        finally:
            for helper in self._helpers:
                helper.join()
            if self._newest is not None:
                self._ledger.open("collector_stopped", self._newest)
            if self._state != "failed":
                self.state("stopped")

    def status(self) -> CollectorStatus:
        """Return how the connection is now."""
        gaps = self._ledger.gaps()
        with self._lock:
            counts, state, text, newest = dict(self._counts), self._state, self._text, self._newest
        return CollectorStatus(
            state=state,
            text=text,
            received=counts["received"],
            durable=counts["durable"],
            duplicates_dropped=counts["duplicates"],
            rejected=counts["rejected"],
            overflowed=sum(g.samples or 0 for g in gaps if g.cause in ("spool_dropped", "spool_thinned")),
            newest=newest,
            depth=self._spool.depth(),
            gaps_open=sum(g.until is None for g in gaps),
        )

    def _count(self, name: str, number: int) -> None:
        with self._lock:
            self._counts[name] += number

    def _when_durable(self, number: int, done: Done | None) -> Done:
        def call() -> None:
            self._count("durable", number)
            if done is not None:
                done()

        return call

    def _alive(self, received: int) -> None:
        """Close what began before this collector: something live has come."""
        now = datetime.fromtimestamp(received / 1e6, UTC)
        self._newest = now
        if self._stopped is None and not self._inherited:
            return
        with self._lock:
            stopped, self._stopped = self._stopped, None
            inherited, self._inherited = self._inherited, []
        for gap in inherited:
            if gap.tags is None:
                self._ledger.close(gap.id, now)
        if stopped is not None:
            self._ledger.close(stopped, now)
            self._fill(self._ledger.get(stopped))

    def _fill(self, gap: Gap) -> None:
        """Fetch what the peer kept while this collector did not run."""
        if "backfill" not in self._source.description.capabilities or gap.until is None or gap.until <= gap.since:
            return
        interval = Interval(gap.since, gap.until)

        def fetch() -> None:
            try:
                came = self._source.backfill(self._tags, interval, self)
            except Exception:  # the gap stays unfilled in the ledger, and can be asked for again
                return
            self._ledger.fill(gap.id, came, whole=True)

        helper = threading.Thread(target=fetch, name="backfill", daemon=True)
        self._helpers.append(helper)
        helper.start()
