"""Which records of a table were handed over, as hashes, so that changed and deleted ones are told from the others."""

from __future__ import annotations

import base64
import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

from madang.connect._source import Sink

CHUNK: Final = 4096
"""Records that are saved together."""
Key = Any
"""Value of the key column; a tuple of values where the key has several columns."""


class Memory:
    """Key -> hash of every record handed over, kept in the connection's cursors.

    A cursor becomes durable in order with the records put before it. After a crash the memory is therefore never ahead of what was
    handed over; where it lies behind, records come once more and change nothing.

    Args:
        sink: Where cursors are kept.
        prefix: Begins the names of the cursors.
        schema: Arrow schema of the key columns.
    """

    def __init__(self, sink: Sink, prefix: str, schema: Any) -> None:  # noqa: ANN401
        self._sink = sink
        self._prefix = prefix
        self._schema = schema
        self._place: dict[Key, int] = {}
        self._keys: list[Key | None] = []
        self._hashes = array("Q")
        self._free: list[int] = []
        self._dirty: set[int] = set()
        self._saved_chunks = 0
        self._announced: set[Key] = set()
        self._outlived = False
        """Whether a key of the announcement was deleted since: it must not come back with the next process."""
        self._load()

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, key: Key) -> bool:
        return key in self._place

    def __iter__(self) -> Iterator[Key]:
        return iter(self._place)

    def changed(self, keys: Sequence[Key], hashes: Sequence[int]) -> list[int]:
        """Return the indices of records that are new or differ from what was handed over."""
        place, known = self._place, self._hashes
        out = []
        for index, (key, now) in enumerate(zip(keys, hashes, strict=True)):
            at = place.get(key)
            if at is None or known[at] != now:
                out.append(index)
        return out

    def announce(self, keys: Iterable[Key]) -> None:
        """Note, before records are put, the keys among them that are new.

        Without it a crash right after the put would leave records behind of which nobody knows: deleted at the peer before the next
        look, they would stay for ever.
        """
        new = [key for key in keys if key not in self._place]
        if new:
            self._sink.save_cursor(f"{self._prefix}/announced", self._written(new, [0] * len(new)))
            self._announced, self._outlived = set(new), False

    def remember(self, keys: Iterable[Key], hashes: Iterable[int]) -> None:
        """Note records as handed over."""
        for key, now in zip(keys, hashes, strict=True):
            at = self._place.get(key)
            if at is None:
                if self._free:
                    at = self._free.pop()
                    self._keys[at], self._hashes[at] = key, now
                else:
                    at = len(self._keys)
                    self._keys.append(key)
                    self._hashes.append(now)
                self._place[key] = at
            else:
                self._hashes[at] = now
            self._dirty.add(at // CHUNK)

    def forget(self, keys: Iterable[Key]) -> None:
        """Note records as deleted."""
        for key in keys:
            at = self._place.pop(key)
            self._outlived = self._outlived or key in self._announced
            self._keys[at] = None
            self._free.append(at)
            self._dirty.add(at // CHUNK)

    def save(self) -> None:
        """Save what changed, after the records that it speaks of were put."""
        for chunk in sorted(self._dirty):
            span = range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self._keys)))
            there = [at for at in span if self._keys[at] is not None]
            text = self._written([self._keys[at] for at in there], [self._hashes[at] for at in there])
            self._sink.save_cursor(f"{self._prefix}/{chunk}", text)
        self._dirty.clear()
        if self._outlived:
            self._sink.save_cursor(f"{self._prefix}/announced", "")
            self._announced, self._outlived = set(), False
        chunks = -(-len(self._keys) // CHUNK)
        if chunks != self._saved_chunks:
            self._sink.save_cursor(self._prefix, json.dumps({"chunks": chunks, "key": self._schema.names}))
            self._saved_chunks = chunks

    def doubt(self) -> None:
        """Take every record for changed, such as when a column has changed its type; which keys there are is still known."""
        for at in self._place.values():
            self._hashes[at] = 0
            self._dirty.add(at // CHUNK)

    def _written(self, keys: Sequence[Key], hashes: Sequence[int]) -> str:
        full = pa.RecordBatch.from_arrays(
            [*self.batch(keys).columns, pa.array(hashes, pa.uint64())],
            schema=self._schema.append(pa.field(" hash", pa.uint64())).remove_metadata(),
        )
        buffer = pa.BufferOutputStream()
        with pa.ipc.new_stream(buffer, full.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
            stream.write_batch(full)
        return base64.b64encode(buffer.getvalue()).decode("ascii")

    def batch(self, keys: Sequence[Key]) -> Any:  # noqa: ANN401
        """Return keys as an Arrow batch of the key columns."""
        single = len(self._schema) == 1
        arrays = [
            pa.array(keys if single else [key[place] for key in keys], field.type) for place, field in enumerate(self._schema)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _load(self) -> None:
        head = json.loads(self._sink.cursor(self._prefix) or "{}")
        chunks = int(head["chunks"]) if head.get("key") == self._schema.names else 0
        for chunk in range(chunks):
            # A place that holds nothing keeps its number, so that a chunk is always the same places.
            self._keys.extend([None] * CHUNK)
            self._hashes.extend([0] * CHUNK)
            found = self._read(f"{self._prefix}/{chunk}")
            for at, (key, now) in enumerate(found, start=chunk * CHUNK):
                if key in self._place:
                    # It was deleted and came again, and a crash came between saving the two chunks: neither hash can be trusted.
                    self._hashes[self._place[key]] = 0
                    continue
                self._keys[at], self._hashes[at] = key, now
                self._place[key] = at
            self._free.extend(range(chunk * CHUNK + len(found), (chunk + 1) * CHUNK))
        self._saved_chunks = chunks
        self._announced = {key for key, _ in self._read(f"{self._prefix}/announced")}
        left = [key for key in self._announced if key not in self._place]
        self.remember(left, [0] * len(left))

    def _read(self, name: str) -> list[tuple[Key, int]]:
        text = self._sink.cursor(name)
        if not text:
            return []
        table = pa.ipc.open_stream(base64.b64decode(text)).read_all()
        if table.schema.names[:-1] != self._schema.names or [f.type for f in table.schema][:-1] != [
            f.type for f in self._schema
        ]:
            return []
        return list(zip(keys_of(table.select(self._schema.names)), table.column(" hash").to_pylist(), strict=True))


def keys_of(batch: Any) -> list[Key]:  # noqa: ANN401
    """Return the key of each record of a batch that holds the key columns only."""
    columns = [column.to_pylist() for column in batch.columns]
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def digests(names: Sequence[str], rows: Sequence[Sequence[Any]], size: int) -> list[bytes]:
    """Return a digest of each record over its cells that hold something, by column name.

    Empty cells do not count, so that a column added later changes only the records that have something in it.
    """
    order = sorted(range(len(names)), key=names.__getitem__)
    blake = hashlib.blake2b
    return [
        blake(
            repr([(names[at], row[at]) for at in order if row[at] is not None]).encode("utf-8", "surrogatepass"),
            digest_size=size,
        ).digest()
        for row in rows
    ]


def hashes_of(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[int]:
    """Return 64 bits of the digest of each record."""
    return [int.from_bytes(digest, "little") for digest in digests(names, rows, 8)]
