"""OPC UA servers as sources, and as actuators for the gate.

`make` returns a source for one connection. Servers are trusted by a person, by thumbprint (`trust`); nothing is sent unencrypted
unless the settings say ``security=none``. Tags are node ids, every status code stays as the server gave it, and every interval that
was not got is a gap.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from madang.connect.opcua._description import DESCRIPTION
from madang.errors import MissingError

if TYPE_CHECKING:
    from madang.connect._source import ConnectionSettings
    from madang.connect.opcua._actuator import OpcuaActuator
    from madang.connect.opcua._certificates import ServerCertificate
    from madang.connect.opcua._source import OpcuaSource

__all__ = ["DESCRIPTION", "make", "make_actuator", "trust", "trusted"]


def make(settings: ConnectionSettings) -> OpcuaSource:
    """Return a source for one OPC UA server; nothing is sent yet.

    Raises:
        MissingError: asyncua is not installed.
        UsageError: The address or an option does not fit.
    """
    _need_asyncua()
    from madang.connect.opcua._source import OpcuaSource

    return OpcuaSource(settings)


def make_actuator(settings: ConnectionSettings) -> OpcuaActuator:
    """Return what writes set points of one OPC UA server; only the gate holds one.

    Raises:
        MissingError: asyncua is not installed.
        UsageError: The address or an option does not fit.
    """
    _need_asyncua()
    from madang.connect.opcua._actuator import OpcuaActuator

    return OpcuaActuator(settings)


def trust(settings: ConnectionSettings, thumbprint: str) -> ServerCertificate:
    """Trust a server's certificate that a test of the connection showed.

    Args:
        settings: The connection; its option ``certificates`` is the folder.
        thumbprint: SHA-256 or SHA-1, as the server's own screen shows it.

    Raises:
        UsageError: No certificate with this thumbprint was seen, or there is no folder.
    """
    from madang.connect.opcua._trusting import trust_by_thumbprint

    return trust_by_thumbprint(settings, thumbprint)


def trusted(settings: ConnectionSettings) -> tuple[ServerCertificate, ...]:
    """Return the certificates that are trusted for a connection."""
    from madang.connect.opcua._trusting import trusted_certificates

    return trusted_certificates(settings)


def _need_asyncua() -> None:
    if find_spec("asyncua") is None:
        raise MissingError(
            "extra_missing",
            ko="OPC UA 를 쓰려면 asyncua 가 있어야 해요.",
            en="OPC UA needs asyncua.",
            next_ko="pip install 'madang[opcua]'",
            next_en="pip install 'madang[opcua]'",
            where={"extra": "opcua"},
        )
