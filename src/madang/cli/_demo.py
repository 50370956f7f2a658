"""``madang demo``: the built-in line, or a person's own files, from raw exports to a verdict on the screen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from madang.cli._face import Face
from madang.cli._study import show_verdict
from madang.errors import Json
from madang.models import StudyRequest
from madang.plant import Bilingual
from madang.workspace import Workspace

_PACK = "cathode_firing"


def run_demo(face: Face, paths: Sequence[Path], *, target: str | None, seed: int, headless: bool) -> None:
    """Generate (or take) the files, read them, study them, say the verdict, and open the console on it.

    Args:
        face: The run to speak through.
        paths: A person's own files; the built-in line when empty.
        target: Column to explain; the pack's quality, or found, when None.
        seed: Seed of the built-in line and of the study.
        headless: Whether to stop at the verdict, without a browser or a server.
    """
    with Workspace.open(face.workspace) as workspace:
        if paths:
            given: Sequence[Path] = paths
            face.say(Bilingual("주신 파일로 시작할게요.", "Starting with your files."))
        else:
            folder = workspace.root / "demo" / f"{_PACK}-{seed}"
            target = target or _make_plant(face, folder, seed)
            given = [folder / "exports"]
        request = StudyRequest(target=target, seed=seed, name="demo", budget_seconds=30.0)
        study = workspace.study(given, request, progress=face.progress)
        document = study.document()
        face.document("study/1", document)
        show_verdict(face, document)
        if headless:
            return
        from madang.api import serve

        serve(
            workspace,
            open_browser=True,
            path=f"/studies/{document['name']}?lang={face.language}",
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
