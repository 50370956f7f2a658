"""What every actuator does, and the pretend one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from madang.connect import Actuator, WriteOutcome
from madang.plant import BAD_NODE_UNKNOWN, GOOD, Bilingual, QualityClass, quality_class


@dataclass
class PretendActuator:
    """Set points in memory, each with a range; the pretend actuator."""

    ranges: Mapping[str, tuple[float, float]]
    """Smallest and largest value of each set point that may be written."""
    values: dict[str, float] = field(default_factory=dict)

    def propose(self, tag: str, value: float | str) -> Bilingual | None:
        """Return why the value would be refused."""
        if tag not in self.ranges:
            return Bilingual("쓸 수 있는 설정값이 아니에요.", "This is no set point that may be written.")
        if isinstance(value, str) or value != value:
            return Bilingual("수가 아니에요.", "This is no number.")
        low, high = self.ranges[tag]
        if not low <= value <= high:
            return Bilingual(f"{low}부터 {high}까지만 쓸 수 있어요.", f"Only values from {low} to {high} may be written.")
        return None

    def write(self, tag: str, value: float | str) -> WriteOutcome:
        """Write where `propose` has nothing against it."""
        reason = self.propose(tag, value)
        if reason is not None:
            now = self.read_back(tag)
            return WriteOutcome(False, now.value, now.quality, reason)
        self.values[tag] = float(value)
        return WriteOutcome(True, self.values[tag], GOOD, Bilingual("썼어요.", "Written."))

    def read_back(self, tag: str) -> WriteOutcome:
        """Return what stands there."""
        if tag not in self.ranges and tag not in self.values:
            return WriteOutcome(False, None, BAD_NODE_UNKNOWN, Bilingual("그런 태그가 없어요.", "There is no such tag."))
        return WriteOutcome(False, self.values.get(tag, 0.0), GOOD, Bilingual("읽었어요.", "Read."))


class ActuatorPeer:
    """The machine behind an actuator, as the contract sees it."""

    tag: str = ""
    """A set point that may be written."""
    values: tuple[float, float] = (0.0, 0.0)
    """Two different values that it may take."""
    too_much: float | None = None
    """A value beyond its range; None where the peer knows no range."""
    read_only: str | None = None
    """A tag that may not be written; None where there is none."""

    def make(self) -> Actuator:
        """Return a new actuator for this peer."""
        raise NotImplementedError

    def stands(self) -> float:
        """Return what stands at `tag`, asked in another way than through the actuator."""
        raise NotImplementedError


class ActuatorContract:
    """Subclass it in a test module, with a fixture ``peer`` that gives an `ActuatorPeer`."""

    def test_a_proposal_writes_nothing(self, peer: ActuatorPeer) -> None:
        actuator = peer.make()
        actuator.write(peer.tag, peer.values[0])
        assert actuator.propose(peer.tag, peer.values[1]) is None
        assert peer.stands() == peer.values[0]

    def test_what_was_written_stands_there_and_is_read_back(self, peer: ActuatorPeer) -> None:
        actuator = peer.make()
        for value in (*peer.values, peer.values[0]):
            outcome = actuator.write(peer.tag, value)
            assert (outcome.written, outcome.value) == (True, value)
            assert quality_class(outcome.quality) is QualityClass.GOOD
            assert peer.stands() == value
            assert actuator.read_back(peer.tag).value == value

    def test_reading_back_says_that_nothing_was_written(self, peer: ActuatorPeer) -> None:
        assert not peer.make().read_back(peer.tag).written

    def test_a_value_beyond_the_range_is_refused_with_a_reason_and_changes_nothing(self, peer: ActuatorPeer) -> None:
        if peer.too_much is None:
            pytest.skip("this peer knows no range")
        self.refuses(peer, peer.tag, peer.too_much)

    def test_a_text_for_a_number_is_refused_with_a_reason_and_changes_nothing(self, peer: ActuatorPeer) -> None:
        self.refuses(peer, peer.tag, "많이")

    def test_a_tag_that_may_not_be_written_is_refused_with_a_reason(self, peer: ActuatorPeer) -> None:
        if peer.read_only is None:
            pytest.skip("this peer has no such tag")
        self.refuses(peer, peer.read_only, peer.values[0])

    def test_a_tag_that_is_not_there_is_refused_with_a_reason(self, peer: ActuatorPeer) -> None:
        self.refuses(peer, "there is no such tag", peer.values[0])

    def refuses(self, peer: ActuatorPeer, tag: str, value: float | str) -> None:
        """Propose and write, and see that both are refused and nothing changes."""
        actuator = peer.make()
        actuator.write(peer.tag, peer.values[0])
        reason = actuator.propose(tag, value)
        assert reason is not None
        assert reason.ko
        assert reason.en
        outcome = actuator.write(tag, value)
        assert not outcome.written
        assert outcome.text.ko
        assert outcome.text.en
        assert peer.stands() == peer.values[0]
