"""Trials against node-opcua that the tests run shortened and the bench runs long: a steady flow, and a server that is killed."""

from __future__ import annotations

import json
import resource
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from madang.connect import Collector, ConnectionSettings, Ledger, Spool
from madang.connect.opcua import make, trust
from madang.library import Library
from madang.plant import BAD_NO_COMMUNICATION
from tests.connect.opcua.servers import free_port
from tests.peers import NodeProcess, start_node


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Peer:
    """A node-opcua server that can be killed and started again on the same port, and the truth that it wrote."""

    folder: Path
    tags: int
    hz: float
    history: int = 0
    changes: int = 0
    max_queue: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.truth = self.folder / "truth.csv"
        self.round = 0
        self.node: NodeProcess | None = None

    def start(self) -> NodeProcess:
        options = {
            "port": self.port,
            "tags": self.tags,
            "hz": self.hz,
            "truth": str(self.truth),
            "pki": str(self.folder / "pki"),
            "secure": True,
            "changes": self.changes,
            "history": self.history,
            "start": self.round,
        }
        self.node = start_node("opcua_server.js", json.dumps(options), package="node-opcua-server")
        return self.node

    def go(self) -> None:
        assert self.node is not None
        self.node.say("go")

    def kill(self) -> None:
        assert self.node is not None
        self.node.kill()
        self.round = int(self.written()[:, 1].max()) + 1

    def close(self) -> None:
        if self.node is not None:
            self.node.close()

    def written(self) -> NDArray[np.int64]:
        """Rows of the truth: tag, value, time [ms since 1970], status; a line cut by a kill is no row."""
        lines = self.truth.read_text().split("\n")
        return np.array(
            [[int(part) for part in line.split(",")] for line in lines[:-1] if line.count(",") == 3], dtype=np.int64
        )

    def settings(self, name: str, **options: str) -> ConnectionSettings:
        """Settings of an encrypted connection whose server a person has trusted."""
        wanted = ConnectionSettings(
            name,
            "opcua",
            f"opc.tcp://127.0.0.1:{self.port}/plant",
            {
                "certificates": str(self.folder / "certificates"),
                "publish": "200",
                "sampling": "50",
                "reconnect": "1",
                **options,
            },
        )
        source = make(wanted)
        last = list(source.test())[-1]
        source.close()
        if last.state == "ask":
            trust(wanted, last.facts["thumbprint"])
        else:
            assert last.state == "ok", last
        return wanted


@dataclass
class Kept:
    """What the lake holds of one peer: rows of tag, value, time [ms], status, and the receive-free marks of interruptions."""

    rows: NDArray[np.int64]
    marks: int


def kept(library: Library, dataset: str) -> Kept:
    tags = {card.point: int(card.tag.rpartition("tag")[2]) for card in library.points(dataset)}
    table = library.read(dataset, reader="owner", purpose="trial", form="stored", units="source").table
    points = table.column("point").to_pylist()
    at = table.column("time").cast("int64").to_numpy() // 1000
    quality = table.column("quality").to_numpy()
    marks = int((quality == BAD_NO_COMMUNICATION).sum())
    rows = np.empty((len(points), 4), dtype=np.int64)
    rows[:, 0] = [tags[point] for point in points]
    rows[:, 1] = np.nan_to_num(table.column("value").to_numpy(), nan=-1.0)
    rows[:, 2], rows[:, 3] = at, quality
    return Kept(rows[quality != BAD_NO_COMMUNICATION], marks)


def flow(folder: Path, *, seconds: float, tags: int = 1000, hz: float = 5.0, servers: int = 1) -> dict[str, float]:
    """Follow steady changes into the committed lake; every change is looked for there, with its status to the bit."""
    peers = [Peer(folder / f"peer{number}", tags, hz, changes=int(hz * seconds)) for number in range(servers)]
    stop = threading.Event()
    memory: list[int] = []
    with Library.open(folder / "workspace", clock=now, zone="Asia/Seoul") as library:
        intake = library.live(threads=1)
        spools, threads, collectors = [], [], []
        try:
            for number, peer in enumerate(peers):
                peer.start()
                wanted = peer.settings(f"line{number}")
                source = make(wanted)
                spool = Spool.open(folder / f"spool{number}", clock=now)
                spools.append(spool)
                collector = Collector(source, spool, spool.ledger, now)
                collectors.append(collector)
                intake.attach(wanted.name, spool, None, dataset=wanted.name)
                threads.append(threading.Thread(target=collector.run, args=(stop,)))
                threads[-1].start()
            _until(lambda: all(one.status().received >= tags for one in collectors), 60)
            wall, cpu = time.perf_counter(), time.process_time()
            for peer in peers:
                peer.go()
            finished = threading.Event()

            def wait() -> None:
                for peer in peers:
                    assert peer.node is not None
                    peer.node.line()
                finished.set()

            threading.Thread(target=wait, daemon=True).start()
            while not finished.wait(0.15):
                intake.step(now())
                memory.append(_resident())
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            expected = [tags + len(peer.written()) for peer in peers]
            with suppress(AssertionError):  # what is lost is counted below
                _until(lambda: all(one.status().durable >= count for one, count in zip(collectors, expected, strict=True)), 30)
            stop.set()
            for thread in threads:
                thread.join(20)
            intake.step(now(), force=True)
            lost = doubled = wrong = total = gaps = 0
            for number, peer in enumerate(peers):
                truth, held = peer.written(), kept(library, f"line{number}").rows
                held = held[held[:, 1] >= 0]
                total += len(truth)
                lost += len(_keys(truth) - _keys(held))
                doubled += len(held) - len(_keys(held))
                wrong += len(_whole(truth) - _whole(held)) - len(_keys(truth) - _keys(held))
                gaps += sum(gap.cause != "collector_stopped" for gap in spools[number].ledger.gaps())
        finally:
            stop.set()
            for peer in peers:
                peer.close()
            intake.close()
            for spool in spools:
                spool.close()
    half = len(memory) // 2
    return {
        "servers": servers,
        "tags": tags * servers,
        "seconds": round(wall, 1),
        "changes": total,
        "changes_per_s": round(total / wall),
        "cpu_share_of_one_core": round(cpu / wall, 3),
        "memory_mb_first_half": round(max(memory[:half], default=0) / 1e6),
        "memory_mb_second_half": round(max(memory[half:], default=0) / 1e6),
        "lost": lost,
        "doubled": doubled,
        "status_or_time_wrong": wrong,
        "gaps": gaps,
    }


def crash(
    folder: Path, *, kills: int = 2, tags: int = 200, hz: float = 5.0, up: float = 4.0, down: float = 1.5
) -> dict[str, float]:
    """Kill the server at once, again and again; every change is in the lake or inside a recorded gap."""
    peer = Peer(folder / "peer", tags, hz)
    stop = threading.Event()
    resumed: list[float] = []
    with (
        Library.open(folder / "workspace", clock=now, zone="Asia/Seoul") as library,
        Spool.open(folder / "spool", clock=now) as spool,
    ):
        peer.start()
        wanted = peer.settings("line")
        source = make(wanted)
        collector = Collector(source, spool, spool.ledger, now)
        intake = library.live(threads=1)
        intake.attach("line", spool, None, dataset="line")
        thread = threading.Thread(target=collector.run, args=(stop,))
        thread.start()
        try:
            _until(lambda: collector.status().received >= tags, 60)
            peer.go()
            for _ in range(kills):
                _steps(intake, up)
                peer.kill()
                _steps(intake, down)
                peer.start()
                begun = time.perf_counter()
                before = collector.status().received
                peer.go()
                _until(lambda before=before: collector.status().received >= before + 2 * tags, 30)
                resumed.append(time.perf_counter() - begun)
            _steps(intake, up)
            collector_gaps = spool.ledger
            stop.set()
            thread.join(20)
            truth = peer.written()
            intake.step(now(), force=True)
            held = kept(library, "line")
        finally:
            stop.set()
            peer.close()
            intake.close()
        missing = _keys(truth) - _keys(held.rows)
        uncovered = _uncovered(truth, missing, collector_gaps)
        statuses = len(_whole(truth) - _whole(held.rows)) - len(missing)
    return {
        "kills": kills,
        "changes": len(truth),
        "missing": len(missing),
        "missing_outside_gaps": uncovered,
        "doubled": len(held.rows) - len(_whole(held.rows)),
        "status_or_time_wrong": statuses,
        "no_communication_marks": held.marks,
        "slowest_return_s": round(max(resumed), 1),
    }


def _uncovered(truth: NDArray[np.int64], missing: set[tuple[int, int]], ledger: Ledger) -> int:
    """How many missing changes lie in no gap; the time after the collector was told to stop is its own gap."""
    gaps = [
        (gap.since.timestamp() * 1000, gap.until.timestamp() * 1000 if gap.until else float("inf")) for gap in ledger.gaps()
    ]
    times = {(int(tag), int(value)): int(at) for tag, value, at, _ in truth.tolist()}
    return sum(1 for key in missing if not any(since <= times[key] <= until for since, until in gaps))


def _keys(rows: NDArray[np.int64]) -> set[tuple[int, int]]:
    return {(tag, value) for tag, value, _, _ in rows.tolist()}


def _whole(rows: NDArray[np.int64]) -> set[tuple[int, int, int, int]]:
    return {(tag, value, at, status) for tag, value, at, status in rows.tolist()}


def _steps(intake: object, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        intake.step(now())  # type: ignore[attr-defined]
        time.sleep(0.1)


def _until(what: object, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while not what():  # type: ignore[operator]
        assert time.perf_counter() < end, "did not come in time"
        time.sleep(0.02)


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
