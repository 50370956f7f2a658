"""Fixtures shared by all rooms' tests."""

from __future__ import annotations

import os
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
