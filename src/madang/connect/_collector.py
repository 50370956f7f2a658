"""Runs one source into one spool, and counts."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyarrow.compute as pc

from madang.connect._blocks import Block, Message, Reject, Rows, Tag
from madang.connect._gaps import Gap, GapCause
from madang.connect._ledger import Ledger
from madang.connect._limits import SpoolDepth
from madang.connect._room import instant
from madang.connect._source import ConnectionState, Source
from madang.connect._spool import Spool
from madang.connect._window import RecentMessages
from madang.connect._writer import Done
from madang.errors import MadangError
from madang.plant import Bilingual, Interval

_PATIENCE: Final = (1.0, 60.0)
"""Shortest and longest wait before a source that failed is started again [s]."""
_MARGIN: Final = timedelta(seconds=2)
"""History is asked for from a little earlier: a value is received after its own time."""
_LAST_FILL: Final = 10.0
"""How long stopping waits for history that is being fetched [s]."""
_LOG: Final = logging.getLogger("madang.connect")


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
        self._received = 0 if spool.newest is None else _micros(spool.newest)
        """When the newest was received [us since 1970]; 0 while nothing was."""
        self._held = _last_held(spool) or self._received
        """Up to when nothing is missing: a value measured after it and not received before a stop is lost [us since 1970]."""
        self._window = RecentMessages(by_payload=(options or {}).get("identity") == "payload")
        self._window.remember(spool.tail(self._window.limit))
        self._inherited: list[Gap] = []
        self._over = False
        self._stopped: str | None = None
        self._helpers: list[threading.Thread] = []
        # Here and not in `run`: whoever pushes may be quicker than that.
        self._begin()

    def number_of(self, tag: Tag) -> int:
        """Return the tag's lasting number."""
        return self._spool.tags.number_of(tag)

    def put_block(self, block: Block, done: Done | None = None) -> None:
        """Take samples."""
        self._count("received", len(block))
        if block.origin == "live":
            self._alive(block.received, held=_held(block))
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
        try:
            self._spool.append_messages(fresh, self._when_durable(len(fresh), done))
        except Exception:
            self._window.take_back(fresh)
            self._count("received", -len(messages))
            raise

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
        with self._lock:
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
        capabilities = self._source.description.capabilities
        if state == "connected" and ("rows" in capabilities or "subscribe" not in capabilities):
            # A table and a folder are read on from where they were left: what waited there is not lost, and may be nothing.
            self._alive(_micros(self._clock()), kept_by_peer=True)

    def cursor(self, name: str) -> str | None:
        """Return a saved position."""
        return self._spool.cursor(name)

    def save_cursor(self, name: str, value: str, done: Done | None = None) -> None:
        """Save a position; it becomes durable in order with what was put before it."""
        self._spool.save_cursor(name, value, done)

    def run(self, stop: threading.Event, cause: Callable[[], GapCause] = lambda: "collector_stopped") -> None:
        """Run the source until `stop` is set. A source that breaks down is started again; a refusal is not.

        Args:
            stop: Ends it.
            cause: Asked at the end: the cause of the gap that begins then, such as ``paused`` where a person stopped it.

        Raises:
            MadangError: What the source says that trying again cannot help; the state is ``failed``.
        """
        if self._over:
            self._begin()
        wait, longest = _PATIENCE
        try:
            while not stop.is_set():
                self.state("starting")
                try:
                    self._source.subscribe(self, stop)
                    break
                except MadangError as error:
                    if error.code == "spool_closed":
                        break
                    self.state("failed", Bilingual(error.ko, error.en))
                    raise
                except Exception as error:  # an adapter's fault must not end the collection
                    self._broke_down(error)
                    stop.wait(wait)
                    wait = min(longest, wait * 2)
        finally:
            for helper in self._helpers:
                helper.join(_LAST_FILL)
            if self._held:
                self._ledger.open(cause(), instant(self._held))
            self._over = True
            if self._state != "failed":
                self.state("stopped")

    def _begin(self) -> None:
        """Note from when on nothing was got, until something live comes."""
        self._over = False
        self._inherited = [g for g in self._ledger.gaps() if g.until is None]
        if self._held and not any(g.cause == "paused" and g.tags is None for g in self._inherited):
            stopped = self._ledger.open("collector_stopped", instant(self._held))
            self._inherited = [g for g in self._inherited if g.id != stopped]
            self._stopped = stopped

    def _broke_down(self, error: Exception) -> None:
        name = type(error).__name__
        place = traceback.extract_tb(error.__traceback__)[-1]  # the text of an error may hold an address with its password
        _LOG.error("%s broke down and is started again: %s in %s:%s", self._ledger.connection, name, place.name, place.lineno)
        gap = self._ledger.open("disconnected", instant(self._held) if self._held else self._clock(), note=name)
        with self._lock:
            self._inherited.append(self._ledger.get(gap))
        self.state("disconnected", Bilingual(f"내부 오류로 다시 시작해요 ({name}).", f"Starts again after a fault ({name})."))

    def status(self) -> CollectorStatus:
        """Return how the connection is now."""
        gaps = self._ledger.gaps()
        with self._lock:
            counts, state, text, newest = dict(self._counts), self._state, self._text, self._newest
        if state == "connected" and self._spool.trouble is not None:
            state = "degraded"
            text = Bilingual("디스크에 쓸 수 없어서 기다리고 있어요.", "Waits because nothing can be written to the disk.")
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

    @property
    def _newest(self) -> datetime | None:
        return instant(self._received) if self._received else None

    def _count(self, name: str, number: int) -> None:
        with self._lock:
            self._counts[name] += number

    def _when_durable(self, number: int, done: Done | None) -> Done:
        def call() -> None:
            self._count("durable", number)
            if done is not None:
                done()

        return call

    def _alive(self, received: int, *, held: int | None = None, kept_by_peer: bool = False) -> None:
        """Close what began before: something live has come, or the peer keeps what was missed and is being read on."""
        if not kept_by_peer:
            self._received = received
            self._held = held or received
        if self._stopped is None and not self._inherited:
            return
        now = instant(received)
        with self._lock:
            stopped, self._stopped = self._stopped, None
            over = [g.id for g in self._inherited if g.tags is None]
            self._inherited = []
        over += [stopped] if stopped is not None else []
        for gap in over:
            self._ledger.close(gap, now)
            if kept_by_peer:
                self._ledger.fill(gap, 0, whole=True)
        if over and not kept_by_peer:
            self._fill([self._ledger.get(gap) for gap in over])

    def _fill(self, gaps: Sequence[Gap]) -> None:
        """Fetch what the peer kept while nothing came."""
        since, until = min(g.since for g in gaps), max(g.until or g.since for g in gaps)
        if "backfill" not in self._source.description.capabilities or until <= since:
            return
        interval = Interval(since - _MARGIN, until)

        def fetch() -> None:
            try:
                came = self._source.backfill(self._tags, interval, self)
            except Exception as error:  # the gap stays unfilled in the ledger, and can be asked for again
                _LOG.warning("history of %s could not be fetched: %s", self._ledger.connection, type(error).__name__)
                return
            # A source that knows more than a number says it: part of the history, or none kept (None).
            whole: bool | None = getattr(came, "whole", came > 0)
            for gap in gaps:
                self._ledger.fill(gap.id, came if gap is gaps[-1] else 0, whole=whole)

        helper = threading.Thread(target=fetch, name="backfill", daemon=True)
        self._helpers.append(helper)
        helper.start()


def _held(block: Block) -> int:
    """Return the time of the newest sample of a block, or when it was received where the source's clock goes wrong [us].

    What was measured after that sample and before the block came travels with the next one.
    """
    if not len(block):
        return block.received
    newest = pc.max(block.batch.column("time")).value
    on_the_way = block.received - newest
    return newest if 0 <= on_the_way <= _MARGIN // timedelta(microseconds=1) else block.received


def _last_held(spool: Spool) -> int | None:
    """Return `_held` of the newest frame of a spool; None where that is no block of live samples, or is gone."""
    for frame in spool.read(spool.durable - 1, 1):
        if isinstance(frame.content, Block) and frame.content.origin == "live":
            return _held(frame.content)
    return None


def _micros(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000_000)
