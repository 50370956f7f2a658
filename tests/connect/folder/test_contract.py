"""What every source does, as far as folders do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from madang.connect import ConnectionSettings, Source
from madang.connect.folder import make
from madang.testing import SourceContract, SourcePeer


class Exports(SourcePeer):
    """A folder with two files, which are its tags."""

    tags = ("분석.csv", "하위/b.csv")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "하위").mkdir()
        for name in self.tags:
            (folder / name).write_text("lot,x\nL1,1\n")

    def make(self) -> Source:
        return make(ConnectionSettings("lab", "folder", str(self.folder)))

    def away(self) -> Source | None:
        return make(ConnectionSettings("lab", "folder", str(self.folder / "none")))


class TestFolder(SourceContract):
    @pytest.fixture
    def peer(self, tmp_path: Path) -> SourcePeer:
        return Exports(tmp_path)
