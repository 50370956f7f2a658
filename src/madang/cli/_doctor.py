"""What works on this computer and what does not."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from madang.errors import Json
from madang.plant import Bilingual

_NEEDED = (
    "numpy",
    "pyarrow",
    "duckdb",
    "deltalake",
    "scipy",
    "sklearn",
    "lightgbm",
    "sqlalchemy",
    "openpyxl",
    "python_calamine",
)
_LEAST_FREE_GIB = 2.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: Literal["well", "limited", "failed"]
    text: Bilingual

    def fields(self) -> dict[str, Json]:
        """Return the check for a report."""
        return {"name": self.name, "state": self.state, **self.text.fields("text")}


def examine(workspace: Path) -> list[Check]:
    """Look at Python, the packages, the disk, durability and the workspace folder.

    Args:
        workspace: Folder that the workspace is or would be in; it is not made.
    """
    return [_python(), _packages(), _disk(workspace), _durability(), _workspace(workspace), _browser()]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info < (3, 14)
    return Check(
        "python",
        "well" if fits else "limited",
        Bilingual(
            f"Python {version}" + ("" if fits else ": 3.11~3.13에서 시험했어요"),
            f"Python {version}" + ("" if fits else ": tried on 3.11 to 3.13 only"),
        ),
    )


def _packages() -> Check:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        return Check(
            "packages",
            "failed",
            Bilingual(f"빠진 패키지: {names}. 입력: pip install madang", f"Missing: {names}. Type: pip install madang"),
        )
    return Check("packages", "well", Bilingual("필요한 패키지가 모두 있어요", "All packages that are needed are there"))


def _disk(workspace: Path) -> Check:
    place = next(folder for folder in (workspace.absolute(), *workspace.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free / 2**30
    return Check(
        "disk",
        "well" if free >= _LEAST_FREE_GIB else "limited",
        Bilingual(f"빈 디스크 {free:.1f} GiB", f"{free:.1f} GiB of disk free")
        if free >= _LEAST_FREE_GIB
        else Bilingual(
            f"빈 디스크가 {free:.1f} GiB뿐이에요. 2 GiB 이상을 권해요",
            f"Only {free:.1f} GiB of disk free; 2 GiB or more is advised",
        ),
    )


def _durability() -> Check:
    if sys.platform == "linux":
        return Check(
            "durability",
            "well",
            Bilingual("Linux: 기록이 디스크에 닿은 뒤에 끝났다고 해요", "Linux: a write is called done once it is on disk"),
        )
    return Check(
        "durability",
        "limited",
        Bilingual("Linux가 아니어서 정전에 대한 보장은 최선 노력이에요", "Not Linux: safety against power loss is best effort"),
    )


def _workspace(workspace: Path) -> Check:
    if workspace.is_file():
        return Check(
            "workspace", "failed", Bilingual(f"{workspace} 는 폴더가 아니라 파일이에요", f"{workspace} is a file, not a folder")
        )
    parent = next(folder for folder in (workspace.absolute(), *workspace.absolute().parents) if folder.exists())
    if not os.access(parent, os.W_OK):
        return Check("workspace", "failed", Bilingual(f"{parent} 에 쓸 수 없어요", f"{parent} cannot be written"))
    there = workspace.exists()
    return Check(
        "workspace",
        "well",
        Bilingual(
            f"작업 공간: {workspace}" + ("" if there else " (처음 쓸 때 만들어요)"),
            f"Workspace: {workspace}" + ("" if there else " (made at first use)"),
        ),
    )


def _browser() -> Check:
    found = any(
        shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "firefox", "open", "start", "xdg-open")
    )
    return Check(
        "browser",
        "well" if found else "limited",
        Bilingual("브라우저를 열 수 있어요", "A browser can be opened")
        if found
        else Bilingual(
            "브라우저가 보이지 않아요. 콘솔 주소를 다른 기기에서 열 수는 없어요(루프백)",
            "No browser seen; the console answers on this computer only",
        ),
    )
