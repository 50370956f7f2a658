"""The living half of ``madang demo``: a plant in a process of its own, and connections made to it as a person would."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from madang.cli._face import Face
from madang.errors import InputError, Json
from madang.plant import Bilingual
from madang.workspace import Workspace

SPEED: Final = 60.0
"""Seconds of the plant per second on the wall: a reading a second is a reading a minute of the plant, as in its exports."""
LINE: Final = "kiln1"
"""Name of the connection to the control system, and of its dataset."""
_WAIT: Final = 60.0
"""Longest wait for the plant to be seen [s]."""


class LivePlantChild:
    """The twin as a child process; it stops with this one.

    Args:
        folder: Where it keeps its ready document, its trace, its lot system and its laboratory.
        seed: Seed of the built-in line.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.ready: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        # Workbooks of an earlier plant would stand beside those of this one.
        shutil.rmtree(folder / "lab", ignore_errors=True)
        for name in ("ready.json", "twin.json"):
            (folder / name).unlink(missing_ok=True)
        command = [
            sys.executable, "-m", "madang", "twin", "run", "cathode_firing", "--seed", str(seed), "--speed", f"{SPEED:g}", "--opcua", "0",
            "--mes", str(folder / "mes"), "--lab", str(folder / "lab"), "--trace", str(folder / "trace.parquet"),
            "--ready", str(folder / "ready.json"), "--json", str(folder / "twin.json"), "--headless", "--quiet", "--with-parent",
        ]  # fmt: skip
        with (folder / "twin.log").open("wb") as log:
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603 (our own interpreter, no shell)

    def wait(self) -> bool:
        """Wait until the plant can be seen; returns whether it can."""
        until = time.monotonic() + _WAIT
        while time.monotonic() < until and self._child.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                self.ready = json.loads((self.folder / "ready.json").read_text(encoding="utf-8"))
                return True
            time.sleep(0.1)
        return False

    def stop(self) -> dict[str, Any]:
        """Stop the plant and return its report; empty when it left none."""
        if self._child.poll() is None:
            self._child.terminate()
        try:
            self._child.wait(20.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        with contextlib.suppress(OSError, ValueError):
            document: dict[str, Any] = json.loads((self.folder / "twin.json").read_text(encoding="utf-8"))
            return document
        return {}


class DemoLine:
    """The living line of the demo: plant, connections, and what came of them."""

    def __init__(self, face: Face, workspace: Workspace, seed: int) -> None:
        self._face = face
        self._workspace = workspace
        self._plant: LivePlantChild | None = LivePlantChild(workspace.root / "demo" / "live", seed)

    def connect(self) -> bool:
        """Make the connections and let data flow; returns whether it does. Without it the demo goes on with the exports alone."""
        if self._plant is None or not self._plant.wait():
            self._say(
                "살아 있는 라인을 열지 못해 파일만으로 계속해요.",
                "The living line could not be opened; going on with the files alone.",
            )
            self.stop()
            return False
        ready = self._plant.ready
        connections, known = self._workspace.connections, self._kinds()
        wanted: tuple[tuple[str, str, str, str, dict[str, str]], ...] = (
            (LINE, "opcua", str(ready["opcua"]), LINE, {"security": "none"}),
            ("mes", "sql", str(ready["mes"]), "mes", {"every": "2"}),
            ("lab", "folder", Path(str(ready["lab"])).as_uri(), "lab-results", {}),
        )
        for name, kind, url, dataset, options in wanted:
            if kind in known:
                if name in connections.names():
                    connections.remove(name)
                connections.add(name, kind, url, options=options, dataset=dataset)
        try:
            self._workspace.runner.start()
        except InputError as error:
            self._say(error.ko, error.en)
            self.stop()
            return False
        self._say(
            f"살아 있는 라인에 연결했어요: {ready['opcua']} (점 {len(ready['points'])}개, 실제의 {SPEED:g}배 빠르기)",
            f"Connected to the living line: {ready['opcua']} ({len(ready['points'])} points, {SPEED:g} times as fast as real)",
        )
        return True

    def _kinds(self) -> Mapping[str, object]:
        from madang.connect import kinds

        return kinds()

    def finish(self) -> dict[str, Json] | None:
        """Stop the plant, commit everything, and count what was kept against the plant's own trace; None when nothing ran."""
        if self._plant is None:
            return None
        ready, folder = self._plant.ready, self._plant.folder
        report = self._plant.stop()
        self._plant = None
        runner = self._workspace.runner
        whole = runner.flush(20.0)
        runner.stop()
        if not report:
            return None
        account = _account(self._workspace, ready, folder)
        if account is None:
            return None
        self._say(
            f"살아 있는 라인: 표본 {account['kept']:,}개를 저장했고 {account['lost']}개를 잃었어요 (공장 자신의 기록과 견주어).",
            f"Living line: {account['kept']:,} samples committed live, {account['lost']} lost (checked against the plant's own trace).",
        )
        if account["in_gaps"]:
            self._say(
                f"  빈틈으로 적어 둔 것: {account['in_gaps']}개.", f"  {account['in_gaps']} of them lie inside recorded gaps."
            )
        return {**account, "everything_committed": whole, "plant_seconds": report.get("plant_seconds")}

    def stop(self) -> None:
        """Stop the plant and the connections, whatever state they are in."""
        if self._plant is not None:
            self._plant.stop()
            self._plant = None
        self._workspace.runner.stop()

    def _say(self, ko: str, en: str) -> None:
        self._face.say(Bilingual(ko, en))


def _account(workspace: Workspace, ready: Mapping[str, Any], folder: Path) -> dict[str, Any] | None:
    """Compare what the lake holds of this run with what the plant handed out."""
    from madang.factory.twin import account_for, kept_samples, sent_path

    epoch = datetime.fromisoformat(str(ready["epoch"]))
    kept = kept_samples(workspace.library, LINE, epoch, reader=workspace.settings.owner, purpose="demo")
    if not kept:
        return None
    start = datetime.fromtimestamp(min(int(held.time[0]) for held in kept.values()) / 1e6, UTC)
    account = account_for(sent_path(folder / "trace.parquet"), "opcua", kept, workspace.gaps.of(LINE), start=start)
    return dict(account.fields())
