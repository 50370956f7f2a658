"""Kinds of sources by name. Listing them loads no heavy library; making one loads its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Final, Protocol, cast

from madang.connect._source import ConnectionSettings, Source, SourceDescription
from madang.errors import InputError, MissingError

KINDS: Final = ("opcua", "mqtt", "sparkplug", "sql", "modbus", "http", "folder", "replay")
"""Kinds that come with the platform, in the order in which people are shown them."""
GROUP: Final = "madang.sources"


class SourceKind(Protocol):
    """What a package of a kind of source exports."""

    DESCRIPTION: SourceDescription

    def make(self, settings: ConnectionSettings) -> Source:
        """Return a source for one connection; the heavy library loads here."""


@cache
def _packages() -> Mapping[str, str]:
    own = {kind: f"madang.connect.{kind}" for kind in KINDS if find_spec(f"madang.connect.{kind}") is not None}
    return own | {e.name: e.value for e in entry_points(group=GROUP) if e.name not in own}


@cache
def _load(kind: str) -> SourceKind:
    module = import_module(_packages()[kind])
    if not hasattr(module, "make") or not hasattr(module, "DESCRIPTION"):
        raise ImportError(f"{_packages()[kind]} exports no make and DESCRIPTION")
    return cast(SourceKind, module)


def kinds() -> Mapping[str, SourceDescription]:
    """Return what each kind of source can do. A kind from outside that cannot be loaded is left out."""
    found = {}
    for kind in _packages():
        try:
            found[kind] = _load(kind).DESCRIPTION
        except ImportError:
            continue
    return found


def make_source(settings: ConnectionSettings) -> Source:
    """Return a source for one connection; nothing is sent to the peer yet.

    Raises:
        InputError: There is no such kind (``unknown_kind``), or a setting does not fit.
        MissingError: The kind needs an extra that is not installed; the next step is the line to type.
    """
    if settings.kind not in _packages():
        known = ", ".join(_packages())
        raise InputError(
            "unknown_kind",
            ko=f"'{settings.kind}' 종류의 연결은 없어요. 쓸 수 있는 것: {known}.",
            en=f"There is no kind of connection {settings.kind!r}; there are: {known}.",
            next_ko="`--kind`에 그 가운데 하나를 적어 주세요.",
            next_en="Give one of them to --kind.",
            where={"connection": settings.name},
        )
    try:
        package = _load(settings.kind)
    except ImportError as error:
        raise MissingError(
            "kind_not_loadable",
            ko=f"'{settings.kind}' 종류를 불러오지 못했어요 ({error}).",
            en=f"The kind {settings.kind!r} could not be loaded ({error}).",
            next_ko="그 종류를 제공하는 패키지를 다시 설치해 주세요.",
            next_en="Install the package that provides this kind again.",
            where={"connection": settings.name},
        ) from error
    return package.make(settings)
