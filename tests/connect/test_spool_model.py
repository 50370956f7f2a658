"""Any order of appending, reading, releasing, closing and losing power leaves what was acknowledged, once and in order."""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from madang.connect import Block, Frame, Spool, SpoolLimits, Tag
from tests.connect.spooling import Clock, Disk, block, everything, messages

LIMITS = SpoolLimits(segment_bytes=4096, keep_bytes=0, floor=0, window=0.0)


def written(frame: Frame) -> Any:  # noqa: ANN401 - whatever was appended
    """Return what a frame says, in a form that can be compared."""
    content = frame.content
    return content.batch.column("number").to_pylist() if isinstance(content, Block) else [m.payload for m in content]  # type: ignore[union-attr]


class SpoolMachine(RuleBasedStateMachine):
    """Holds, beside the spool, what it was told and what it said it has."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.turn = 0
        self.appended: list[tuple[int, list[Any]]] = []
        """Sequence of the frame and what was put into it, one for each append."""
        self.acknowledged: set[int] = set()
        """Places in `appended` that were told as durable."""
        self.released = 0
        self.cursor = 0
        self.told_cursor = 0
        self.counter = 0

    @initialize()
    def begin(self) -> None:
        self.disk = Disk()
        self.folder = self.root / "line-0"
        self.spool = self.opened()

    def opened(self) -> Spool:
        return Spool.open(self.folder, clock=Clock(), limits=LIMITS, sync=self.disk, name="line")

    def append(self, sequence: int, content: list[Any]) -> None:
        self.appended.append((sequence, content))

    def told(self) -> Any:  # noqa: ANN401 - a callback
        place = len(self.appended)
        acknowledged = self.acknowledged
        return lambda: acknowledged.add(place)

    @rule(count=st.integers(1, 120))
    def append_block(self, count: int) -> None:
        self.counter += 1
        content = [float(self.counter)] * count
        self.append(self.spool.append_block(block(content), self.told()), content)

    @rule(sizes=st.lists(st.integers(0, 900), min_size=1, max_size=4))
    def append_messages(self, sizes: list[int]) -> None:
        self.counter += 1
        content: list[Any] = [b"%d." % self.counter + b"m" * size for size in sizes]
        self.append(self.spool.append_messages(messages(*content), self.told()), content)

    @rule()
    def save_cursor(self) -> None:
        self.cursor = len(self.appended)
        value = self.cursor

        def told() -> None:
            self.told_cursor = max(self.told_cursor, value)

        self.spool.save_cursor("rows", str(value), told)

    @rule(name=st.sampled_from(["온도", "압력", "유량"]), unit=st.sampled_from(["℃", "K"]))
    def number_a_tag(self, name: str, unit: str) -> None:
        self.spool.tags.number_of(Tag(name, unit=unit))

    @rule()
    def wait_for_all(self) -> None:
        if self.appended:
            assert self.spool.wait(self.appended[-1][0], 10)

    @rule(count=st.integers(1, 2))
    def flushes_fail(self, count: int) -> None:
        self.disk.failures = count

    @rule(share=st.floats(0, 1))
    def release(self, share: float) -> None:
        self.released = max(self.released, int(self.spool.durable * share))
        self.spool.release(self.released)

    @rule()
    def close_and_open(self) -> None:
        self.disk.failures = 0
        self.wait_for_all()
        self.spool.close()
        assert len(self.acknowledged) == len(self.appended)
        self.spool = self.opened()
        assert self.spool.released == self.released
        assert (self.spool.cursor("rows") or "0") == str(self.cursor)
        assert self.spool.durable == max((s for s, _ in self.appended), default=0)

    @precondition(lambda self: self.turn < 6)
    @rule(seed=st.integers(0, 2**32), linger=st.booleans())
    def lose_power(self, seed: int, linger: bool) -> None:
        self.disk.failures = min(self.disk.failures, int(linger))
        if linger and self.appended:
            self.spool.wait(self.appended[-1][0], 10)
        self.append(self.disk.stop(self.spool), [0.5])
        self.turn += 1
        lost, self.folder = self.folder, self.root / f"line-{self.turn}"
        sure = set(self.acknowledged)
        cursor = self.told_cursor
        released_on_disk = self.spool.released
        self.disk.after_power_loss(lost, self.folder, random.Random(seed))
        self.disk.failures = 0
        self.disk.may_flush.set()
        self.spool.close()
        shutil.rmtree(lost)
        self.disk = Disk(self.folder)
        self.spool = self.opened()
        assert self.spool.released <= released_on_disk
        self.keep_what_is_there(sure)
        assert int(self.spool.cursor("rows") or 0) >= cursor
        self.cursor = self.told_cursor = int(self.spool.cursor("rows") or 0)
        assert self.cursor <= len(self.appended)
        self.released = self.spool.released

    def keep_what_is_there(self, sure: set[int]) -> None:
        """Compare with what was there before the power went: it is a beginning of that, and all that was told is in it."""
        frames = everything(self.spool)
        first = frames[0].sequence if frames else self.spool.durable + 1
        here = {f.sequence: written(f) for f in frames}
        kept: list[tuple[int, list[Any]]] = []
        for sequence, content in self.appended:
            if sequence < first and sequence <= self.released:
                kept.append((sequence, content))
                continue
            rest = here.get(sequence)
            if rest is None:
                break
            size = len(content)
            if isinstance(content[0], bytes):
                assert rest[:size] == content
                here[sequence] = rest[size:]
            else:
                assert rest == content
                here[sequence] = []
            kept.append((sequence, content))
        assert not any(here.values()), "something is there that was never appended"
        assert all(place < len(kept) for place in sure), "something acknowledged is gone"
        self.appended = kept
        self.acknowledged = set(range(len(kept)))

    @invariant()
    def what_is_read_is_whole_in_order_and_once(self) -> None:
        if not hasattr(self, "spool"):
            return
        durable = self.spool.durable
        frames = [f for f in everything(self.spool, self.released) if f.sequence <= durable]
        assert [f.sequence for f in frames] == list(range(self.released + 1, durable + 1))
        assert self.spool.ledger.gaps() == []
        read: dict[int, list[object]] = {f.sequence: written(f) for f in frames}
        expected: dict[int, list[object]] = {}
        for sequence, content in self.appended:
            if self.released < sequence <= durable:
                expected.setdefault(sequence, []).extend(content)
        assert read == expected

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.disk.failures = 0
            self.spool.close()
        shutil.rmtree(self.root)


class TestSpoolModel(SpoolMachine.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
