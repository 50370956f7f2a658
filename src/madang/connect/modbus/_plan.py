"""Which registers are read together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from madang.connect.modbus._address import Area, Item

MOST_REGISTERS: Final = 125
MOST_BITS: Final = 2000
"""Source: MODBUS Application Protocol Specification V1.1b3, 6.1 to 6.4."""


@dataclass(frozen=True)
class Block:
    """One read."""

    unit_id: int
    area: Area
    start: int
    count: int
    items: tuple[Item, ...]


def plan(items: Iterable[Item], gap: int, most: int = MOST_REGISTERS) -> list[Block]:
    """Return the fewest reads in which no value is cut and no hole between two values is wider than the gap.

    Args:
        items: Values to read.
        gap: Most registers, or 16 times as many bits, that may be read without need between two values.
        most: Most registers of one read.
    """
    groups: dict[tuple[int, Area], list[Item]] = {}
    for item in items:
        groups.setdefault((item.unit_id, item.area), []).append(item)
    blocks: list[Block] = []
    for (unit_id, area), group in sorted(groups.items()):
        bits = area in ("coil", "discrete")
        limit, hole = (MOST_BITS, gap * 16) if bits else (min(most, MOST_REGISTERS), gap)
        together: list[Item] = []
        start = end = 0
        for item in sorted(group, key=lambda one: (one.start, one.count, one.name)):
            stop = item.start + item.count
            if together and (item.start - end > hole or max(end, stop) - start > limit):
                blocks.append(Block(unit_id, area, start, end - start, tuple(together)))
                together = []
            if not together:
                start, end = item.start, stop
            together.append(item)
            end = max(end, stop)
        if together:
            blocks.append(Block(unit_id, area, start, end - start, tuple(together)))
    return blocks


def halves(block: Block) -> Sequence[Block]:
    """Return a block in two, parted at its widest hole, else in the middle; one whose values lie on the same place stays whole."""
    items = block.items
    places = [
        place for place in range(1, len(items)) if items[place].start >= max(one.start + one.count for one in items[:place])
    ]
    if len({(item.start, item.count) for item in items}) == 1:
        return [block]
    places = places or list(range(1, len(items)))
    middle = len(items) / 2

    def worth(place: int) -> tuple[int, float]:
        return items[place].start - items[place - 1].start - items[place - 1].count, -abs(place - middle)

    cut = max(places, key=worth)
    return [_around(block, items[:cut]), _around(block, items[cut:])]


def _around(block: Block, items: tuple[Item, ...]) -> Block:
    start = min(item.start for item in items)
    stop = max(item.start + item.count for item in items)
    return Block(block.unit_id, block.area, start, stop - start, items)
