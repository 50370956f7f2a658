"""The laboratory of the living plant: workbooks that are dropped in a folder hours after the lots, half-written for a moment."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from madang.errors import Json
from madang.factory.twin._exports import ExportTruth, _write_lab
from madang.factory.twin._live_lots import LiveLot
from madang.factory.twin._live_plant import LivePlant
from madang.factory.twin._live_troubles import LiveTrouble

TESTERS: Final = ("한지우", "오세린", "문태경")
ROWS: Final = 12
"""Results that make a workbook."""
EVERY: Final = 4 * 3600.0
"""A workbook goes out after this time even when it holds fewer [s of the plant]."""
HALF_SECONDS: Final = 1.0
"""How long a workbook lies there half-written [s of the clock on the wall]."""


@dataclass
class LabFace:
    """The laboratory's folder.

    Args:
        plant: Whose lots are tested.
        folder: Where workbooks are dropped; made when missing.
        rng: Chooses testers, and which rows are wrong.
        troubles: ``late_lab`` and ``wrong_lab_rows`` act here.
    """

    plant: LivePlant
    folder: Path
    rng: np.random.Generator
    troubles: Sequence[LiveTrouble] = ()
    files: list[str] = field(default_factory=list)
    rows: int = 0
    wrong: list[dict[str, Json]] = field(default_factory=list)
    """The truth of the wrong rows: ``lot``, ``file``, ``what`` (slip, typo, swapped_times)."""
    late: list[str] = field(default_factory=list)
    """Lots whose result came later than it would have."""
    _pending: list[tuple[Any, ...]] = field(default_factory=list)
    _wrong_pending: list[dict[str, Json]] = field(default_factory=list)
    _since: float = 0.0
    _number: int = 0
    _writing: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)

    def due(self, lot: LiveLot) -> float:
        """Return the second of the plant at which a lot's result is told; noted where a trouble makes it late."""
        assert lot.resulted is not None
        for trouble in self.troubles:
            if trouble.kind == "late_lab" and trouble.acts(lot.resulted):
                self.late.append(lot.name)
                return lot.resulted + (trouble.size or 0.0)
        return lot.resulted

    def add(self, lot: LiveLot, told: float) -> None:
        """Take a result into the next workbook."""
        found = lot.result
        assert found is not None
        assert lot.sampled is not None
        sampled, resulted = np.datetime64(self.plant.local(lot.sampled), "s"), np.datetime64(self.plant.local(told), "s")
        name, total = lot.name, found.residual
        share = self._wrong_share(told)
        if share and self.rng.random() < share:
            what = ("slip", "typo", "swapped_times")[int(self.rng.integers(0, 3))]
            if what == "slip":
                total = float(round(total * float(self.rng.choice([0.62, 1.45]))))
            elif what == "typo":
                name = name[:-2] + name[-1] + name[-2] if name[-1] != name[-2] else f"{name}0"
            else:
                sampled, resulted = resulted, sampled
            self._wrong_pending.append({"lot": lot.name, "what": what})
        lioh = float(round(total * found.lioh / found.residual))
        tester = TESTERS[int(self.rng.integers(0, len(TESTERS)))]
        rest = (found.capacity, found.crystallite, found.d50, tester, "")
        self._pending.append((resulted, name, sampled, 1, total, lioh, total - lioh, *rest))

    def _wrong_share(self, t: float) -> float:
        return next((x.size or 0.0 for x in self.troubles if x.kind == "wrong_lab_rows" and x.acts(t)), 0.0)

    def drop(self, t: float, *, force: bool = False) -> None:
        """Drop a workbook when there are enough results or enough time has passed; it is half-written for a moment."""
        if not self._pending or not (force or len(self._pending) >= ROWS or t - self._since >= EVERY):
            return
        rows, self._pending = self._pending, []
        self._since = t
        self._number += 1
        stamp = self.plant.local(t).strftime("%Y%m%d_%H%M%S")
        path = self.folder / f"소성품_시험성적_{stamp}_{self._number:03d}.xlsx"
        for wrong in self._wrong_pending:
            self.wrong.append({**wrong, "file": path.name})
        self._wrong_pending = []
        content = _workbook(rows)
        self.files.append(path.name)
        self.rows += len(rows)
        half = len(content) * 2 // 5
        path.write_bytes(content[:half])
        task = asyncio.get_running_loop().create_task(_finish(path, content[half:]))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def stop(self) -> None:
        """Finish the workbooks that are being written."""
        if self._writing:
            await asyncio.wait(tuple(self._writing))


async def _finish(path: Path, rest: bytes) -> None:
    await asyncio.sleep(HALF_SECONDS)
    with path.open("ab") as file:
        file.write(rest)


def _workbook(rows: list[tuple[Any, ...]]) -> bytes:
    """Return a workbook of the laboratory, in the form of its exports; the instruments' corrections are not sent each time."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "LAB").mkdir()
        done = ExportTruth()
        _write_lab(rows, Path(folder), done, history=False)
        return (Path(folder) / next(iter(done.files))).read_bytes()
