"""One poll of a device: all blocks, each failing on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from madang.connect.modbus._address import Item
from madang.connect.modbus._decode import Reading, decode
from madang.connect.modbus._link import DeviceSaysNoError, NoAnswerError, Wire
from madang.connect.modbus._plan import Block, halves, plan
from madang.plant import BAD_CONFIGURATION, BAD_DEVICE_FAILURE, BAD_NO_COMMUNICATION, BAD_NODE_UNKNOWN, BAD_NOT_SUPPORTED

_BY_PLACE: Final = frozenset({2, 3})
"""Illegal data address, illegal data value: another part of the block may be legal."""
_QUALITY: Final = {
    1: BAD_NOT_SUPPORTED, 2: BAD_NODE_UNKNOWN, 3: BAD_CONFIGURATION, 4: BAD_DEVICE_FAILURE, 5: BAD_NO_COMMUNICATION,
    6: BAD_NO_COMMUNICATION, 8: BAD_DEVICE_FAILURE, 10: BAD_NO_COMMUNICATION, 11: BAD_NO_COMMUNICATION,
}  # fmt: skip
"""Quality for each exception code (MODBUS Application Protocol Specification V1.1b3, 7)."""


@dataclass
class Poll:
    """What one poll brought."""

    readings: list[tuple[Item, datetime, Reading]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """Tags whose address the device refused for good -> exception code."""
    silent: dict[int, list[Item]] = field(default_factory=dict)
    """Devices that did not answer -> their values."""
    answered: set[int] = field(default_factory=set)


class Poller:
    """Knows the blocks, and learns which addresses a device refuses.

    Args:
        items: Values to read.
        gap: Widest hole that is read across [registers].
        most: Most registers of one read.
        encoding: Encoding of texts.
        recheck: How long a refused address is left alone.
    """

    def __init__(self, items: Iterable[Item], gap: int, most: int, encoding: str, recheck: timedelta) -> None:
        self._items = tuple(items)
        self._gap = gap
        self._most = most
        self._encoding = encoding
        self._recheck = recheck
        self._refused: dict[str, tuple[int, datetime]] = {}
        self.blocks = plan(self._items, gap, most)

    def poll(self, wire: Wire, clock: Callable[[], datetime]) -> Poll:
        """Read all blocks once.

        A device behind a gateway that is silent once is not asked for its other blocks in this poll, so that it does not hold up the others.

        Raises:
            LinkLostError: The connection is gone; nothing of this poll is to be used as a whole.
        """
        self._ask_again(clock())
        out = Poll()
        blocks: list[Block] = []
        for block in self.blocks:
            blocks.extend(self._read(block, wire, clock, out))
        self.blocks = blocks
        now = clock()
        for item in self._items:
            if item.name in self._refused:
                code = self._refused[item.name][0]
                out.refused[item.name] = code
                out.readings.append((item, now, (None, None, _QUALITY.get(code, BAD_CONFIGURATION))))
        return out

    def _ask_again(self, now: datetime) -> None:
        due = {name for name, (_, since) in self._refused.items() if not now - since < self._recheck}
        if due:
            for name in due:
                del self._refused[name]
            # Alone, so that one that is still refused does not take its neighbours with it.
            self.blocks += [block for item in self._items if item.name in due for block in plan([item], 0)]

    def _read(self, block: Block, wire: Wire, clock: Callable[[], datetime], out: Poll) -> list[Block]:
        """Read a block, in parts where the device refuses the whole; returns the parts worth reading the next time."""
        if block.unit_id in out.silent:
            out.silent[block.unit_id].extend(block.items)
            return [block]
        try:
            data = wire.read(block.unit_id, block.area, block.start, block.count)
        except NoAnswerError:
            out.silent[block.unit_id] = [*block.items]
            return [block]
        except DeviceSaysNoError as error:
            out.answered.add(block.unit_id)
            return self._refusal(block, error.code, wire, clock, out)
        out.answered.add(block.unit_id)
        now = clock()
        out.readings += [(item, now, decode(item, data, block.start, self._encoding)) for item in block.items]
        return [block]

    def _refusal(self, block: Block, code: int, wire: Wire, clock: Callable[[], datetime], out: Poll) -> list[Block]:
        parts = halves(block) if code in _BY_PLACE else [block]
        if len(parts) > 1:
            return [kept for part in parts for kept in self._read(part, wire, clock, out)]
        if code in _BY_PLACE:
            self._refused.update({item.name: (code, clock()) for item in block.items})
            return []
        now = clock()
        quality = _QUALITY.get(code, BAD_DEVICE_FAILURE)
        out.readings += [(item, now, (None, None, quality)) for item in block.items]
        return [block]
