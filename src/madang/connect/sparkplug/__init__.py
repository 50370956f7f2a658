"""Sparkplug B: a host application for the edge nodes of a plant.

It shows its own state, follows births and deaths, translates aliases, keeps messages in order, asks for births where it does not
know what it hears, and marks values as no longer known when their node dies. Importing this package loads nothing heavy; `make` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from madang.connect.sparkplug._settings import DESCRIPTION
from madang.errors import MissingError

if TYPE_CHECKING:
    from madang.connect._source import ConnectionSettings, Source


def make(settings: ConnectionSettings) -> Source:
    """Make the source of one connection.

    Raises:
        UsageError: A setting is wrong.
        MissingError: paho-mqtt or protobuf is not installed.
    """
    try:
        from madang.connect.sparkplug._source import SparkplugSource
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"paho", "google"}:
            raise
        raise MissingError(
            "missing_extra",
            ko="Sparkplug에 필요한 꾸러미가 없어요.",
            en="The packages for Sparkplug are not installed.",
            next_ko="pip install 'madang[mqtt]'",
            next_en="pip install 'madang[mqtt]'",
        ) from None
    return SparkplugSource(settings)


__all__ = ["DESCRIPTION", "make"]
