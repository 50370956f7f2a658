"""What a run of the living plant says about itself: once it can be seen, and in the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from madang.errors import Json
from madang.factory.twin._live_mqtt import topic_of
from madang.factory.twin._live_trace import SentLedger, sent_path

if TYPE_CHECKING:
    from madang.factory.twin._live_run import Faces, LiveRun


def ready_document(run: LiveRun, faces: Faces) -> dict[str, Json]:
    """Return what whoever waits for the plant needs: addresses, points, clock, and the truth about its troubles."""
    s = run.settings
    points: list[Json] = [
        {
            "point": p.path, "node": None if faces.opcua is None else faces.opcua.node_of(p), "topic": topic_of(run.plant, p),
            "data_type": p.data_type, "unit": p.unit, "low": p.low, "high": p.high, "writable": p.writable, **p.label.fields("label"),
        }
        for p in run.plant.points
    ]  # fmt: skip
    troubles: list[Json] = [
        {
            **t.fields(),
            "from": run.plant_clock.instant(t.start).isoformat(),
            "to": None if np.isinf(t.end) else run.plant_clock.instant(t.end).isoformat(),
        }
        for t in run.troubles
    ]
    return {
        "schema": "twin-ready/1", "pid": os.getpid(), "pack": s.name, "seed": s.seed, "speed": run.plant_clock.speed,
        "scan_seconds": run.scan, "epoch": run.plant_clock.epoch.isoformat(),
        "opcua": None if faces.opcua is None else faces.opcua.url, "mqtt": None if faces.mqtt is None else faces.mqtt.url,
        "sparkplug": None if faces.sparkplug is None else faces.sparkplug.url,
        "mes": None if faces.mes is None else faces.mes.shown_url, "lab": None if faces.lab is None else str(faces.lab.folder),
        "trace": None if s.trace is None else str(s.trace.absolute()),
        "sent": None if s.trace is None else str(sent_path(s.trace).absolute()), "points": points, "troubles": troubles,
    }  # fmt: skip


def twin_document(run: LiveRun, faces: Faces, sent: SentLedger | None, trace_rows: int | None) -> dict[str, Json]:
    """Return the fields of a ``twin/1`` document; what is not computed is null, with a reason."""
    s = run.settings
    shown: dict[str, Json] = {}
    if faces.opcua is not None:
        shown["opcua"] = {"url": faces.opcua.url, "points": len(run.plant.points)}
    if faces.mqtt is not None:
        shown["mqtt"] = {"url": faces.mqtt.url, "unanswered": faces.mqtt.unanswered}
    if faces.sparkplug is not None:
        shown["sparkplug"] = {"url": faces.sparkplug.url, "group": faces.sparkplug.group, "node": faces.sparkplug.node}
    if faces.mes is not None:
        count = faces.mes.count
        shown["mes"] = {
            "url": faces.mes.shown_url, "lots": count.lots, "steps": count.steps, "updates": count.updates,
            "late_commits": count.late_commits,
        }  # fmt: skip
    if faces.lab is not None:
        lab = faces.lab
        shown["lab"] = {"files": list(lab.files), "rows": lab.rows, "wrong": list(lab.wrong), "late": list(lab.late)}
    return {
        "pack": s.name, "seed": s.seed, "policy": s.policy, "speed": None if run.flat_out else run.plant_clock.speed,
        "plant_seconds": run.plant.t, "epoch": run.plant_clock.epoch.isoformat(), "causes": list(run.plant.kiln.causes),
        "kpis": run.plant.tally.kpis(),
        "profit": None, "profit_reason": "the line document states no prices and no tariffs",
        "envelope_exits": run.plant.envelope_exits, "writes": run.plant.writes,
        "human_acts": None, "human_acts_reason": "the policy fixed has no people who act",
        "troubles": list(run.happened), "faces": shown,
        "sent": None if sent is None else sent.sent, "changed": None if sent is None else sent.changed,
        "trace": None if s.trace is None else str(s.trace.absolute()),
        "trace_rows": trace_rows,
    }  # fmt: skip
