"""The catalogues of the tests: SQLite files, or with ``--state postgresql`` schemas of a server of the session's own.

The second way puts every library that is opened without saying where its catalogue stands into a schema of its own, also in the
processes that a test starts: they find ``sitecustomize.py`` of `tests/elsewhere` and the server's address in the environment.
"""

from __future__ import annotations

import gc
import hashlib
import os
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ADDRESS = "MADANG_TEST_STATE_ADDRESS"
"""Environment variable with the address of the server, of which the schema is missing."""

_open: weakref.WeakSet[Any] = weakref.WeakSet()
"""Catalogues that tests have left open; closed at the end, when the server stops."""


def schema_of(root: Path) -> str:
    """Schema for the catalogue of a workspace folder; it stands in a file there, so that it goes with a folder that is moved."""
    file = root / ".test-schema"
    if not file.exists():
        root.mkdir(parents=True, exist_ok=True)
        file.write_text("t" + hashlib.sha256(f"{root.absolute()} {time.time_ns()}".encode()).hexdigest()[:20])
    return file.read_text()


def place_of(root: Path) -> str | None:
    """Address of the catalogue of a workspace folder; None for SQLite."""
    address = os.environ.get(ADDRESS)
    return None if address is None else f"{address}?options=-csearch_path%3D{schema_of(root)}"


def put_elsewhere() -> None:
    """Make libraries that are opened from now on keep their catalogue on the server."""
    from madang.library import _state
    from madang.library._state_base import Base

    base_of = _state._base_of

    def base(root: Path, place: str | None) -> Base:
        made = base_of(root, place or place_of(root))
        _open.add(made)
        return made

    _state._base_of = base


@contextmanager
def server() -> Iterator[str]:
    """Run a PostgreSQL server; yields the address of its database."""
    from tests.connect.sql.servers import postgres

    with tempfile.TemporaryDirectory(prefix="madang-state-") as folder:
        running = postgres(Path(folder))
        running.command += ["-c", "max_connections=200"]
        running.start()
        try:
            yield f"postgresql+psycopg://madang@127.0.0.1:{running.port}/postgres"
        finally:
            running.stop()


@contextmanager
def elsewhere() -> Iterator[None]:
    """Keep all catalogues on a server while this is open."""
    with server() as address:
        os.environ[ADDRESS] = address
        paths = [str(Path(__file__).parent / "elsewhere"), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        os.environ["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
        put_elsewhere()
        yield
        for base in list(_open):
            base.close()
        gc.collect()
