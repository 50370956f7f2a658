"""``madang demo``: the built-in line, from raw exports and a living plant to a verdict on the screen; or a person's own files."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from madang.cli._demo_live import DemoLine
from madang.cli._face import Face
from madang.cli._study import show_verdict
from madang.errors import Json
from madang.models import StudyRequest
from madang.plant import Bilingual
from madang.workspace import Workspace

_PACK = "cathode_firing"
_BUDGET = 30.0
"""Seconds that the study may spend on learning."""


def run_demo(face: Face, paths: Sequence[Path], *, target: str | None, seed: int, headless: bool) -> None:
    """Generate (or take) the files, read them, study them, say the verdict, and open the console.

    The built-in line lives meanwhile: a plant runs in a process of its own, connections bring its readings into the lake.

    Args:
        face: The run to speak through.
        paths: A person's own files; the built-in line when empty.
        target: Column to explain; the pack's quality, or found, when None.
        seed: Seed of the built-in line and of the study.
        headless: Whether to stop at the verdict, without a browser or a server.
    """
    with Workspace.open(face.workspace) as workspace:
        if paths:
            face.say(Bilingual("주신 파일로 시작할게요.", "Starting with your files."))
            _own_files(
                face, workspace, paths, StudyRequest(target=target, seed=seed, name="demo", budget_seconds=_BUDGET), headless
            )
        else:
            _built_in_line(face, workspace, target, seed, headless)


def _own_files(face: Face, workspace: Workspace, paths: Sequence[Path], request: StudyRequest, headless: bool) -> None:
    study = workspace.study(paths, request, progress=face.progress)
    document = study.document()
    face.document("study/1", document)
    show_verdict(face, document)
    if not headless:
        _open_console(face, workspace, f"/studies/{document['name']}")


def _built_in_line(face: Face, workspace: Workspace, target: str | None, seed: int, headless: bool) -> None:
    line = DemoLine(face, workspace, seed)
    try:
        folder = workspace.root / "demo" / f"{_PACK}-{seed}"
        target = target or _make_plant(face, folder, seed)
        study = _StudyChild(face, workspace, folder / "exports", target, seed)
        line.connect()
        if headless:
            document = study.wait()
            live = line.finish()
            if document is not None:
                face.document("study/1", {**document, "live": live})
            return
        threading.Thread(target=study.wait, daemon=True).start()
        _open_console(face, workspace, "/")
        study.stop()
    finally:
        line.stop()


class _StudyChild:
    """The study of the exports in a process of its own, so that readings and pages do not wait for it."""

    def __init__(self, face: Face, workspace: Workspace, exports: Path, target: str, seed: int) -> None:
        self._face = face
        self._folder = tempfile.TemporaryDirectory(prefix="madang-demo-")
        self._report = Path(self._folder.name) / "study.json"
        command = [
            sys.executable, "-m", "madang", "--workspace", str(workspace.root), "--lang", face.language, "study", str(exports),
            "--target", target, "--seed", str(seed), "--save", "demo", "--budget", f"{_BUDGET:g}s", "--json", str(self._report),
            *(["--quiet"] if face.quiet else []),
        ]  # fmt: skip
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 (our own interpreter, no shell)

    def wait(self) -> dict[str, Any] | None:
        """Wait for the study; returns its document, None when there is none. A failure becomes this command's own."""
        code = self._child.wait()
        document: dict[str, Any] | None = None
        with contextlib.suppress(OSError, ValueError):
            document = json.loads(self._report.read_text(encoding="utf-8"))
        if code:
            self._face.exit_code = code
            if document is not None:
                self._face.document(str(document.get("schema", "error/1")), document)
            document = None
        self._folder.cleanup()
        return document

    def stop(self) -> None:
        """End the study if it still runs."""
        if self._child.poll() is None:
            self._child.terminate()
            self._child.wait()


def _open_console(face: Face, workspace: Workspace, path: str) -> None:
    from madang.api import serve

    serve(
        workspace,
        open_browser=True,
        path=f"{path}?lang={face.language}",
        say=lambda url: face.say(Bilingual(f"콘솔: {url}  (멈추려면 Ctrl+C)", f"Console: {url}  (Ctrl+C stops it)")),
    )


def _make_plant(face: Face, folder: Path, seed: int) -> str:
    """Write the plant's exports once, the truth beside them but apart, and return the column of its quality."""
    from madang.factory.twin import load_pack, simulate_kiln, write_exports

    target = load_pack(_PACK).quality.column
    done = folder / "done.json"
    wanted: dict[str, Json] = {"pack": _PACK, "seed": seed, "target": target}
    if done.exists() and json.loads(done.read_text(encoding="utf-8")) == wanted:
        face.say(
            Bilingual(
                f"지난번에 만든 공장 파일을 써요: {folder / 'exports'}", f"The plant's files of last time: {folder / 'exports'}"
            )
        )
        return target
    face.progress(face.text("소성로를 두 달 돌리고 있어요", "Running the kiln for two months"), 0.0)
    exports = folder / "exports"
    exports.mkdir(parents=True, exist_ok=True)
    write_exports(simulate_kiln(seed), exports, truth=folder / "truth.json")
    done.write_text(json.dumps(wanted), encoding="utf-8")
    face.say(
        Bilingual(
            f"한 공장의 내보낸 파일이에요(PLC, MES, 실험실, ERP, 일지): {exports}",
            f"These are one plant's exports (PLC, MES, laboratory, ERP, log): {exports}",
        )
    )
    return target
