"""Guided studies: files, choices, the running computation and its result, each kept in one folder of the workspace.

A study is computed by a process of its own (`_worker`), so that stopping it is real and the server stays quick. The folder is
the whole truth: ``draft.json`` (choices and state), ``files/`` (what was dropped), ``intake.json``, ``progress.jsonl``,
``study.json`` or ``error.json``. A server that starts again finds everything as it was.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from madang.errors import InputError, RefusedError

State = Literal["reading", "ready", "running", "done", "failed", "cancelled"]
TASKS: Final = ("auto", "regression", "classification", "forecast")
MONEY: Final = ("units_per_year", "bad_share", "loss_per_bad", "avoided_share", "saving_per_year", "cost_once", "cost_per_year")
_ID: Final = re.compile(r"[0-9a-f]{12}")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass
class Draft:
    """One guided study: what was dropped, what was chosen, how far it is."""

    id: str
    created: str
    state: State = "reading"
    files: list[dict[str, Any]] = field(default_factory=list)
    """Name and size [B] of each file as it was dropped."""
    zone: str | None = None
    """Zone that a person chose; None = not chosen."""
    target: str | None = None
    task: str = "auto"
    exclude: list[str] = field(default_factory=list)
    horizon: str | None = None
    lab_delay: str | None = None
    goal: str | None = None
    budget: int = 60
    """Seconds to spend."""
    money: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    started: float | None = None
    """When the running work began, in seconds since 1970."""
    ended: str | None = None


class Studies:
    """The guided studies of one workspace.

    Args:
        workspace: Folder of the workspace.
        now: Clock, aware.
        command: How to start the worker; the study's folder is added at the end.
    """

    def __init__(self, workspace: Path, *, now: Callable[[], datetime], command: tuple[str, ...] | None = None) -> None:
        self._workspace = workspace
        self._root = workspace / "console" / "studies"
        self._now = now
        self._command = command or (sys.executable, "-m", "madang.api._worker")
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.RLock()
        self._settle_interrupted()

    def new(self) -> Draft:
        """Begin a study; its files are added by the caller into `upload_folder`."""
        draft = Draft(id=secrets.token_hex(6), created=self._now().isoformat(timespec="seconds"))
        self.upload_folder(draft.id).mkdir(parents=True)
        self.save(draft)
        return draft

    def all(self) -> list[Draft]:
        """Return every study, newest first."""
        if not self._root.is_dir():
            return []
        found = [self.get(folder.name) for folder in sorted(self._root.iterdir()) if (folder / "draft.json").is_file()]
        return sorted(found, key=lambda d: (d.ended or d.created, d.id), reverse=True)

    def get(self, study: str) -> Draft:
        """Return one study, its state brought up to date.

        Raises:
            InputError: There is no such study.
        """
        folder = self.folder(study)
        with self._lock:
            document = _read(folder / "draft.json")
            if document is None:
                raise unknown_study(study)
            known = {f.name for f in fields(Draft)}
            draft = Draft(**{k: v for k, v in document.items() if k in known})
            return self._settle(draft)

    def knows(self, study: str) -> bool:
        """Whether a guided study of that id is there."""
        return _ID.fullmatch(study) is not None and (self._root / study / "draft.json").is_file()

    def save(self, draft: Draft) -> None:
        """Keep the choices and the state."""
        with self._lock:
            write_json(self.folder(draft.id) / "draft.json", asdict(draft))

    def folder(self, study: str) -> Path:
        """Return the folder of a study; the id is checked, so that no path can be smuggled in."""
        if not _ID.fullmatch(study):
            raise unknown_study(study)
        return self._root / study

    def upload_folder(self, study: str) -> Path:
        """Return the folder that holds the dropped files."""
        return self.folder(study) / "files"

    def paths(self, draft: Draft) -> list[Path]:
        """Return the dropped files in the order they came."""
        return [self.upload_folder(draft.id) / item["name"] for item in draft.files]

    def document(self, study: str) -> dict[str, Any] | None:
        """Return the ``study/1`` document, once there is one."""
        return _read(self.folder(study) / "study.json")

    def intake(self, study: str) -> dict[str, Any] | None:
        """Return the ``intake/1`` document, once the files are read."""
        return _read(self.folder(study) / "intake.json")

    def error(self, study: str) -> dict[str, Any] | None:
        """Return the ``error/1`` document of a failed study."""
        return _read(self.folder(study) / "error.json")

    def progress(self, study: str, last: int = 6) -> list[dict[str, Any]]:
        """Return the latest things that were tried, oldest first."""
        try:
            lines = (self.folder(study) / "progress.jsonl").read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        found: list[dict[str, Any]] = []
        for line in lines[-last:]:
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def seconds(self, draft: Draft) -> float:
        """Say how long the work has been running."""
        return 0.0 if draft.started is None else max(0.0, self._now().timestamp() - draft.started)

    def start(self, draft: Draft, what: Literal["reading", "running"]) -> Draft:
        """Start reading the files, or computing the study, in a process of its own.

        Raises:
            RefusedError: This study is already at work, or another one is being computed.
        """
        with self._lock:
            busy = [other for other in self._running if other == draft.id or what == "running"]
            if any(self.get(other).state in ("reading", "running") for other in busy):
                raise RefusedError(
                    "busy",
                    ko="다른 스터디를 계산하고 있어요.",
                    en="Another study is being computed.",
                    next_ko="끝나기를 기다리거나 그 스터디를 멈춰 주세요.",
                    next_en="Wait until it ends, or stop it.",
                    where={"study": busy[0]},
                    retry=True,
                )
            folder = self.folder(draft.id)
            for name in ("error.json", "progress.jsonl", "study.json", *(["intake.json"] if what == "reading" else [])):
                (folder / name).unlink(missing_ok=True)
            draft.state, draft.started, draft.ended = what, self._now().timestamp(), None
            self.save(draft)
            job = {"workspace": str(self._workspace), "what": what, "files": [str(p) for p in self.paths(draft)]}
            write_json(folder / "job.json", job)
            with (folder / "worker.log").open("wb") as log:
                # The worker ends when its standard input closes, so none is left behind by a server that was killed.
                self._running[draft.id] = subprocess.Popen(  # noqa: S603 (our own interpreter, no shell)
                    [*self._command, str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "PYTHONUTF8": "1"},
                )
            return draft

    def cancel(self, study: str) -> Draft:
        """Stop the work of a study; what was not finished is not kept."""
        with self._lock:
            draft = self.get(study)
            if draft.state not in ("reading", "running"):
                return draft
            self._end(study)
            reading = draft.state == "reading"
            draft.state = "failed" if reading else "cancelled"
            if reading:
                write_json(self.folder(study) / "error.json", _stopped_reading())
            draft.ended = self._now().isoformat(timespec="seconds")
            (self.folder(study) / "study.json").unlink(missing_ok=True)
            self.save(draft)
            return draft

    def close(self) -> None:
        """Stop every running process."""
        with self._lock:
            for study in list(self._running):
                self._end(study)

    def _end(self, study: str) -> None:
        process = self._running.pop(study, None)
        if process is None:
            return
        if process.stdin:
            process.stdin.close()
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _settle(self, draft: Draft) -> Draft:
        if draft.state not in ("reading", "running"):
            return draft
        process = self._running.get(draft.id)
        if process is None or process.poll() is None:
            return draft
        self._running.pop(draft.id)
        if process.stdin:
            process.stdin.close()
        folder = self.folder(draft.id)
        finished = folder / ("intake.json" if draft.state == "reading" else "study.json")
        if finished.is_file():
            draft.state = "ready" if draft.state == "reading" else "done"
        else:
            draft.state = "failed"
            if not (folder / "error.json").is_file():
                write_json(folder / "error.json", _died())
        draft.ended = self._now().isoformat(timespec="seconds")
        self.save(draft)
        return draft

    def _settle_interrupted(self) -> None:
        for draft in self.all():
            if draft.state in ("reading", "running"):
                draft.state = "failed"
                write_json(self.folder(draft.id) / "error.json", _interrupted())
                self.save(draft)


def safe_name(name: str | None, taken: set[str]) -> str:
    """Return a file name that is safe on every system and not taken yet, as like the given one as may be.

    >>> safe_name("../../etc/passwd", set()), safe_name("도금 이력.csv", {"도금 이력.csv"})
    ('passwd', '도금 이력 (2).csv')
    """
    plain = re.split(r"[/\\]", name or "")[-1]
    plain = re.sub(r'[\x00-\x1f<>:"|?*]', "_", plain).strip(" .")[-120:] or "file"
    if _RESERVED.fullmatch(plain):
        plain = f"_{plain}"
    stem, dot, suffix = plain.rpartition(".")
    result, number = plain, 2
    while result in taken:
        result = f"{stem} ({number}).{suffix}" if dot and stem else f"{plain} ({number})"
        number += 1
    return result


def unknown_study(study: str) -> InputError:
    """The error for a study that is not there."""
    return InputError(
        "no_study",
        ko="이 스터디는 없어요.",
        en="There is no such study.",
        next_ko="스터디 목록에서 고르거나 새로 시작해 주세요.",
        next_en="Choose one from the list of studies, or start a new one.",
        where={"study": study[:40]},
    )


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document so that a reader sees the old one or the new one, never half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    for attempt in range(5):
        try:
            Path(temporary).replace(path)
            return
        except PermissionError:  # Windows: somebody reads the old one just now
            if attempt == 4:
                raise
            time.sleep(0.05)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document


def _failure(code: str, ko: str, en: str, next_ko: str, next_en: str) -> dict[str, Any]:
    stamp = datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "schema": "error/1", "code": code, "message_ko": ko, "message_en": en, "where": {}, "next_ko": next_ko, "next_en": next_en,
        "time": stamp,
    }  # fmt: skip


def _died() -> dict[str, Any]:
    return _failure(
        "worker_died",
        "계산하던 프로그램이 갑자기 끝났어요. 메모리가 모자랐을 수 있어요.",
        "The program that computed it ended suddenly; it may have run out of memory.",
        "열을 줄이거나 시간을 줄여서 다시 실행해 주세요.",
        "Use fewer columns or less time, then run it again.",
    )


def _interrupted() -> dict[str, Any]:
    return _failure(
        "interrupted",
        "서버가 다시 켜지면서 이 스터디가 멈췄어요.",
        "The server was restarted while this study ran.",
        "다시 실행해 주세요.",
        "Run it again.",
    )


def _stopped_reading() -> dict[str, Any]:
    return _failure(
        "stopped",
        "읽기를 멈췄어요.",
        "Reading was stopped.",
        "파일을 다시 놓아 주세요.",
        "Drop the files again.",
    )
