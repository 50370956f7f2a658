"""Instants as text: ISO 8601 in UTC with ``Z``."""

from __future__ import annotations

from datetime import datetime


def iso(moment: datetime | None) -> str | None:
    """Return an aware UTC instant as text; None stays None."""
    if moment is None:
        return None
    text = moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def moment(text: str | None) -> datetime | None:
    """Return the instant of `iso`'s text."""
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))
