"""Which assertions of the Sparkplug test kit the tests are about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., None])
COVERED: dict[str, list[str]] = {}
"""Names of tests by the id of the assertion, without ``tck-id-``."""


def covers(*ids: str) -> Callable[[Test], Test]:
    """Say which assertions a test shows."""

    def note(test: Test) -> Test:
        for one in ids:
            COVERED.setdefault(one, []).append(test.__name__)
        return test

    return note
