"""Runs every connection that should run, and carries what they bring into the lake.

One runner per workspace: it holds ``spool/runner.lock``. It follows the files in ``connections/`` (added, changed, paused, removed), so that any process
may change them. What it knows it writes each second to ``spool/NAME/status.json`` and ``spool/runner.json``; `RunnerState` reads them.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from madang.connect import ConnectionSettings, FileLock, Source, make_source
from madang.errors import Json, MadangError
from madang.workspace._connections import Connection, Connections
from madang.workspace._memory import EVERY as GIVE_BACK_EVERY
from madang.workspace._memory import give_back
from madang.workspace._push import PushAnswer, PushDoor, not_running
from madang.workspace._running import RunningConnection, Totals, Trouble
from madang.workspace._secrets import conceal

if TYPE_CHECKING:
    from madang.connect.http._payload import PayloadFormat
    from madang.library import Library

_STEP: Final = 0.1
"""Seconds between two looks into the spools."""
_LOOK: Final = 1.0
"""Seconds between two looks at the files of the connections, and two writings of the states."""
_STOPPING: Final = 20.0
"""Longest wait for a source to stop [s]; one that does not is left behind, and its spool with it."""
_SETTLING: Final = 5.0
"""Longest wait for the disk before a removed connection is let go of [s]."""
_LATEST: Final = 30.0
_LOG = logging.getLogger("madang.runner")


class Runner:
    """Runs the connections of one workspace in this process.

    Args:
        root: Folder of the workspace.
        library: Where everything goes.
        connections: The connections.
        clock: Gives aware times.
        make: Makes a source; Madang's registry unless a test hands in another.
    """

    def __init__(
        self,
        root: Path,
        library: Library,
        connections: Connections,
        *,
        clock: Callable[[], datetime],
        make: Callable[[ConnectionSettings], Source] = make_source,
    ) -> None:
        self._spools = root / "spool"
        self._library = library
        self._connections = connections
        self._clock = clock
        self._make = make
        self._lock = FileLock(self._spools / "runner.lock")
        self._running: dict[str, RunningConnection] = {}
        self._doors: dict[str, PushDoor] = {}
        self._bad: dict[str, MadangError] = {}
        self._guard = threading.RLock()
        self._stamp: object = None
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None
        self._carrier: threading.Thread | None = None
        self._live: Any = None
        self._live_lock = threading.RLock()
        self._since: datetime | None = None
        self._moved = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether it runs in this process."""
        return self._keeper is not None and self._keeper.is_alive()

    def start(self) -> None:
        """Take the workspace and start everything that should run.

        Raises:
            InputError: Another process runs the connections of this workspace.
        """
        if self.running:
            return
        self._spools.mkdir(parents=True, exist_ok=True)
        if not self._lock.take(patience=2.0):
            raise _elsewhere(self._spools)
        try:
            self._since = self._clock()
            self._stop = threading.Event()
            self._stamp = None
            self._live = self._library.live()
            self._follow()
        except BaseException:
            self._lock.release()
            raise
        self._keeper = threading.Thread(target=self._keep, name="runner", daemon=True)
        self._carrier = threading.Thread(target=self._carry, name="committer", daemon=True)
        self._keeper.start()
        self._carrier.start()

    def stop(self) -> None:
        """Stop the sources, commit what is durable, and let go of the workspace. What is not committed waits in the spools."""
        if self._keeper is None:
            return
        self._stop.set()
        self._keeper.join()
        with self._guard:
            everyone = list(self._running.values())
            for running in everyone:
                running.ask_to_stop()
            until = time.monotonic() + _STOPPING
            stuck = [r for r in everyone if not r.wait(max(0.1, until - time.monotonic()))]
            if self._carrier is not None:
                self._carrier.join()
            self._drain()
            self._close_live()
            for door in self._doors.values():
                door.close()
            self._doors.clear()
            self._write_states()
            for running in everyone:
                if running not in stuck:
                    running.close()
            self._running.clear()
        (self._spools / "runner.json").unlink(missing_ok=True)
        self._keeper = self._carrier = None
        self._lock.release()

    def run(self, *, until: datetime | None = None, idle: float | None = None, stop: threading.Event | None = None) -> None:
        """Run until told to stop.

        Args:
            until: Instant at which to stop; never when None.
            idle: Stop once nothing has come for so long [s] and everything that came is committed; never when None.
            stop: Set it to stop.

        Raises:
            InputError: Another process runs the connections of this workspace.
        """
        told = stop or threading.Event()
        self.start()
        try:
            while not told.wait(0.2):
                if until is not None and self._clock() >= until:
                    return
                if idle is not None and self._quiet_for() >= idle:
                    return
        finally:
            self.stop()

    def flush(self, timeout: float) -> bool:
        """Commit everything that is durable; returns whether nothing waits any more.

        Args:
            timeout: Longest wait [s].
        """
        until = time.monotonic() + timeout
        while self.running:
            self._step(force=True)
            if not self._waiting():
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        return False

    def push(
        self, name: str, body: bytes, form: PayloadFormat, *, key: str | None = None, rest: str | None = None
    ) -> PushAnswer:
        """Take a pushed batch; see `PushDoor.take`.

        Raises:
            InputError: There is no such connection, it takes no pushes, or the batch cannot be taken.
            MissingError: The connection does not run here just now.
        """
        return self._door(name).take(body, form, key=key, rest=rest)

    def restart(self, name: str) -> None:
        """Stop and start one connection, because something outside its file has changed, such as a certificate that is trusted now."""
        with self._guard:
            running = self._running.get(name)
            if running is None or running.connection.wanted != "running":
                return
            self._halt(running, paused=False)
            running.start()

    def source(self, name: str) -> Source | None:
        """Return the running source of a connection; None when it does not run."""
        running = self._running.get(name)
        return None if running is None else running.source

    def backfill(self, gap_id: str) -> int:
        """Fetch what a gap lacks from its peer, now; returns how many samples came.

        Raises:
            InputError: There is no such gap, it is still open, or its peer keeps no history.
            MissingError: The connection does not run here.
        """
        name = gap_id.rpartition("-")[0]
        with self._guard:
            running = self._running.get(name)
        if running is None or running.collector is None or running.source is None or running.spool is None:
            raise not_running(name)
        from madang.workspace._gaps import fill_gap

        return fill_gap(running.source, running.collector, running.spool.ledger, gap_id)

    def documents(self) -> dict[str, dict[str, Json]]:
        """Return how every connection is, fresher than its file."""
        # Without the guard: a source that is slow to stop must not keep anybody from seeing the others.
        found = {name: running.document() for name, running in list(self._running.items())}
        return found | {name: _bad_document(error) for name, error in list(self._bad.items())}

    def head(self) -> dict[str, Json]:
        """Return who runs the connections, since when."""
        return {"pid": os.getpid(), "since": _iso(self._since), "at": _iso(self._clock())}

    def _door(self, name: str) -> PushDoor:
        known = self._doors.get(name)
        if known is not None:
            return known
        with self._guard:
            connection = self._connections.get(name)
            if connection.kind != "http":
                raise _takes_no_pushes(connection)
            running = self._running.get(connection.name)
            if running is None or running.spool is None or not running.alive:
                raise not_running(connection.name)
            from madang.connect.http._payload import PushOptions

            if connection.name in self._doors:
                return self._doors[connection.name]
            options = PushOptions.of(self._connections.settings(connection))
            self._doors[connection.name] = door = PushDoor(running, options, self._clock)
            return door

    def _keep(self) -> None:
        """Follow the files of the connections, and write the states, until told to stop."""
        while True:
            try:
                self._follow()
                self._write_states()
            except Exception:
                _LOG.exception("the runner's own round failed and is tried again")
            if self._stop.wait(_LOOK):
                return

    def follow(self) -> None:
        """Look at the files of the connections now instead of within a second."""
        if self.running:
            self._follow()

    def _follow(self) -> None:
        """Start, stop and renew connections as their files say."""
        with self._guard:
            stamp = self._connections.stamp()
            if stamp == self._stamp:
                return
            good, bad = self._connections.all()
            self._bad = bad
            wanted = {connection.name: connection for connection in good}
            for name in [name for name in self._running if name not in wanted and name not in bad]:
                self._drop(name)
            for connection in good:
                self._renew(connection)
            self._stamp = stamp

    def _renew(self, connection: Connection) -> None:
        known = self._running.get(connection.name)
        if known is not None and known.connection != connection:
            self._halt(known, paused=connection.wanted == "paused")
            known.connection = connection
        if known is None:
            known = self._running[connection.name] = RunningConnection(
                connection,
                self._connections.spool(connection.name),
                self._clock,
                settings=self._connections.settings,
                make_source=self._make,
                attach=self._attach,
                library=self._library,
                before=self._totals(connection),
            )
        if connection.wanted == "running":
            known.start()

    def _drop(self, name: str) -> None:
        """Commit what a removed connection brought, and let go of it; what cannot be committed now stays in its spool."""
        running = self._running[name]
        self._halt(running, paused=False)
        if running.spool is not None and running.spool.wait(running.spool.appended, _SETTLING):
            self._step(force=True)
        del self._running[name]
        with self._live_lock:
            self._live.detach(name)
        running.close()

    def _halt(self, running: RunningConnection, *, paused: bool) -> None:
        door = self._doors.pop(running.name, None)
        running.ask_to_stop("paused" if paused else "collector_stopped")
        running.wait(_STOPPING)
        if door is not None:
            door.close()

    def _attach(self, running: RunningConnection) -> None:
        assert running.spool is not None and running.source is not None
        with self._live_lock:
            # What was pulled and not committed is pulled again: the decoder may be another one now.
            self._live.detach(running.name)
            self._live.attach(
                running.name,
                running.spool,
                running.source.decoder(),
                dataset=running.connection.dataset or running.name,
                zone=running.connection.zone,
            )

    def _carry(self) -> None:
        """Carry durable frames into the lake until told to stop."""
        wait, given = _STEP, time.monotonic()
        while not self._stop.wait(wait):
            wait = _STEP if self._step(force=False) else min(_LATEST, max(1.0, wait * 2))
            if time.monotonic() - given >= GIVE_BACK_EVERY:
                give_back()
                given = time.monotonic()

    def _drain(self) -> None:
        """Commit everything that is durable; what cannot be committed stays in the spools."""
        for _ in range(1000):
            before = self._waiting()
            if not self._step(force=True) or not before or self._waiting() >= before:
                return

    def _step(self, *, force: bool) -> bool:
        """Commit once; returns whether it worked."""
        try:
            with self._live_lock:
                report = self._live.step(self._clock(), force=force)
        except Exception as error:  # the spools keep everything until it works again
            self._say_commit_trouble(Trouble.of(error))
            return False
        for name, part in report.connections.items():
            running = self._running.get(name)
            if running is None:
                continue
            if part.samples or part.rows or part.rejects or part.duplicates_dropped:
                self._moved = time.monotonic()
            running.count("committed", part.samples + part.rows)
            running.count("duplicates_dropped", part.duplicates_dropped)
            running.count("rejected", part.rejects)
            self._note_newest(running, part)
        return True

    @staticmethod
    def _note_newest(running: RunningConnection, part: object) -> None:
        good, skew, error = (getattr(part, name, None) for name in ("newest_good", "skew_seconds", "error"))
        if isinstance(good, datetime) and (running.totals.last_good is None or good > running.totals.last_good):
            running.totals.last_good = good
        if isinstance(skew, float):
            running.totals.skew = skew
        running.commit_trouble = Trouble.of(error) if isinstance(error, Exception) else None

    def _say_commit_trouble(self, trouble: Trouble) -> None:
        for running in list(self._running.values()):
            running.commit_trouble = trouble

    def _close_live(self) -> None:
        try:
            with self._live_lock:
                self._live.close()
        except Exception:
            _LOG.exception("the last commit failed; the spools keep what it held")
        self._live = None

    def _waiting(self) -> int:
        return sum(r.spool.durable - r.spool.released for r in self._running.values() if r.spool is not None)

    def _quiet_for(self) -> float:
        """Seconds for which nothing has come; 0 while something waits to be committed."""
        with self._guard:
            received = sum(running.counts()["received"] for running in self._running.values())
            waiting = self._waiting()
        if waiting or received != getattr(self, "_last_received", None):
            self._last_received = received
            self._moved = time.monotonic()
        return time.monotonic() - self._moved

    def _totals(self, connection: Connection) -> Totals:
        """What earlier runs of a connection counted; after a crash the lake itself is asked."""
        document = read_json(self._connections.spool(connection.name) / "status.json")
        totals = Totals.of(document)
        if document and document.get("clean") is not True:
            from madang.workspace._gaps import committed_samples

            kept = committed_samples(self._library, connection)
            for name in ("received", "durable", "committed"):  # what is in the lake was received and durable
                totals.counts[name] = max(totals.counts[name], kept)
        return totals

    def _write_states(self) -> None:
        ending = self._stop.is_set()
        for name, document in self.documents().items():
            folder = self._spools / name
            if folder.is_dir():
                write_json(folder / "status.json", {"name": name, **document, "at": _iso(self._clock()), "clean": ending})
        write_json(self._spools / "runner.json", self.head())


class RunnerState:
    """What a runner in any process says of itself and its connections.

    Args:
        root: Folder of the workspace.
        clock: Gives aware times.
    """

    FRESH: Final = 15.0
    """Seconds after which a runner that writes no more is taken for gone."""

    def __init__(self, root: Path, clock: Callable[[], datetime]) -> None:
        self._spools = root / "spool"
        self._clock = clock

    def head(self) -> dict[str, Json]:
        """Return whether a runner runs, its process and since when."""
        document = read_json(self._spools / "runner.json")
        at, pid = document.get("at"), document.get("pid")
        running = (
            isinstance(at, str)
            and isinstance(pid, int)
            and abs((self._clock() - datetime.fromisoformat(at)).total_seconds()) < self.FRESH
            and _exists(pid)
        )
        return {"running": running, "pid": pid if running else None, "since": document.get("since") if running else None}

    def document(self, name: str) -> dict[str, Json]:
        """Return what was last said of a connection; empty when it never ran."""
        return read_json(self._spools / name / "status.json")


def read_json(path: Path) -> dict[str, Json]:
    """Return a document that is replaced whole; empty when there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def write_json(path: Path, document: Mapping[str, Json]) -> None:
    """Replace a document so that readers see all of the old one or all of the new one, without secrets."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(conceal(json.dumps(document, ensure_ascii=False, allow_nan=False)), encoding="utf-8")
    beside.replace(path)


def _bad_document(error: MadangError) -> dict[str, Json]:
    trouble = Trouble.of(error)
    return {"state": "failed", **trouble.message.fields("text"), "error": trouble.document()}


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _elsewhere(spools: Path) -> MadangError:
    from madang.errors import InputError

    return InputError(
        "runner_elsewhere",
        ko="다른 프로그램이 이 작업 공간의 연결을 이미 돌리고 있어요.",
        en="Another process already runs the connections of this workspace.",
        next_ko="그 프로그램(madang serve 또는 madang connect run)을 멈추거나 그대로 두고 쓰세요.",
        next_en="Stop that process (madang serve or madang connect run), or leave the work to it.",
        where={"folder": str(spools), "pid": read_json(spools / "runner.json").get("pid")},
        retry=True,
    )


def _takes_no_pushes(connection: Connection) -> MadangError:
    from madang.errors import InputError

    return InputError(
        "takes_no_pushes",
        ko=f"‘{connection.name}’은(는) {connection.kind} 연결이라 보내 오는 값을 받지 않아요.",
        en=f"“{connection.name}” is a connection of the kind {connection.kind}, which takes no pushes.",
        next_ko="madang connect add 이름 --kind http 로 받는 연결을 만드세요.",
        next_en="Make a connection that does: madang connect add NAME --kind http",
        where={"connection": connection.name, "kind": connection.kind},
    )
