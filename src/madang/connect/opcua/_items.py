"""The tags that are followed, each with the number under which the server speaks of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from madang.connect._blocks import DataType, Tag

Family = Literal["unknown", "number", "text"]
FAMILIES: Final[Mapping[DataType, Family]] = {"number": "number", "integer": "number", "boolean": "number", "text": "text"}


@dataclass
class Item:
    """One followed tag: a node, or one element of a node that is an array."""

    handle: int
    """Client handle; also its place in the arrays of `Items`."""
    tag: Tag
    node: str
    """Node id as the peer spells it now; its namespace indexes may have moved since `tag.name` was given."""
    known: bool = True
    """Whether the data type was said by the server; else the first value decides."""
    history: bool = False
    element: str = ""
    """``[3]`` for an element of an array."""
    refused: int = 0
    """Status with which the server refused to watch it; 0 = it is watched."""
    elements: dict[str, int] = field(default_factory=dict)
    """Handles of its elements, where it is an array."""

    @property
    def family(self) -> Family:
        """Whether its values are numbers or texts."""
        return FAMILIES[self.tag.data_type] if self.known else "unknown"


class Items:
    """All followed tags, and what is remembered of each: its newest time, its last value, whether it was marked as cut off."""

    def __init__(self) -> None:
        self.all: list[Item] = []
        self.newest: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        """Newest source time of each [us since 1970; 0 = none yet]."""
        self.marked: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        """Time of the last "no communication" mark that was not answered yet [us since 1970; 0 = none]."""
        self.fresh: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        """Whether the next value is the first one after subscribing."""
        self.numeric: NDArray[np.bool_] = np.empty(0, dtype=np.bool_)
        """Whether its values are known to be numbers."""
        self.last: dict[int, tuple[object, ...]] = {}
        """Last row of each."""
        self.dirty: list[Item] = []
        """Tags that are new, or about which something new is known."""

    def __len__(self) -> int:
        return len(self.all)

    def add(self, tags: Iterable[tuple[Tag, str, bool, bool]]) -> list[Item]:
        """Follow more tags, given with node id, whether the data type is known, and whether the server keeps their history."""
        made = []
        for tag, node, known, history in tags:
            item = Item(len(self.all), tag, node, known, history)
            self.all.append(item)
            made.append(item)
        self._grow()
        for item in made:
            self.numeric[item.handle] = item.family == "number"
        self.dirty += made
        return made

    def element(self, array: Item, index: str) -> Item:
        """Return one element of an array, made when it is seen for the first time."""
        handle = array.elements.get(index)
        if handle is not None:
            return self.all[handle]
        tag = replace(array.tag, name=f"{array.tag.name}{index}", facts={**array.tag.facts, "element": index})
        if tag.label is not None:
            tag = replace(tag, label=replace(tag.label, ko=f"{tag.label.ko} {index}", en=f"{tag.label.en} {index}"))
        item = Item(len(self.all), tag, array.node, array.known, False, index)
        self.all.append(item)
        array.elements[index] = item.handle
        self._grow()
        self.numeric[item.handle] = item.family == "number"
        self.dirty.append(item)
        return item

    def learn(self, item: Item, **changes: object) -> None:
        """Keep something new about a tag; it is told to the sink before the next block."""
        item.tag = replace(item.tag, **changes)  # type: ignore[arg-type]
        self.dirty.append(item)

    def settle(self, item: Item, data_type: DataType) -> None:
        """Keep the data type of a tag whose server did not say it."""
        item.known = True
        self.learn(item, data_type=data_type)
        self.numeric[item.handle] = item.family == "number"

    def fact(self, item: Item, name: str, value: str) -> None:
        """Keep a fact about a tag, once."""
        if item.tag.facts.get(name) != value:
            self.learn(item, facts={**item.tag.facts, name: value})

    def _grow(self) -> None:
        more = len(self.all) - len(self.newest)
        if more > 0:
            more = max(more, len(self.newest))
            self.numeric = np.concatenate([self.numeric, np.zeros(more, dtype=np.bool_)])
            self.newest = np.concatenate([self.newest, np.zeros(more, dtype=np.int64)])
            self.marked = np.concatenate([self.marked, np.zeros(more, dtype=np.int64)])
            self.fresh = np.concatenate([self.fresh, np.ones(more, dtype=np.bool_)])
