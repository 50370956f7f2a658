"""A real process is killed in the middle of spooling and committing, again and again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.library.live.plant import Clock, lake_samples, opened, signals_folder

ROOT = Path(__file__).resolve().parents[3]


def _durable(folder: Path) -> int:
    path = folder / "durable.txt"
    numbers = [int(line) for line in path.read_text().split() if line.isdecimal()] if path.exists() else []
    return max(numbers, default=0)


class Nursery:
    """A process that has imported everything and forks a worker when asked."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.library.live.killed", str(folder)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((f"{ROOT}/src", os.environ.get("PYTHONPATH", "")))}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def worker(self, until: int) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{until}\n")
        return self.told()

    def told(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def _kill_again_and_again(folder: Path, times: int, seed: int) -> None:
    chance = random.Random(seed)
    nursery = Nursery(folder)
    for _ in range(times):
        wanted = _durable(folder) + chance.randint(50, 3000)
        worker = nursery.worker(10**9)
        limit = time.monotonic() + 60
        while _durable(folder) < wanted:
            assert time.monotonic() < limit
            time.sleep(0.002)
        os.kill(worker, signal.SIGKILL)
        assert nursery.told() == signal.SIGKILL
    nursery.worker(0)
    assert nursery.told() == 0
    nursery.close()
    acknowledged = _durable(folder)
    with opened(folder / "w", Clock()) as library:
        names = {p.id: p.point for p in library.points("plant")}
    found = sorted(
        int(value) for _, _, value, _ in lake_samples(signals_folder(folder / "w"), names) if isinstance(value, float)
    )
    assert len(found) >= acknowledged
    assert found == list(range(len(found)))


def test_what_was_acknowledged_is_in_the_lake_exactly_once_after_eight_kills(tmp_path: Path) -> None:
    _kill_again_and_again(tmp_path, 8, 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_was_acknowledged_is_in_the_lake_exactly_once_after_a_hundred_kills(tmp_path: Path) -> None:
    _kill_again_and_again(tmp_path, 100, 2)
