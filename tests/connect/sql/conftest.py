"""Servers and clocks for the tests of databases."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connect.sql.servers import Server, mariadb, postgres
from tests.connect.sql.shelf import Hands


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(scope="session")
def pg() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="madang-pg-") as folder:
        server = postgres(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def maria() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="madang-db-") as folder:
        server = mariadb(Path(folder))
        server.start()
        yield server
        server.stop()
