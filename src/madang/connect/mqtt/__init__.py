"""MQTT 5: topics of a broker, with JSON of nearly any shape (unified namespace) as payload.

Messages go to the spool as they came and are acknowledged to the broker only when they are durable; a `PayloadDecoder` turns
them into samples later, so that a wrong rule can be corrected and applied to what is still there. Importing this package loads
nothing heavy; `make` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from madang.connect.mqtt._description import DESCRIPTION
from madang.errors import MissingError

if TYPE_CHECKING:
    from madang.connect._source import ConnectionSettings, Source
    from madang.connect.mqtt._describe import PayloadDescription


def make(settings: ConnectionSettings) -> Source:
    """Make the source of one connection.

    Raises:
        UsageError: A setting is wrong.
        MissingError: paho-mqtt is not installed.
    """
    try:
        from madang.connect.mqtt._source import MqttSource
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "paho":
            raise
        raise MissingError(
            "missing_extra",
            ko="MQTT에 필요한 꾸러미가 없어요.",
            en="The packages for MQTT are not installed.",
            next_ko="pip install 'madang[mqtt]'",
            next_en="pip install 'madang[mqtt]'",
        ) from None
    return MqttSource(settings)


def describe_payload(
    payload: bytes, *, topic: str = "line/sample", zone: str = "Asia/Seoul", options: Mapping[str, str] | None = None
) -> PayloadDescription:
    """Say what a pasted message would be taken for: shape, samples, options that would settle it, and what to confirm.

    Args:
        payload: The message as it is sent.
        topic: Topic under which it comes.
        zone: Zone of times that do not say theirs.
        options: Options of the connection so far.

    Raises:
        UsageError: An option is wrong.
    """
    from madang.connect.mqtt._describe import describe_payload as described

    return described(payload, topic=topic, zone=zone, options=options)


__all__ = ["DESCRIPTION", "describe_payload", "make"]
