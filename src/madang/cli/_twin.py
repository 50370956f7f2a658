"""``madang twin run``: from arguments to a living plant and its report."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from madang.cli._face import Face
from madang.errors import Json
from madang.plant import Bilingual


@dataclass(frozen=True)
class TwinRequest:
    """What was asked on the command line."""

    line: str
    seed: int
    hours: float | None
    speed: float | None
    scan: float | None
    headless: bool
    trouble: str
    policy: Literal["fixed", "rules", "agents", "oracle"]
    trace: Path | None
    opcua: int | None
    host: str
    mqtt: str | None
    sparkplug: str | None
    mes: str | None
    lab: Path | None
    ready: Path | None
    with_parent: bool


def run_twin(face: Face, request: TwinRequest) -> None:
    """Run the living plant until its hours are over or somebody stops it.

    Args:
        face: The run to speak through.
        request: How the plant is run.
    """
    from madang.factory.twin import LiveRun, LiveSettings, load_pack
    from madang.plant import read_line

    given = Path(request.line)
    line = read_line(given) if request.line.endswith(".toml") else load_pack(request.line).line
    settings = LiveSettings(
        line=line, name=given.stem if request.line.endswith(".toml") else request.line, seed=request.seed, hours=request.hours,
        speed=request.speed, scan=request.scan, troubles=request.trouble, policy=request.policy, trace=request.trace,
        opcua=request.opcua, host=request.host, mqtt=request.mqtt, sparkplug=request.sparkplug, mes=request.mes, lab=request.lab, ready=request.ready,
        parent=os.getppid() if request.with_parent else None,
    )  # fmt: skip
    shown = not request.headless and not face.quiet

    def progress(t: float) -> None:
        if shown:
            share = 0.0 if run.hours is None else t / (run.hours * 3600.0)
            minutes = int(t // 600) * 10
            face.progress(face.text(f"공장 시간 {minutes}분째", f"Minute {minutes} of the plant"), share)

    run = LiveRun(settings, lambda: datetime.now(UTC), progress)
    face.say(
        Bilingual(
            f"{line.line.name_ko or request.line} 을(를) 돌려요. (멈추려면 Ctrl+C)",
            f"Running {line.line.name_en or request.line}. (Ctrl+C stops it)",
        )
    )
    document = asyncio.run(_until_stopped(run))
    face.document("twin/1", document)
    face.say(_summary(document))


async def _until_stopped(run: object) -> dict[str, Json]:
    from madang.factory.twin import LiveRun

    assert isinstance(run, LiveRun)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        # Windows has no such handlers: there Ctrl+C interrupts as usual.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(name, stop.set)
    return await run.run(stop)


def _summary(document: dict[str, Json]) -> Bilingual:
    kpis = document["kpis"]
    assert isinstance(kpis, dict)
    hours = float(str(document["plant_seconds"])) / 3600.0
    lots, good = kpis["lots_discharged"], kpis["lots_in_tolerance"]
    return Bilingual(
        f"공장 시간 {hours:.2f}시간: 배출 {lots}로트, 공차 안 {good}로트, 한계를 벗어난 횟수 {document['envelope_exits']}.",
        f"{hours:.2f} hours of the plant: {lots} lots discharged, {good} of them in tolerance, {document['envelope_exits']} exits from the envelope.",
    )
