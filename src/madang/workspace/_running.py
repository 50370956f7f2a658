"""One connection while it runs: its spool, its collector, its thread, and what a person wants to know about it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from madang.connect import Collector, ConnectionSettings, ConnectionState, GapCause, Source, Spool, SpoolLimits
from madang.errors import Json, MadangError
from madang.plant import Bilingual
from madang.workspace._connections import Connection
from madang.workspace._secrets import conceal

if TYPE_CHECKING:
    from madang.library import Library

MakeSource = Callable[[ConnectionSettings], Source]
_SOON: Final = 1.0
_REFUSED_SOON: Final = 5.0
_LATEST: Final = 60.0
"""Longest wait before a source is started again [s]."""
_CALM: Final = 60.0
"""A source that ran for so long [s] is started again at once the next time."""
_RATE_OVER: Final = 10.0
"""Seconds over which the rate is counted."""
_REMEMBERED: Final = 8
"""Collectors of ended runs that are still asked for their counts."""
COUNTS: Final = ("received", "durable", "committed", "duplicates_dropped", "rejected")


@dataclass
class Trouble:
    """Why a connection does not run as it should."""

    message: Bilingual
    next: Bilingual

    def document(self) -> dict[str, Json]:
        """Return it for a report, without secrets."""
        return {**concealed(self.message).fields("message"), **concealed(self.next).fields("next")}

    @classmethod
    def of(cls, error: BaseException) -> Trouble:
        """Say in plain words what an error means."""
        if isinstance(error, MadangError):
            return cls(Bilingual(error.ko, error.en), Bilingual(error.next_ko, error.next_en))
        name = type(error).__name__
        return cls(
            Bilingual(
                f"연결 프로그램 안에서 잘못이 생겼어요 ({name}: {error}).",
                f"The connection's own program failed ({name}: {error}).",
            ),
            Bilingual("잠시 뒤 스스로 다시 시작해요.", "It starts again by itself in a moment."),
        )


def concealed(text: Bilingual) -> Bilingual:
    """Return a text without secrets."""
    return Bilingual(conceal(text.ko), conceal(text.en))


@dataclass
class Totals:
    """What a connection has done since it was made, over all runs."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    last_good: datetime | None = None
    skew: float | None = None

    @classmethod
    def of(cls, document: Mapping[str, Json]) -> Totals:
        """Return what an earlier run left in its status."""
        totals = cls()
        for name in COUNTS:
            value = document.get(name)
            totals.counts[name] = value if isinstance(value, int) and not isinstance(value, bool) else 0
        good = document.get("last_good")
        totals.last_good = datetime.fromisoformat(good) if isinstance(good, str) else None
        return totals


class RunningConnection:
    """Runs one connection in a thread of its own until it is told to stop.

    Args:
        connection: What it is.
        folder: Folder of its spool.
        clock: Gives aware times.
        settings: Gives what its source is made from, secrets looked up.
        make_source: Makes a source.
        attach: Is told the spool and the source once both are there, so that the lake takes from it.
        library: Where files go that a source hands over whole.
        before: What earlier runs counted.
    """

    def __init__(
        self,
        connection: Connection,
        folder: Path,
        clock: Callable[[], datetime],
        *,
        settings: Callable[[Connection], ConnectionSettings],
        make_source: MakeSource,
        attach: Callable[[RunningConnection], None],
        library: Library,
        before: Totals,
    ) -> None:
        self.connection = connection
        self.folder = folder
        self._clock = clock
        self._settings = settings
        self._make_source = make_source
        self._attach = attach
        self._library = library
        self.totals = before
        self.spool: Spool | None = None
        self.source: Source | None = None
        self.collector: Collector | None = None
        self.restarts = 0
        self._trouble: Trouble | None = None
        self.commit_trouble: Trouble | None = None
        self._state: ConnectionState = "starting"
        self._ended = False
        self._stop = threading.Event()
        self._why: GapCause = "collector_stopped"
        self._thread: threading.Thread | None = None
        self._past: list[Collector] = []
        self._rates: deque[tuple[float, int]] = deque()
        self._counted: set[str] = set()
        """Contents that were taken, and counted, with files that could not be: they come a second time."""
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Name of the connection."""
        return self.connection.name

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start its thread; does nothing when it runs already."""
        if self.alive:
            return
        self._stop, self._state, self._ended = threading.Event(), "starting", False
        self._why = "collector_stopped"
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name=f"connection {self.name}", daemon=True)
        self._thread.start()

    def ask_to_stop(self, why: GapCause = "collector_stopped") -> None:
        """Tell its thread to stop, without waiting for it."""
        self._why = why
        self._stop.set()

    def wait(self, timeout: float) -> bool:
        """Wait until its thread has stopped; returns whether it has."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.alive

    def close(self) -> None:
        """Make durable what was taken and let go of the spool."""
        spool, self.spool = self.spool, None
        if spool is not None:
            spool.close()

    def _run(self, stop: threading.Event) -> None:
        wait = _SOON
        while not stop.is_set():
            began = time.monotonic()
            try:
                self._once(stop)
                if not stop.is_set():
                    self._ended = True
                return
            except MadangError as error:
                self._fail(error, "failed")
                wait = max(wait, _REFUSED_SOON)
            except Exception as error:  # an adapter's fault must not end the others
                self._fail(error, "disconnected")
            finally:
                self._let_go()
            if time.monotonic() - began > _CALM:
                wait = _SOON
            self.restarts += 1
            stop.wait(wait)
            wait = min(_LATEST, wait * 2)

    def _once(self, stop: threading.Event) -> None:
        if self.spool is None:
            limits = SpoolLimits(policy=self.connection.overflow)
            if self.connection.max_bytes:
                limits = SpoolLimits(policy=self.connection.overflow, bytes=self.connection.max_bytes)
            self.spool = Spool.open(self.folder, clock=self._clock, limits=limits, name=self.name)
        settings = self._settings(self.connection)
        source = self._make_source(settings)
        if hasattr(source, "on_files"):
            source.on_files = self._take_files
        collector = Collector(source, self.spool, self.spool.ledger, self._clock, options=settings.options, tags=settings.tags)
        with self._lock:
            self.source, self.collector = source, collector
        self._attach(self)
        self._trouble = None
        collector.run(stop, lambda: self._why)

    def _take_files(self, paths: Sequence[Path]) -> None:
        """Take whole files into the library.

        Raises:
            MadangError: One of them, or more, could not be read, and the others were taken: the source hands each over alone then, which
                takes nothing twice, and sets aside the one that raises again.
        """
        dataset = self.connection.dataset if self.connection.dataset != self.name else None
        report = self._library.intake(list(paths), dataset=dataset, zone=self.connection.zone, party=f"connection:{self.name}")
        for table in report.tables:
            if table.sha256 in self._counted:
                continue
            self.count("received", table.tally.kept + table.tally.quarantined + table.tally.duplicate)
            self.count("durable", table.tally.kept + table.tally.quarantined + table.tally.duplicate)
            self.count("committed", table.tally.kept if table.added else 0)
            self.count("duplicates_dropped", table.tally.duplicate if table.added else table.tally.kept)
        if report.tables:
            self.totals.last_good = self._clock()
        if report.errors:
            self._counted = {table.sha256 for table in report.tables}
            raise min(report.errors, key=lambda error: error.retry)

    def _fail(self, error: Exception, state: Literal["failed", "disconnected"]) -> None:
        self._trouble = Trouble.of(error)
        collector = self.collector
        self._state = "needs_trust" if collector is not None and collector.status().state == "needs_trust" else state

    def _let_go(self) -> None:
        """Add what the collector counted to the totals, and close the source."""
        with self._lock:
            collector, source, self.collector, self.source = self.collector, self.source, None, None
            if collector is not None:
                # What it put may become durable, and be counted by it, a moment after it has stopped.
                self._past.append(collector)
            if len(self._past) > _REMEMBERED:
                _add(self.totals.counts, self._past.pop(0))
        if source is not None:
            try:
                source.close()
            except Exception as error:  # it is let go of anyway
                self._trouble = self._trouble or Trouble.of(error)

    def count(self, name: str, number: int) -> None:
        """Add to a total; called by whoever commits."""
        with self._lock:
            self.totals.counts[name] += number

    def counts(self) -> dict[str, int]:
        """Return the totals of all runs, this one included."""
        with self._lock:
            found = dict(self.totals.counts)
            for collector in [*self._past, *([] if self.collector is None else [self.collector])]:
                _add(found, collector)
            # After a kill, frames that were durable and not committed are committed by this run, though the last one received them.
            found["durable"] = max(found["durable"], found["committed"])
            found["received"] = max(found["received"], found["durable"])
        return found

    def document(self) -> dict[str, Json]:
        """Return how it is, as ``status.json`` keeps it."""
        counts = self.counts()
        collector, spool = self.collector, self.spool
        state: ConnectionState = self._state
        text: Bilingual | None = None
        if collector is not None:
            status = collector.status()
            state, text = status.state, status.text
        trouble = self._trouble or self.commit_trouble
        if self.connection.wanted == "paused" and not self.alive:
            state, text = "paused", Bilingual("사람이 멈춰 두었어요.", "Paused by a person.")
        elif self._ended:
            state, text = "stopped", Bilingual("더 올 것이 없어서 끝났어요.", "Ended: nothing more comes.")
        elif not self.alive:
            state = "stopped"
        if self.commit_trouble is not None and state == "connected":
            state = "degraded"
        if text is None and trouble is not None:
            text = trouble.message
        depth = spool.depth() if spool is not None else None
        return {
            "state": state,
            **concealed(text or Bilingual("", "")).fields("text"),
            **counts,
            "rate": self._rate(counts["received"]),
            "last_good": _iso(self.totals.last_good),
            "newest": _iso(collector.status().newest if collector is not None else None),
            "clock_skew_seconds": self.totals.skew,
            "spool_bytes": depth.bytes if depth else 0,
            "spool_frames": depth.frames if depth else 0,
            "hours_to_full": depth.hours_to_full if depth else None,
            "oldest_uncommitted": _iso(depth.oldest) if depth else None,
            "restarts": self.restarts,
            "error": trouble.document() if trouble else None,
        }

    def _rate(self, received: int) -> float | None:
        """Samples a second over the last ten seconds; None when it has not run for two."""
        now = time.monotonic()
        self._rates.append((now, received))
        while len(self._rates) > 2 and now - self._rates[1][0] >= _RATE_OVER:
            self._rates.popleft()
        then, before = self._rates[0]
        return round((received - before) / (now - then), 3) if now - then >= 2.0 else None


def _add(counts: dict[str, int], collector: Collector) -> None:
    status = collector.status()
    counts["received"] += status.received
    counts["durable"] += status.durable
    counts["duplicates_dropped"] += status.duplicates_dropped
    counts["rejected"] += status.rejected


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
