"""What the MQTT source can do; read before anything heavy is loaded."""

from __future__ import annotations

from typing import Final

from madang.connect._source import SourceDescription
from madang.connect.mqtt._options import EXAMPLE, OPTIONS, SCHEMES, SECRETS
from madang.plant import Bilingual

DESCRIPTION: Final = SourceDescription(
    kind="mqtt",
    title=Bilingual("MQTT 5 (JSON, 통합 네임스페이스)", "MQTT 5 (JSON, unified namespace)"),
    capabilities=frozenset({"browse", "read", "subscribe", "acknowledge", "source_time", "quality", "units", "messages"}),
    options=OPTIONS,
    secrets=SECRETS,
    extra="mqtt",
    schemes=SCHEMES,
    url_example=EXAMPLE,
)
