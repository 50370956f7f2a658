"""Short ways for programs: write samples into a connection, read a dataset as a table."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

import pyarrow as pa

from madang.errors import InputError, MissingError
from madang.workspace._push import PushAnswer

if TYPE_CHECKING:
    from madang.workspace._workspace import Workspace

PushSample: TypeAlias = "Mapping[str, str | float | bool | datetime | None]"
_READY: Final = 10.0
"""Longest wait for a connection to start [s]."""


def write_samples(
    workspace: Workspace, connection: str, samples: Iterable[PushSample] | pa.RecordBatch | pa.Table, key: str | None
) -> PushAnswer:
    """Write samples through a connection that this process runs; the connection is made when missing."""
    import msgspec

    connections = workspace.connections
    if connection not in connections.names():
        connections.add(connection, "http", "")
    if not workspace.runner.running:
        workspace.runner.start()
    workspace.runner.follow()
    if isinstance(samples, pa.RecordBatch | pa.Table):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, samples.schema) as writer:
            writer.write(samples)
        body, form = bytes(sink.getvalue()), "arrow"
    else:
        items = [_plain(sample) for sample in samples]
        body, form = msgspec.json.encode(items), "json"
    until = time.monotonic() + _READY
    while True:
        try:
            return workspace.runner.push(connection, body, "arrow" if form == "arrow" else "json", key=key)
        except MissingError as error:
            # The connection has just been made: its thread opens the spool in a moment.
            if error.code != "connection_not_running" or time.monotonic() >= until:
                raise
        time.sleep(0.02)


def _plain(sample: PushSample) -> dict[str, str | float | bool | None]:
    plain: dict[str, str | float | bool | None] = {}
    for name, value in sample.items():
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise InputError(
                    "no_zone",
                    ko=f"{name} 에 시간대가 없어요.",
                    en=f"{name} does not say its zone.",
                    next_ko="datetime(..., tzinfo=UTC) 처럼 시간대를 붙여 주세요.",
                    next_en="Give it one, such as datetime(..., tzinfo=UTC).",
                    where={"field": name},
                )
            plain[name] = value.isoformat()
        else:
            plain[name] = value
    return plain


def read_table(
    workspace: Workspace, dataset: str, columns: Sequence[str] | None, start: datetime | None, end: datetime | None
) -> pa.Table:
    """Return a dataset as a table: records as they are, samples in long form."""
    library, reader = workspace.library, workspace.settings.owner
    listed = library.list()["datasets"]
    assert isinstance(listed, list)
    kinds = {str(d["dataset"]): d.get("kind") for d in listed if isinstance(d, dict)}
    if kinds.get(dataset) != "signals":
        return library.read(dataset, columns=columns, reader=reader, purpose="show").table
    parts = []
    for point in columns or [card.point for card in library.points(dataset)]:
        found = library.range(dataset, point, start, end, reader=reader, purpose="show").table()
        parts.append(found.add_column(0, "point", pa.array([point] * found.num_rows, pa.string())))
    return pa.concat_tables(parts, promote_options="permissive") if parts else pa.table({"point": pa.array([], pa.string())})
