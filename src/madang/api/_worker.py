"""The process that reads the files of one guided study, or computes it: ``python -m madang.api._worker FOLDER``."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from madang import __version__
from madang.api._studies import write_json
from madang.errors import MadangError
from madang.plant import Bilingual


def main(folder: Path) -> int:
    """Do the job that ``job.json`` of the folder describes; leave a document or an error behind."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    draft = json.loads((folder / "draft.json").read_text(encoding="utf-8"))
    began = time.perf_counter()
    try:
        if job["what"] == "reading":
            schema, name, document = "intake/1", "intake.json", _read_files(folder, job, draft)
        else:
            schema, name, document = "study/1", "study.json", _compute(folder, job, draft)
    except MadangError as error:
        write_json(folder / "error.json", {"schema": "error/1", "exit": error.exit_code, **error.document()})
        return error.exit_code
    envelope = {"schema": schema, "madang": __version__, "seconds": round(time.perf_counter() - began, 3)}
    write_json(folder / name, {**envelope, **document})
    return 0


def _read_files(folder: Path, job: dict[str, Any], draft: dict[str, Any]) -> dict[str, Any]:
    from madang.workspace import Workspace

    with Workspace.open(Path(job["workspace"])) as workspace:
        paths = [Path(p) for p in job["files"]]
        report = workspace.library.intake(paths, zone=draft["zone"], progress=_Progress(folder))
        document: dict[str, Any] = report.document()
    if not document["tables"] and document.get("errors"):
        error = document["errors"][0]
        raise MadangError(
            str(error.get("code", "unreadable")),
            ko=error["message_ko"],
            en=error["message_en"],
            next_ko=error.get("next_ko", ""),
            next_en=error.get("next_en", ""),
            where=error.get("where"),
        )
    return document


def _compute(folder: Path, job: dict[str, Any], draft: dict[str, Any]) -> dict[str, Any]:
    from madang.models import StudyRequest
    from madang.workspace import Workspace

    request = StudyRequest(
        task=draft["task"],
        target=draft["target"],
        exclude=tuple(draft["exclude"]),
        horizon=draft["horizon"],
        lab_delay=draft["lab_delay"],
        goal=draft["goal"],
        budget_seconds=float(draft["budget"]),
        seed=draft["seed"],
        name=_name(draft),
        money=draft["money"],
    )
    with Workspace.open(Path(job["workspace"])) as workspace:
        paths = [Path(p) for p in job["files"]]
        document: dict[str, Any] = workspace.study(paths, request, zone=draft["zone"], progress=_Progress(folder)).document()
    return document


def _name(draft: dict[str, Any]) -> str:
    """Name to keep the study under: what it is about, and its own id, so that two studies of one target stay apart."""
    about = draft["target"] or Path(draft["files"][0]["name"]).stem
    plain = re.sub(r"\W+", "-", about).strip("-_") or "study"
    return f"{plain}-{draft['id'][:6]}"


class _Progress:
    """Appends what is being tried to ``progress.jsonl``, once for each change of words."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "progress.jsonl"
        self._last = ""

    def __call__(self, what: Bilingual | str, share: float = 0.0) -> None:
        ko, en = (what.ko, what.en) if isinstance(what, Bilingual) else (what, what)
        if ko == self._last:
            return
        self._last = ko
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"ko": ko, "en": en, "share": share}, ensure_ascii=False) + "\n")


def _fault(folder: Path) -> dict[str, Any]:
    fault = MadangError(
        "fault",
        ko="마당 안에서 잘못이 생겼어요. 데이터는 바뀌지 않았어요.",
        en="Something went wrong inside Madang. No data were changed.",
        next_ko="다시 해 보고, 또 생기면 보고 파일을 보내 주세요.",
        next_en="Try again; if it comes back, send the report file.",
        where={"report": str(folder / "worker.log")},
    )
    return {"schema": "error/1", "exit": 1, **fault.document()}


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        code = main(Path(sys.argv[1]))
    except Exception:
        traceback.print_exc()
        write_json(Path(sys.argv[1]) / "error.json", _fault(Path(sys.argv[1])))
        code = 1
    sys.stdout.flush()
    os._exit(code)
