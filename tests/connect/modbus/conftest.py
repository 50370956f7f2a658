"""A clock for the tests of Modbus."""

from __future__ import annotations

import pytest

from tests.connect.sql.shelf import Hands


@pytest.fixture
def hands() -> Hands:
    return Hands()
