"""The table store: Parquet files registered in Delta logs, and original bytes by content hash. Private to the library.

Durability is ours, because a local Delta commit is not flushed to disk by its writer: every file is flushed before the commit
that names it, and the log is flushed before the catalogue learns of it. Files are never changed in place and never deleted, so
an older version keeps its bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from madang.connect import ROW
from madang.library._cards import PART

ROW_GROUP = 131_072
"""Records of one row group: small enough for a slice to be read alone, large enough to compress."""
FILE_ROWS = 64 * ROW_GROUP
"""Records after which a new file is begun, so that no file outgrows a reader's memory."""
_COPY = 1 << 22


@dataclass(frozen=True)
class StoredFile:
    """One immutable Parquet file of a table."""

    path: str
    """Relative to the table's folder."""
    rows: int
    size: int
    parts: tuple[int, ...]
    """Parts whose records it holds, in the order in which they stand."""


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, where the system can (elsewhere durability is best effort)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Flush a file's bytes."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file whole or not at all: beside its place, flushed, then moved there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


class PartWriter:
    """Writes the chunks of one part to Parquet files, flushed on `close`; nothing is registered yet."""

    def __init__(self, folder: Path, stem: str, part: int) -> None:
        self._folder = folder
        self._stem = stem
        self._part = part
        self._files: list[StoredFile] = []
        self._writer: Any = None
        self._stream: IO[bytes] | None = None
        self._path: Path | None = None
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one batch; it begins with the part and row columns."""
        if batch.num_rows == 0:
            return
        if self._writer is None:
            self._open(batch)
        self._writer.write_batch(batch, row_group_size=ROW_GROUP)
        self._rows += batch.num_rows
        if self._rows >= FILE_ROWS:
            self._close_file()

    def _open(self, first: pa.RecordBatch) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / f"{self._stem}-{len(self._files):03d}.parquet"
        self._stream = self._path.open("wb")
        self._writer = pq.ParquetWriter(self._stream, first.schema, **_encodings(first))
        self._rows = 0

    def _close_file(self) -> None:
        if self._writer is None or self._stream is None or self._path is None:
            return
        self._writer.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        size = self._path.stat().st_size
        self._files.append(StoredFile(self._path.name, self._rows, size, (self._part,)))
        self._writer = self._stream = self._path = None

    def close(self) -> tuple[StoredFile, ...]:
        """Finish, flush and return the files."""
        self._close_file()
        if self._files:
            sync_folder(self._folder)
        return tuple(self._files)

    def discard(self) -> None:
        """Remove what was written; used when an intake fails before its commit."""
        if self._writer is not None:
            self._writer.close()
        if self._stream is not None:
            self._stream.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for file in self._files:
            (self._folder / file.path).unlink(missing_ok=True)


def _encodings(batch: pa.RecordBatch) -> dict[str, Any]:
    """Choose encodings from the first chunk: deltas for counters and clocks, a dictionary where values recur."""
    dictionary: list[str] = []
    encoding: dict[str, str] = {}
    sample = batch.slice(0, 20_000)
    for field, column in zip(batch.schema, sample.columns, strict=True):
        if field.name == ROW or pa.types.is_timestamp(field.type):
            encoding[field.name] = "DELTA_BINARY_PACKED"
        elif pa.types.is_boolean(field.type):
            continue
        elif pa.types.is_floating(field.type) and _rarely_recurs(column):
            encoding[field.name] = "BYTE_STREAM_SPLIT"
        else:
            dictionary.append(field.name)
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": dictionary or False,
        "column_encoding": encoding or None,
        "write_statistics": True,
        "version": "2.6",
    }


def _rarely_recurs(column: pa.Array) -> bool:
    return len(column) >= 1000 and pc.count_distinct(column).as_py() > len(column) // 2


class Lake:
    """A folder of Delta tables and content-addressed originals.

    Args:
        root: The ``lake`` folder of a workspace; it may be moved as a whole, nothing in it holds an absolute path.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, table: str) -> Path:
        """Folder of one table, such as ``d000001/records``."""
        return self.root / "tables" / table

    def object_path(self, sha256: str) -> Path:
        """Where the bytes with this hash lie."""
        return self.root / "objects" / sha256[:2] / sha256

    def keep_file(self, source: Path) -> str:
        """Keep a file's bytes by their hash; return the hash [hex]. The same bytes are kept once."""
        with source.open("rb") as stream:
            return self.keep(iter(lambda: stream.read(_COPY), b""))

    def keep(self, blocks: Iterable[bytes]) -> str:
        """Keep bytes by their hash; return the hash [hex]."""
        objects = self.root / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        draft = objects / f".draft-{os.getpid()}-{id(blocks):x}"
        try:
            with draft.open("wb") as target:
                for block in blocks:
                    digest.update(block)
                    target.write(block)
                target.flush()
                os.fsync(target.fileno())
            sha256 = digest.hexdigest()
            place = self.object_path(sha256)
            if not place.exists():
                place.parent.mkdir(exist_ok=True)
                draft.replace(place)
                sync_folder(place.parent)
                sync_folder(objects)
        finally:
            draft.unlink(missing_ok=True)
        return sha256

    def writer(self, table: str, stem: str, part: int) -> PartWriter:
        """Return a writer for a part's records in one table."""
        return PartWriter(self.folder(table), stem, part)

    def commit(
        self,
        table: str,
        schema: pa.Schema,
        *,
        add: Sequence[StoredFile],
        remove: Sequence[StoredFile] = (),
        data_change: bool = True,
        note: str = "",
        time_ms: int = 0,
    ) -> None:
        """Register and withdraw files in one Delta commit, flushed to disk when it returns.

        Args:
            table: Folder name of the table; it is made on the first commit.
            schema: Columns of the table after the commit. New columns are added; a column that changes type needs every live
                file to be among `remove`, since no file may keep the old type.
            add: Files that exist, flushed, in the table's folder.
            remove: Live files to withdraw (they stay on disk for older versions).
            data_change: False when only the arrangement changes (compaction).
            note: Kept in the commit for people who read the log.
            time_ms: Time of the commit [ms since 1970].
        """
        from deltalake import DeltaTable, Schema
        from deltalake.transaction import AddAction, CommitProperties, RemoveAction, create_table_with_add_actions

        folder = self.folder(table)
        adds = [
            AddAction(
                path=file.path,
                size=file.size,
                partition_values={},
                modification_time=time_ms,
                data_change=data_change,
                stats=json.dumps(
                    {"numRecords": file.rows, "minValues": {PART: min(file.parts)}, "maxValues": {PART: max(file.parts)}}
                ),
            )
            for file in add
        ]
        removes = [
            RemoveAction(path=f.path, data_change=data_change, deletion_timestamp=time_ms, size=f.size, partition_values={})
            for f in remove
        ]
        properties = CommitProperties(custom_metadata={"madang": note})
        wanted = Schema.from_arrow(schema)
        if not (folder / "_delta_log").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            # Logs are never cleaned up: every version of the table stays readable.
            keep = {"delta.enableExpiredLogCleanup": "false", "delta.checkpointInterval": "50"}
            create_table_with_add_actions(
                str(folder), wanted, adds, mode="error", configuration=keep, commit_properties=properties
            )
            DeltaTable(str(folder)).create_checkpoint()
            sync_folder(folder)
        else:
            opened = DeltaTable(str(folder))
            present = {f.name: f.type for f in opened.schema().fields}
            clash = any(f.name in present and present[f.name] != f.type for f in wanted.fields)
            if clash:
                create_table_with_add_actions(str(folder), wanted, adds, mode="overwrite", commit_properties=properties)
            else:
                new = [f for f in wanted.fields if f.name not in present]
                if new:
                    opened.alter.add_columns(new)
                if adds or removes:
                    opened.create_write_transaction([*adds, *removes], "append", opened.schema(), commit_properties=properties)
        self._sync_log(folder)

    def _sync_log(self, folder: Path) -> None:
        log = folder / "_delta_log"
        for path in log.iterdir():
            if path.is_file():
                sync_file(path)
        sync_folder(log)

    def live(self, table: str) -> dict[str, int]:
        """Return the live files of a table with their sizes, as its Delta log says."""
        from deltalake import DeltaTable

        folder = self.folder(table)
        if not (folder / "_delta_log").is_dir():
            return {}
        actions = pa.table(DeltaTable(str(folder)).get_add_actions())
        return dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))

    def schema(self, table: str) -> pa.Schema:
        """Return the columns of a table, as its Delta log says."""
        from deltalake import DeltaTable

        return pa.schema(DeltaTable(str(self.folder(table))).schema().to_arrow())

    def discard(self, table: str, files: Iterable[str]) -> None:
        """Delete files that no commit names."""
        for file in files:
            (self.folder(table) / file).unlink(missing_ok=True)

    def batches(
        self,
        table: str,
        files: Sequence[StoredFile],
        parts: Sequence[int],
        schema: pa.Schema,
        where: pc.Expression | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the records of some parts, part by part in the order given, with the columns of `schema`.

        A column that a file does not have comes as nulls; an integer column is widened where the schema says number.
        """
        folder = self.folder(table)
        for part in parts:
            for file in files:
                if part in file.parts:
                    yield from file_batches(folder / file.path, part, schema, where)

    def remove_tree(self, table: str) -> None:
        """Delete a table whose first commit never reached the catalogue."""
        shutil.rmtree(self.folder(table), ignore_errors=True)


def file_batches(path: Path, part: int, schema: pa.Schema, where: pc.Expression | None = None) -> Iterator[pa.RecordBatch]:
    """Yield one part's records of a file in stored order, with the columns of a schema."""
    import pyarrow.dataset as ds

    dataset = ds.dataset(path, format="parquet")
    present = set(dataset.schema.names)
    condition = ds.field(PART) == part
    if where is not None:
        condition = condition & where
    names = [n for n in schema.names if n in present]
    for batch in dataset.to_batches(columns=names, filter=condition, batch_size=ROW_GROUP):
        if batch.num_rows:
            yield conform(batch, schema)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with exactly the columns of a schema: absent ones null, narrower ones widened."""
    columns = []
    for field in schema:
        at = batch.schema.get_field_index(field.name)
        if at < 0:
            columns.append(pa.nulls(batch.num_rows, field.type))
        else:
            column = batch.column(at)
            columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)
