"""What the verbs about connections do: one call to the workspace, then sentences and the document."""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from madang.cli._face import Face, write_whole
from madang.errors import UsageError
from madang.plant import Bilingual
from madang.workspace import Workspace

_EXTRA_MODULES = {"opcua": "asyncua", "mqtt": "paho", "modbus": "pymodbus", "sql": "psycopg"}
_MARKS = {"ok": "✓", "failed": "✗", "skipped": "·", "ask": "?"}
_UNITS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def run_kinds(face: Face) -> None:
    """Show what can be connected."""
    from madang.connect import kinds

    documents = []
    for kind, about in kinds().items():
        installed = (
            about.extra is None or about.extra not in _EXTRA_MODULES or find_spec(_EXTRA_MODULES[about.extra]) is not None
        )
        face.say(
            f"{kind:10} {face.text(about.title.ko, about.title.en)}" + (f"   {about.url_example}" if about.url_example else "")
        )
        if not installed:
            face.say(
                face.text(
                    f"           설치: pip install 'madang[{about.extra}]'",
                    f"           Install: pip install 'madang[{about.extra}]'",
                )
            )
        for option, text in about.options.items():
            face.say(f"             {option:18} {face.text(text.ko, text.en)}")
        documents.append(
            {
                "kind": kind,
                **about.title.fields("title"),
                "capabilities": sorted(about.capabilities),
                "options": {name: {"ko": text.ko, "en": text.en} for name, text in about.options.items()},
                "secrets": sorted(about.secrets),
                "extra": about.extra,
                "installed": installed,
                "url_example": about.url_example,
            }
        )
    face.document("connect-kinds/1", {"kinds": documents})


def run_add(
    face: Face,
    name: str,
    kind: str,
    url: str,
    *,
    settings: Sequence[str],
    secrets: Sequence[str],
    tags: Sequence[str],
    dataset: str | None,
    overflow: Literal["block", "drop_oldest", "thin"],
    max_bytes: int,
    paused: bool,
) -> None:
    """Make a connection."""
    with Workspace.open(face.workspace) as workspace:
        workspace.connections.checked(
            name, kind, url, options=_pairs(settings), tags=tags, dataset=dataset, max_bytes=max_bytes
        )
        made = workspace.connections.add(
            name,
            kind,
            url,
            options=_pairs(settings),
            secrets={key: value if value is not None else _asked(face, key) for key, value in _secret_pairs(secrets)},
            tags=tags,
            dataset=dataset,
            wanted="paused" if paused else "running",
            overflow=overflow,
            max_bytes=max_bytes,
        )
    face.say(face.text(f"‘{made.name}’ 연결을 만들었어요.", f"Made the connection “{made.name}”."))
    if made.secrets:
        hidden = ", ".join(made.secrets)
        face.say(face.text(f"비밀 값({hidden})은 파일에 적지 않았어요.", f"Secrets ({hidden}) are in no readable file."))
    face.say(
        face.text(
            f"→ madang connect test {made.name} 로 시험하고, madang connect run 으로 돌리세요.",
            f"→ Try it with madang connect test {made.name}, run it with madang connect run.",
        )
    )
    face.document("connection/1", made.document())


def run_test(face: Face, name: str) -> None:
    """Try a connection and say where it fails."""
    from madang.workspace._reach import try_connection

    steps: list[dict[str, Any]] = []
    with Workspace.open(face.workspace) as workspace:
        settings = workspace.connections.settings(workspace.connections.get(name))
        for step in try_connection(settings):
            face.say(f"{_MARKS[step.state]} {face.text(step.text.ko, step.text.en)}")
            if step.next is not None and step.state in ("failed", "ask"):
                face.say(f"  → {face.text(step.next.ko, step.next.en)}")
            steps.append(step_document(step))
    good = all(step["state"] in ("ok", "skipped") for step in steps)
    face.say(face.text("모두 됐어요." if good else "여기서 막혔어요.", "All of it works." if good else "It stops there."))
    face.document("connect-test/1", {"name": name, "passed": good, "steps": steps})
    face.exit_code = 0 if good else 5


def step_document(step: Any) -> dict[str, Any]:  # noqa: ANN401 (a TestStep; its room is not loaded for help)
    """Return one step of a test for a report."""
    following = step.next or Bilingual("", "")
    return {
        "name": step.name,
        "state": step.state,
        **step.text.fields("text"),
        **following.fields("next"),
        "seconds": round(step.seconds, 3),
        "facts": dict(step.facts),
    }


def run_browse(face: Face, name: str, under: str, limit: int) -> None:
    """Show the tags of a peer."""
    from madang.workspace._reach import browse_connection

    with Workspace.open(face.workspace) as workspace:
        tags = browse_connection(workspace.connections.settings(workspace.connections.get(name)), under, limit)
    for tag in tags:
        label = f"  {face.text(tag.label.ko, tag.label.en)}" if tag.label else ""
        face.say(f"{tag.name}{label}  {tag.data_type}{f' [{tag.unit}]' if tag.unit else ''}")
    if not tags:
        face.say(face.text("둘러볼 태그가 없어요.", "There are no tags to look at."))
    face.document("connect-browse/1", {"name": name, "under": under, "tags": [tag_document(tag) for tag in tags]})


def tag_document(tag: Any) -> dict[str, Any]:  # noqa: ANN401 (a Tag)
    """Return one tag for a report."""
    label = tag.label or Bilingual(tag.name, tag.name)
    return {
        "name": tag.name,
        **label.fields("label"),
        "data_type": tag.data_type,
        "unit": tag.unit,
        "low": tag.low,
        "high": tag.high,
        "parent": tag.parent,
        "description": tag.description,
    }


def run_trust(face: Face, name: str, thumbprint: str) -> None:
    """Trust a certificate."""
    from madang.workspace._reach import trust_peer

    with Workspace.open(face.workspace) as workspace:
        trust_peer(workspace.connections.settings(workspace.connections.get(name)), thumbprint)
    face.say(face.text(f"‘{name}’의 인증서를 믿기로 했어요.", f"The certificate of “{name}” is trusted now."))
    face.document("connect-trust/1", {"name": name, "thumbprint": thumbprint, "trusted": True})


def run_want(face: Face, name: str, wanted: Literal["running", "paused"]) -> None:
    """Say whether a connection should run."""
    with Workspace.open(face.workspace) as workspace:
        made = workspace.connections.want(name, wanted)
        runs = bool(workspace.runner_state.head()["running"])
    if wanted == "paused":
        face.say(face.text(f"‘{name}’을(를) 멈춰 둬요.", f"“{name}” is paused."))
    elif runs:
        face.say(face.text(f"‘{name}’이(가) 곧 시작해요.", f"“{name}” starts in a moment."))
    else:
        face.say(
            face.text(
                f"‘{name}’은(는) 연결을 돌릴 때 시작해요: madang connect run",
                f"“{name}” starts when the connections run: madang connect run",
            )
        )
    face.document("connection/1", made.document())


def run_remove(face: Face, name: str) -> None:
    """Remove a connection and say what stays."""
    with Workspace.open(face.workspace) as workspace:
        found = workspace.connections.get(name) if name in workspace.connections.names() else None
        workspace.connections.remove(name)
        spool = workspace.connections.spool(name)
    dataset = found.dataset if found is not None else name
    face.say(
        face.text(
            f"‘{name}’ 연결과 그 비밀 값을 지웠어요. 받은 데이터({dataset})와 아직 옮기지 않은 것({spool})은 남아 있어요.",
            f"Removed “{name}” and its secrets. The data it brought ({dataset}) and what waits in {spool} stay.",
        )
    )
    face.document("connect-remove/1", {"name": name, "dataset": dataset, "kept": [str(spool)]})


def run_status(face: Face, name: str | None) -> None:
    """Show how each connection is."""
    from madang.workspace._status import connection_document, connection_documents

    with Workspace.open(face.workspace) as workspace:
        names = [name] if name is not None else [str(d["name"]) for d in connection_documents(workspace)]
        readable = {d["name"]: d for d in connection_documents(workspace)}
        documents: list[dict[str, Any]] = []
        for each in names:
            found = readable.get(each)
            unread = found is not None and not found["kind"]
            documents.append(
                {**found, "gaps": []} if unread and found else dict(connection_document(workspace, each, gaps=10_000))
            )
        head = workspace.runner_state.head()
    for document in documents:
        _say_status(face, document)
    if not documents:
        face.say(
            face.text(
                "연결이 없어요. madang connect add 로 만드세요.", "There are no connections; make one with madang connect add."
            )
        )
    face.document("connect-status/1", {"connections": documents, "runner": head})


def _say_status(face: Face, document: dict[str, Any]) -> None:
    text = document["text_ko"] if face.language == "ko" else document["text_en"]
    age = document["age_seconds"]
    face.say(f"{document['name']}  [{document['state']}]  {text}")
    age_ko = "좋은 값이 아직 없음" if age is None else f"마지막 좋은 값 {_span(age)} 전"
    age_en = "no good sample yet" if age is None else f"newest good sample {_span(age)} ago"
    face.say(
        face.text(
            f"  받음 {document['received']:,}, 디스크 {document['durable']:,}, 라이브러리 {document['committed']:,}, {age_ko},"
            f" 빈 구간 {document['gaps_open']}개 열림",
            f"  received {document['received']:,}, durable {document['durable']:,}, committed {document['committed']:,}, {age_en},"
            f" {document['gaps_open']} gaps open",
        )
    )
    error = document["error"]
    if error:
        face.say(
            f"  ✗ {face.text(error['message_ko'], error['message_en'])}", f"  → {face.text(error['next_ko'], error['next_en'])}"
        )


def run_gaps(face: Face, name: str | None, cause: str | None, *, open_only: bool) -> None:
    """Show the intervals that were not got."""
    from madang.workspace._gaps import gap_document

    with Workspace.open(face.workspace) as workspace:
        if name is not None:
            workspace.connections.get(name)
        now = workspace.clock()
        found = [gap_document(g, now) for g in workspace.gaps.find(connection=name, cause=cause, open_only=open_only)]
    for gap in found[:200]:
        face.say(
            f"{gap['id']}  {gap['from']} → {gap['to'] or '…'}  {_span(float(str(gap['seconds'])))}"
            f"  {gap['cause_ko'] if face.language == 'ko' else gap['cause_en']}"
        )
    if not found:
        face.say(face.text("빈 구간이 없어요.", "There are no gaps."))
    face.document("gaps/1", {"gaps": found, "total": len(found), "open": sum(bool(g["open"]) for g in found)})


def run_run(face: Face, *, until: str | None, idle: str | None, ready: Path | None) -> None:
    """Run the connections until told to stop."""
    from madang.workspace._secrets import conceal_logs
    from madang.workspace._status import connection_document

    stop = threading.Event()
    conceal_logs()
    with Workspace.open(face.workspace) as workspace:
        end = None if until is None else _instant(until, workspace.clock(), workspace.settings.zone)
        quiet_for = None if idle is None else _seconds(idle, "--idle")
        before = [signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)]
        try:
            workspace.runner.start()
            names = workspace.connections.names()
            face.say(
                face.text(
                    f"연결 {len(names)}개를 돌려요 (멈추려면 Ctrl+C).", f"Running {len(names)} connections (Ctrl+C stops them)."
                )
            )
            if ready is not None:
                write_whole(ready, json.dumps({"pid": os.getpid()}).encode())
            workspace.runner.run(until=end, idle=quiet_for, stop=stop)
        finally:
            for number, former in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
                signal.signal(number, former)
            if ready is not None:
                ready.unlink(missing_ok=True)
        good, _ = workspace.connections.all()
        documents = [dict(connection_document(workspace, c.name, gaps=10_000)) for c in good]
    for document in documents:
        _say_status(face, document)
    face.document("connect-status/1", {"connections": documents, "runner": {"running": False, "pid": None, "since": None}})


def _pairs(items: Sequence[str]) -> dict[str, str]:
    found = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise _bad_pair("--set", "NAME=VALUE")
        found[key.strip()] = value
    return found


def _secret_pairs(items: Sequence[str]) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for item in items:
        key, equals, value = item.partition("=")
        if not key or (equals and not value.startswith(("env:", "file:"))):
            # A secret on the command line would stand in the shell's history and in every list of processes.
            raise _bad_pair("--secret", "NAME, NAME=env:VARIABLE, NAME=file:PATH")
        found.append((key.strip(), value if equals else None))
    return found


def _asked(face: Face, name: str) -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        return getpass.getpass(face.text(f"{name}: ", f"{name}: "))
    return (sys.stdin.readline() if sys.stdin is not None else "").rstrip("\r\n")


def _bad_pair(option: str, form: str) -> UsageError:
    return UsageError(
        "bad_option",
        ko=f"{option} 은(는) {form} 모양이어야 해요.",
        en=f"{option} has the form {form}.",
        next_ko="비밀 값은 명령줄에 그대로 적지 마세요. 값은 바뀌지 않았어요." if option == "--secret" else "다시 적어 주세요.",
        next_en="A secret is never written on the command line itself; nothing was changed."
        if option == "--secret"
        else "Write it again.",
        where={"option": option},
    )


def _seconds(text: str, option: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip().lower())
    if match is None or match[2] not in _UNITS:
        raise UsageError(
            "bad_duration",
            ko=f"{option} 의 길이를 읽을 수 없어요.",
            en=f"The duration of {option} cannot be read.",
            next_ko="10s, 5min, 2h 처럼 적어 주세요.",
            next_en="Write it like 10s, 5min or 2h.",
            where={"option": option},
        )
    return float(match[1]) * _UNITS[match[2]]


def _instant(text: str, now: datetime, zone: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return now + timedelta(seconds=_seconds(text, "--until"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def _span(seconds: float) -> str:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
