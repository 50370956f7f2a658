"""A writing process is killed at random moments, again and again, on the same spool."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from madang.connect import Block, Frame
from tests.connect.spooling import everything, open_spool

ROOT = Path(__file__).resolve().parents[2]


def number_of(frame: Frame) -> list[int]:
    """Return the numbers of the things that a frame holds."""
    if isinstance(frame.content, Block):
        values = frame.content.batch.column("number").to_pylist()
        assert len(values) == 1 + int(values[0]) % 40
        assert set(values) == {values[0]}
        return [int(values[0])]
    assert isinstance(frame.content, list)
    numbers = []
    for message in frame.content:
        number, dashes = message.payload.split(b"-", 1) if b"-" in message.payload else (message.payload, b"")
        assert len(dashes) + (b"-" in message.payload) == int(number) % 500
        numbers.append(int(number))
    return numbers


def kill_once(folder: Path, begin: int, chance: random.Random) -> tuple[int, int]:
    """Run the victim for a random time; returns the highest number told as durable, and how many were."""
    victim = subprocess.Popen(
        [sys.executable, "-m", "tests.connect.spool_victim", str(folder), str(begin), str(chance.choice([8192, 100_000]))],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"ready\n"
    timer = threading.Timer(chance.uniform(0.0, 0.3), lambda: victim.send_signal(signal.SIGKILL))
    timer.start()
    lines = victim.stdout.read().split(b"\n")[:-1]
    timer.join()
    victim.wait()
    victim.stdout.close()
    assert victim.returncode == -signal.SIGKILL
    numbers = [int(line) for line in lines]
    assert numbers == list(range(begin + 1, begin + 1 + len(numbers)))
    return (numbers[-1] if numbers else begin), len(numbers)


def kill_many(folder: Path, times: int) -> int:
    """Kill and check; returns how many things were acknowledged in all."""
    chance = random.Random(7)
    begin = told = 0
    for _ in range(times):
        acknowledged, count = kill_once(folder, begin, chance)
        told += count
        with open_spool(folder) as spool:
            frames = everything(spool, spool.released, 200_000)
            assert [f.sequence for f in frames] == list(range(spool.released + 1, spool.durable + 1))
            numbers = [n for f in frames for n in number_of(f)]
            if numbers:
                assert numbers == list(range(numbers[0], numbers[-1] + 1))
                assert numbers[-1] >= acknowledged
                begin = numbers[-1]
            else:
                assert acknowledged == begin
            assert spool.ledger.gaps() == []
            assert {f.content.batch.column("tag")[0].as_py() for f in frames if isinstance(f.content, Block)} <= set(
                spool.tags.all()
            )
            spool.release(spool.durable // 2)
    return told


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    kill_many(tmp_path / "line", 4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_was_acknowledged_survives_a_hundred_kills(tmp_path: Path) -> None:
    assert kill_many(tmp_path / "line", 100) > 1000
