"""What an OPC UA source can do; loading this loads no heavy library."""

from __future__ import annotations

from typing import Final

from madang.connect._source import SourceDescription
from madang.connect.opcua._options import OPTIONS, SECRETS
from madang.plant import Bilingual

DESCRIPTION: Final = SourceDescription(
    kind="opcua",
    title=Bilingual("OPC UA 서버", "OPC UA server"),
    capabilities=frozenset(
        {"browse", "read", "subscribe", "backfill", "source_time", "server_time", "quality", "units", "write"}
    ),
    options=OPTIONS,
    secrets=SECRETS,
    extra="opcua",
    schemes=("opc.tcp",),
    url_example="opc.tcp://192.168.0.10:4840",
)
