"""The options of a database connection, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from madang.connect._source import ConnectionSettings
from madang.errors import UsageError

Late = Literal["auto", "xmin", "overlap"]


@dataclass(frozen=True)
class Readings:
    """Columns of a long table of readings."""

    time: str
    tag: str
    value: str
    quality: str | None = None


@dataclass(frozen=True)
class SqlOptions:
    """How a database is followed; each is described in the `DESCRIPTION` of the package."""

    every: float = 10.0
    reconcile: float = 300.0
    compare: float = 3600.0
    cursors: Mapping[str, str] = field(default_factory=dict)
    overlap: float = 900.0
    overlap_ids: int = 10_000
    late: Late = "auto"
    remember: int = 2_000_000
    page: int = 4096
    timeout: float = 60.0
    blobs: str = "fingerprint"
    samples: Mapping[str, Readings] = field(default_factory=dict)
    schemas: tuple[str, ...] = ()
    afresh: str = ""


def read_options(settings: ConnectionSettings) -> SqlOptions:
    """Return the options of a connection.

    Raises:
        UsageError: One of them cannot be understood; the error names it and what is allowed.
    """
    given = settings.options
    late = given.get("late", "auto")
    if late not in ("auto", "xmin", "overlap"):
        raise _bad(settings, "late", "auto, xmin, overlap")
    blobs = given.get("blobs", "fingerprint")
    if blobs not in ("fingerprint", "keep"):
        raise _bad(settings, "blobs", "fingerprint, keep")
    return SqlOptions(
        every=_number(settings, "every", 10.0, 0.01),
        reconcile=_number(settings, "reconcile", 300.0, 0.01),
        compare=_number(settings, "compare", 3600.0, 0.01),
        cursors=_pairs(settings, "cursor"),
        overlap=_number(settings, "overlap", 900.0, 0.0),
        overlap_ids=int(_number(settings, "overlap_ids", 10_000, 0.0)),
        late=late,  # type: ignore[arg-type]
        remember=int(_number(settings, "remember", 2_000_000, 0.0)),
        page=int(_number(settings, "page", 4096, 1.0)),
        timeout=_number(settings, "timeout", 60.0, 0.1),
        blobs=blobs,
        samples={table: _readings(settings, text) for table, text in _pairs(settings, "samples", ":").items()},
        afresh=given.get("afresh", ""),
        schemas=tuple(part.strip() for part in given.get("schemas", "").split(",") if part.strip()),
    )


def _number(settings: ConnectionSettings, name: str, usual: float, least: float) -> float:
    text = settings.options.get(name)
    if text is None:
        return usual
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value < 1e12:
        raise _bad(settings, name, f">= {least:g}")
    return value


def _pairs(settings: ConnectionSettings, name: str, sign: str = "=") -> dict[str, str]:
    out = {}
    for part in settings.options.get(name, "").split(";"):
        if part.strip():
            table, found, rest = part.partition(sign)
            if not found or not table.strip() or not rest.strip():
                raise _bad(settings, name, f"TABLE{sign}...")
            out[table.strip()] = rest.strip()
    return out


def _readings(settings: ConnectionSettings, text: str) -> Readings:
    names = [part.strip() for part in text.split(",")]
    if not 3 <= len(names) <= 4 or not all(names):
        raise _bad(settings, "samples", "TABLE:TIME,TAG,VALUE[,QUALITY]")
    return Readings(*names)


def _bad(settings: ConnectionSettings, name: str, allowed: str) -> UsageError:
    return UsageError(
        "bad_option",
        ko=f"연결 '{settings.name}' 의 옵션 '{name}' 을 이해할 수 없어요. 쓸 수 있는 값: {allowed}",
        en=f"The option '{name}' of the connection '{settings.name}' cannot be understood. Allowed: {allowed}",
        next_ko=f"--set {name}=... 로 다시 적어 주세요.",
        next_en=f"Write it again with --set {name}=...",
        where={"connection": settings.name, "option": name},
    )
