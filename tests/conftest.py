"""Fixtures shared by all rooms' tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def _shared_data() -> Path | None:
    named = os.environ.get("MADANG_SHARED")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared"
    return root / "data" if (root / "data").is_dir() else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the public sample data sets; tests that need it are skipped, and counted, without it."""
    found = _shared_data()
    if found is None:
        pytest.skip("public sample data not found: set MADANG_SHARED to the folder that holds data/")
    return found


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--state postgresql``: the same tests, every catalogue on a PostgreSQL server of the session's own."""
    kept = os.environ.get("MADANG_TEST_STATE", "sqlite")
    parser.addoption("--state", choices=("sqlite", "postgresql"), default=kept, help="where the tests keep their catalogues")


@pytest.fixture(scope="session", autouse=True)
def _state(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.config.getoption("--state") == "sqlite":
        yield
        return
    from tests.state import elsewhere

    with elsewhere():
        yield


@pytest.fixture
def sqlite_state(request: pytest.FixtureRequest) -> None:
    """For tests of the file itself, which is not there on a server."""
    if request.config.getoption("--state") != "sqlite":
        pytest.skip("looks into state.sqlite, and the catalogues are on a server")


def pytest_configure(config: pytest.Config) -> None:
    """Catalogues that a test leaves open are closed as quietly on a server as in a file."""
    if config.getoption("--state") != "sqlite":
        config.addinivalue_line("filterwarnings", "ignore:.*was deleted while still open:ResourceWarning")
