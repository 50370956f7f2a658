"""Runs the living plant: time, faces, troubles, trace, and what it came to in the end."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from madang.errors import Json, MissingError
from madang.factory.twin._live_documents import ready_document, twin_document
from madang.factory.twin._live_lab import LabFace
from madang.factory.twin._live_lots import LiveLot
from madang.factory.twin._live_mes import MesFace
from madang.factory.twin._live_mqtt import MqttFace
from madang.factory.twin._live_opcua import OpcUaFace
from madang.factory.twin._live_plant import LivePlant, PlantClock, PlantSecond
from madang.factory.twin._live_points import live_points
from madang.factory.twin._live_settings import DEFAULT_HOURS, FIXED_EPOCH, LiveSettings, check_settings
from madang.factory.twin._live_sparkplug import SparkplugFace
from madang.factory.twin._live_trace import SentLedger, Trace, sent_path
from madang.factory.twin._live_troubles import LiveTrouble, read_troubles

LAST_READINGS: Final = 1.0
"""How long the server stays after the plant has stopped [s of the clock on the wall]."""
_AT_ONCE: Final = 120
"""Seconds of the plant computed before others get their turn."""


@dataclass
class Faces:
    """What shows the plant to others."""

    opcua: OpcUaFace | None = None
    mqtt: MqttFace | None = None
    sparkplug: SparkplugFace | None = None
    mes: MesFace | None = None
    lab: LabFace | None = None


@dataclass
class LiveRun:
    """One run of the living plant.

    Args:
        settings: How.
        clock: Gives aware times.
        progress: Told of the second of the plant once a second on the wall.

    Raises:
        UsageError: A trouble, a speed or a length that cannot be.
        MissingError: A policy that is not there yet, or something that a face needs.
    """

    settings: LiveSettings
    clock: Callable[[], datetime]
    progress: Callable[[float], None] = lambda t: None
    happened: list[dict[str, Json]] = field(default_factory=list)
    """What troubles really did: ``kind``, ``from``, ``to`` (instants), ``point``."""

    def __post_init__(self) -> None:
        s = self.settings
        check_settings(s)
        self.flat_out = s.speed is None and not s.faces
        speed = 1.0 if s.speed is None else s.speed
        self.hours = DEFAULT_HOURS if s.hours is None and not s.faces else s.hours
        self.troubles: tuple[LiveTrouble, ...] = read_troubles(s.troubles, live_points(s.line), seed=s.seed, hours=self.hours)
        epoch = FIXED_EPOCH if self.flat_out else _whole_second(self.clock())
        self.plant_clock = PlantClock(epoch, speed)
        self.scan = max(round(s.scan if s.scan is not None else max(speed, 1.0)), 1)
        self.plant = LivePlant(s.line, s.seed, causes=s.causes, clock=self.plant_clock, troubles=self.troubles)
        self._faces = Faces()
        self._begun: set[LiveTrouble] = set()
        self._acting: dict[LiveTrouble, dict[str, Json]] = {}
        self._skew = timedelta(0)
        self._results: list[tuple[float, int, LiveLot]] = []
        self._trace: Trace | None = None
        self._sent: SentLedger | None = None
        self._halted = False

    # ------------------------------------------------------------------ life

    async def run(self, stop: asyncio.Event) -> dict[str, Json]:
        """Run until the hours are over or `stop` is set; return the fields of a ``twin/1`` document."""
        try:
            await self._open()
            await self._live(stop)
        finally:
            await self._close()
        return twin_document(self, self._faces, self._sent, None if self._trace is None else self._trace.rows)

    async def _open(self) -> None:
        s = self.settings
        if s.trace is not None:
            doubted = tuple(
                dict.fromkeys(
                    t.point for t in self.troubles if t.point is not None and t.kind in ("stuck_sensor", "unit_change")
                )
            )
            self._trace = Trace(s.trace, self.plant.points, doubted)
            self._sent = SentLedger(sent_path(s.trace))
        faces = self._faces
        rng = np.random.default_rng(np.random.SeedSequence([s.seed, 20250303, 3]))
        if s.mqtt is not None:
            faces.mqtt = MqttFace(self.plant, s.mqtt, sent=lambda *sample: self._note("mqtt", *sample))
        if s.sparkplug is not None:
            faces.sparkplug = SparkplugFace(self.plant, s.sparkplug, sent=lambda *sample: self._note("sparkplug", *sample))
        if s.opcua is not None:
            faces.opcua = OpcUaFace(self.plant, host=s.host, port=s.opcua, sent=lambda *sample: self._note("opcua", *sample))
            try:
                await faces.opcua.start()
            except OSError as error:
                raise _port_taken(s.opcua) from error
        if not self.flat_out:
            # Opening the server took a while: second 0 is now.
            self.plant_clock = PlantClock(_whole_second(self.clock()), self.plant_clock.speed)
            self.plant.clock = self.plant_clock
        if s.mes is not None:
            faces.mes = MesFace(self.plant, s.mes, rng)
        if s.lab is not None:
            faces.lab = LabFace(self.plant, s.lab, rng, self.troubles)
        for event in self.plant.before:
            self._expect_result(event.lot, event.kind)
        self._tell_results(0.0)
        if faces.lab is not None:
            faces.lab.drop(0.0, force=True)
        self._write_ready()

    def _note(self, face: str, name: str, at: int, value: float | None, text: str | None, quality: int) -> None:
        if self._sent is not None:
            self._sent.add(face, name, at, value, text, quality)

    async def _close(self) -> None:
        faces = self._faces
        if faces.lab is not None:
            await faces.lab.stop()
        if faces.mes is not None:
            faces.mes.stop()
        for publisher in (faces.mqtt, faces.sparkplug):
            if publisher is not None:
                publisher.stop()
        if faces.opcua is not None:
            faces.opcua.mend()
            # The last readings are still on their way to whoever subscribed.
            await asyncio.sleep(0.0 if self.flat_out else LAST_READINGS)
            await faces.opcua.stop()
        for record in self._acting.values():
            record["to"] = self.clock().isoformat()
        for file in (self._trace, self._sent):
            if file is not None:
                file.close()

    # ------------------------------------------------------------------ time

    async def _live(self, stop: asyncio.Event) -> None:
        end = None if self.hours is None else round(self.hours * 3600.0)
        told = time.monotonic()
        while not stop.is_set() and (end is None or self.plant.t < end):
            due = self.plant.t + _AT_ONCE if self.flat_out else int(self.plant_clock.second(self.clock()))
            due = min(due, self.plant.t + _AT_ONCE, due if end is None else end)
            while self.plant.t < due and not stop.is_set():
                await self._second()
            if time.monotonic() - told >= 1.0:
                told = time.monotonic()
                self.progress(self.plant.t)
                if self.settings.parent is not None and os.getppid() != self.settings.parent:
                    return
            await self._pause(stop)

    async def _pause(self, stop: asyncio.Event) -> None:
        """Wait until the next second of the plant is due, or at once when the plant lags."""
        if self.flat_out:
            await asyncio.sleep(0)
            return
        wait = (self.plant_clock.instant(self.plant.t + 1) - self.clock()).total_seconds()
        if wait <= 0.0:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), min(wait, 1.0))

    async def _second(self) -> None:
        await self._troubles(self.plant.t + 1)
        second = self.plant.second()
        if self._trace is not None:
            self._trace.add(second)
        if second.t % self.scan == 0:
            await self._show(second)
        events = self.plant.take_events()
        for event in events:
            self._expect_result(event.lot, event.kind)
        faces = self._faces
        if faces.mes is not None and (events or second.t % self.scan == 0):
            faces.mes.take(events, wall=time.monotonic())
        if self._results and self._results[0][0] <= second.t:
            self._tell_results(float(second.t))
        if faces.lab is not None and second.t % 60 == 0:
            faces.lab.drop(float(second.t))

    async def _show(self, second: PlantSecond) -> None:
        at = self.plant_clock.instant(second.t) + self._skew
        if self._faces.opcua is not None and not self._halted:
            await self._faces.opcua.show(second, at=at)
        for publisher in (self._faces.mqtt, self._faces.sparkplug):
            if publisher is not None:
                publisher.show(second, at=at)

    # ------------------------------------------------------------------ laboratory

    def _expect_result(self, lot: LiveLot, kind: str) -> None:
        if kind == "discharged" and lot.resulted is not None:
            due = lot.resulted if self._faces.lab is None else self._faces.lab.due(lot)
            heapq.heappush(self._results, (due, lot.number, lot))

    def _tell_results(self, t: float) -> None:
        due: list[tuple[float, LiveLot]] = []
        while self._results and self._results[0][0] <= t:
            told, _, lot = heapq.heappop(self._results)
            due.append((told, lot))
        if self._faces.lab is not None:
            for told, lot in due:
                self._faces.lab.add(lot, told)
        if self._faces.mes is not None and due:
            self._faces.mes.judge(due)

    # ------------------------------------------------------------------ troubles

    async def _troubles(self, t: int) -> None:
        """Begin and end what begins and ends at a second of the plant."""
        for trouble in self.troubles:
            if trouble.acts(t) and trouble not in self._begun:
                record: dict[str, Json] = {**trouble.fields(), "from": self.clock().isoformat(), "to": None}
                self._begun.add(trouble)
                self._acting[trouble] = record
                self.happened.append(record)
                await self._begin(trouble)
            elif trouble in self._acting and not trouble.acts(t):
                await self._end(trouble)
                self._acting.pop(trouble)["to"] = self.clock().isoformat()

    def add_troubles(self, text: str) -> tuple[LiveTrouble, ...]:
        """Plan troubles while the plant runs; their times count from now. They stand in the report, not in the ready document.

        Args:
            text: A list as of `read_troubles`.

        Raises:
            UsageError: An unknown kind, point or length of time.
        """
        now = float(self.plant.t)
        added = tuple(
            replace(trouble, start=now + trouble.start, end=now + trouble.end)
            for trouble in read_troubles(text, self.plant.points, seed=self.settings.seed, hours=self.hours)
        )
        self.troubles += added
        self.plant.troubles += added
        return added

    async def _begin(self, trouble: LiveTrouble) -> None:
        faces = self._faces
        if trouble.kind == "network_cut":
            for face in (faces.opcua, faces.mqtt, faces.sparkplug):
                if face is not None:
                    face.cut()
        elif trouble.kind == "server_restart" and faces.opcua is not None:
            self._halted = True
            await faces.opcua.stop()
        elif trouble.kind == "clock_skew":
            self._skew = timedelta(seconds=trouble.size or 0.0)
        elif trouble.kind == "unit_change" and faces.opcua is not None and trouble.point is not None:
            await faces.opcua.tell_unit(trouble.point, "mm[H2O]")
        elif trouble.kind == "tag_renamed" and faces.opcua is not None and trouble.point is not None:
            await faces.opcua.rename(trouble.point)

    async def _end(self, trouble: LiveTrouble) -> None:
        faces = self._faces
        if trouble.kind == "network_cut":
            for face in (faces.opcua, faces.mqtt, faces.sparkplug):
                if face is not None:
                    face.mend()
        elif trouble.kind == "server_restart" and faces.opcua is not None:
            await faces.opcua.start()
            self._halted = False
        elif trouble.kind == "clock_skew":
            self._skew = timedelta(0)
        elif trouble.kind == "unit_change" and faces.opcua is not None and trouble.point is not None:
            sound = next(p.unit for p in self.plant.points if p.path == trouble.point)
            await faces.opcua.tell_unit(trouble.point, sound)

    # ------------------------------------------------------------------ documents

    def _write_ready(self) -> None:
        if self.settings.ready is None:
            return
        path = self.settings.ready.absolute()
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        beside.write_text(json.dumps(ready_document(self, self._faces), ensure_ascii=False, indent=1), encoding="utf-8")
        beside.replace(path)


def _whole_second(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(microsecond=0)


def _port_taken(port: int) -> MissingError:
    return MissingError(
        "port_taken", ko=f"포트 {port} 을(를) 열 수 없어요. 다른 프로그램이 쓰고 있을 수 있어요.",
        en=f"Port {port} cannot be opened; another program may be using it.", next_ko="--opcua 0 을 주면 빈 포트를 골라요.",
        next_en="With --opcua 0 a free port is chosen.", where={"port": port}, retry=True,
    )  # fmt: skip
