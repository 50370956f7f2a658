"""A pretend live desk with documents of the published shapes: every state that the pages of live lines can show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from madang.errors import InputError

Document = dict[str, Any]
NOW = datetime(2026, 5, 31, 3, 0, tzinfo=UTC)


def connection(name: str, **more: Any) -> Document:  # noqa: ANN401
    """One connection as the API tells it."""
    plain: Document = {
        "name": name, "kind": "opcua", "title_ko": "OPC UA 서버", "title_en": "OPC UA server", "url": "opc.tcp://10.0.0.5:4840",
        "dataset": name, "state": "connected", "wanted": "running", "text_ko": "태그 48개를 받고 있어요.", "text_en": "48 tags are coming in.",
        "last_good": "2026-05-31T02:59:59Z", "age_seconds": 1.0, "rate": 48.0, "received": 120_480, "durable": 120_480, "committed": 120_432,
        "duplicates_dropped": 0, "overflowed": 0, "rejected": 0, "spool_bytes": 40_960, "hours_to_full": None, "oldest_uncommitted": None,
        "gaps_open": 0, "gaps_24h": 0, "error": None, "clock_skew_seconds": 0.2, "capabilities": ["browse", "backfill"], "options": {}, "policy": "block",
        "gaps": [], "tags": [], "chosen": [],
    }  # fmt: skip
    return {**plain, **more}


def gap(number: int, **more: Any) -> Document:  # noqa: ANN401
    """One interval that was not got."""
    plain: Document = {
        "id": f"kiln1-{number:06d}", "connection": "kiln1", "cause": "disconnected", "from": "2026-05-31T01:10:00Z", "to": "2026-05-31T01:14:30Z",
        "seconds": 270.0, "points": [], "samples": None, "backfilled": "no", "filled": 0, "note": "",
    }  # fmt: skip
    return {**plain, **more}


GAPS = [
    gap(3, to=None, seconds=None, cause="collector_stopped"),
    gap(2, cause="server_overflow", points=["ns=2;i=1004"], samples=120, backfilled="impossible"),
    gap(1, backfilled="yes", filled=270),
]
CONNECTIONS = [
    connection("kiln1", gaps_24h=3, gaps_open=1, gaps=GAPS),
    connection(
        "mes", kind="sql", title_ko="데이터베이스", title_en="Database", state="disconnected", age_seconds=540.0, rate=0.0, last_good="2026-05-31T02:51:00Z",
        text_ko="서버가 답하지 않아요.", text_en="The server does not answer.", rejected=4, spool_bytes=5_200_000, hours_to_full=31.0,
        error={"message_ko": "10.0.0.9의 5432 포트가 답하지 않아요.", "message_en": "Port 5432 of 10.0.0.9 does not answer.",
               "next_ko": "서버가 켜져 있는지 봐 주세요.", "next_en": "See whether the server is on."},
    ),
    connection("packing", kind="mqtt", title_ko="MQTT (JSON)", title_en="MQTT (JSON)", state="paused", wanted="paused", last_good=None, age_seconds=None, rate=None,
               text_ko="사람이 멈췄어요.", text_en="Paused by a person.", dataset=None),
]  # fmt: skip
POINTS = [
    {"point": "zone3_temperature", "id": 1, "tag": "ns=2;i=1003", "connection": "kiln1", "label_ko": "3존 온도", "label_en": "Zone 3 temperature", "unit": "Cel",
     "kind_of_quantity": "temperature", "data_type": "number", "low": 0.0, "high": 1200.0, "status": "proposed"},
    {"point": "oxygen_flow", "id": 2, "tag": "ns=2;i=1004", "connection": "kiln1", "label_ko": "산소 유량", "label_en": "Oxygen flow", "unit": "m3/h",
     "kind_of_quantity": "volume_flow", "data_type": "number", "low": 0.0, "high": 80.0, "status": "ask"},
]  # fmt: skip


class PretendLive:
    """Answers like the live desk, from lists that a test may change."""

    def __init__(self, *, empty: bool = False) -> None:
        self.rows: list[Document] = [] if empty else [dict(row) for row in CONNECTIONS]
        self.asked: list[tuple[str, Any]] = []

    def connections(self) -> Document:
        return {"connections": self.rows, "runner": {"running": bool(self.rows), "pid": 1, "since": "2026-05-31T00:00:00Z"}}

    def connection(self, name: str) -> Document:
        for row in self.rows:
            if row["name"] == name:
                return row
        raise InputError("no_such_connection", ko="그런 연결이 없어요.", en="There is no such connection.")

    def add(self, body: Mapping[str, Any]) -> Document:
        self.asked.append(("add", dict(body)))
        self.rows.append(
            connection(body["name"], kind=body["kind"], wanted="paused", state="paused", last_good=None, age_seconds=None)
        )
        return {"name": body["name"]}

    def change(self, name: str, wanted: str) -> Document:
        self.asked.append(("change", (name, wanted)))
        self.connection(name)["wanted"] = wanted
        return self.connection(name)

    def choose_tags(self, name: str, tags: Sequence[str]) -> None:
        self.asked.append(("choose_tags", (name, list(tags))))

    def remove(self, name: str) -> None:
        self.rows = [row for row in self.rows if row["name"] != name]

    def trust(self, name: str, thumbprint: str) -> None:
        self.asked.append(("trust", (name, thumbprint)))

    def test(self, name: str) -> Document:
        self.asked.append(("test", name))
        said = [("name", "ok"), ("tcp", "ok"), ("trust", "ask"), ("login", "skipped")]
        return {
            "steps": [
                {"name": step, "state": state, "text_ko": f"{step} 단계예요.", "text_en": f"This is the step {step}.", "next_ko": "", "next_en": "",
                 "seconds": 0.02, "facts": {"thumbprint": "AB:CD"} if step == "trust" else {}}
                for step, state in said
            ]
        }  # fmt: skip

    def browse(self, name: str, under: str = "", limit: int = 1000) -> Document:
        return {"tags": [{"name": p["tag"], "label_ko": p["label_ko"], "label_en": p["label_en"], "unit": "℃", "data_type": "number",
                          "kind_of_quantity": p["kind_of_quantity"]} for p in POINTS]}  # fmt: skip

    def preview(self, name: str, tags: Sequence[str], n: int = 20) -> Document:
        return {
            "samples": [
                {
                    "tag": tag,
                    "value": 734.3,
                    "text": None,
                    "time": NOW.isoformat(),
                    "quality": 0,
                    "quality_ko": "좋음",
                    "quality_en": "good",
                }
                for tag in tags
            ]
        }

    def describe_payload(self, raw: bytes, topic: str) -> Document:
        if not raw.strip().startswith(b"{"):
            return {"samples": [], "problem_ko": "JSON이 아니에요.", "problem_en": "This is not JSON."}
        return {
            "samples": [
                {
                    "tag": topic,
                    "value": 1.5,
                    "text": None,
                    "time": None,
                    "quality": 0,
                    "quality_ko": "좋음",
                    "quality_en": "good",
                }
            ],
            "problem_ko": "",
            "problem_en": "",
        }

    def kinds(self) -> Document:
        return {
            "kinds": [
                {"kind": "opcua", "title_ko": "OPC UA 서버", "title_en": "OPC UA server", "capabilities": ["browse", "backfill"], "secrets": ["password"],
                 "options": {"security": {"ko": "보안 정책", "en": "Security policy"}}, "extra": "opcua", "installed": True, "url_example": "opc.tcp://10.0.0.5:4840"},
                {"kind": "mqtt", "title_ko": "MQTT (JSON)", "title_en": "MQTT (JSON)", "capabilities": ["messages"], "secrets": [], "options": {}, "extra": "mqtt",
                 "installed": False, "url_example": "mqtt://10.0.0.6:1883"},
            ]
        }  # fmt: skip

    def signals(self) -> Document:
        if not self.rows:
            return {"signals": []}
        return {
            "signals": [
                {
                    "dataset": "kiln1",
                    "points": 2,
                    "time_first": "2026-05-30T00:00:00Z",
                    "time_last": "2026-05-31T02:59:59Z",
                    "samples": 120_432,
                }
            ]
        }

    def points(self, dataset: str, q: str = "") -> Document:
        return {"points": POINTS}

    def last(self, dataset: str, points: Sequence[str] | None = None) -> Document:
        return {"now": NOW.isoformat(), "values": []}

    def trend(self, dataset: str, points: Sequence[str], start: datetime, end: datetime, buckets: int) -> Document:
        step = (end - start).total_seconds() / 200
        at = [start.timestamp() + i * step for i in range(200)]
        series = []
        for k, point in enumerate(points):
            value = [700 + 30 * math.sin(i / 14 + k) for i in range(200)]
            series.append({"point": point, "unit": "Cel", "label_ko": point, "label_en": point, "at": at, "low": value, "high": [v + 2 for v in value],
                           "worst": [2 if 80 < i < 90 else 0 for i in range(200)], "count": [10] * 200})  # fmt: skip
        return {"from": start.isoformat(), "to": end.isoformat(), "points": series,
                "gaps": [{"from": (start + timedelta(seconds=step * 120)).isoformat(), "to": (start + timedelta(seconds=step * 140)).isoformat(), "cause": "disconnected"}],
                "lots": [{"name": "L-0042", "from": start.isoformat(), "to": (start + timedelta(seconds=step * 70)).isoformat()}], "shifts": []}  # fmt: skip

    def gaps(
        self, connection: str | None = None, cause: str | None = None, only_open: bool = False, start: datetime | None = None, end: datetime | None = None,
        page: int | None = None,
    ) -> Document:  # fmt: skip
        every = GAPS if self.rows else []
        found = [
            g
            for g in every
            if (not connection or g["connection"] == connection)
            and (not cause or g["cause"] == cause)
            and (not only_open or g["to"] is None)
        ]
        return {"gaps": found, "total": len(found), "open": sum(g["to"] is None for g in found)}

    def backfill(self, gap: str) -> Document:
        self.asked.append(("backfill", gap))
        return {"id": gap}

    def conditions(self, dataset: str) -> Document:
        return {
            "conditions": [
                {
                    "name": "과열",
                    "text_ko": "3존 온도 > 850 ℃, 5분 이상",
                    "text_en": "Zone 3 temperature > 850 ℃ for 5 min",
                    "events": 2,
                    "last": "2026-05-31T01:00:00Z",
                }
            ]
        }

    def keep_condition(self, **condition: Any) -> None:  # noqa: ANN401
        self.asked.append(("keep_condition", condition))
