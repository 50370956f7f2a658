"""How payloads are to be read: what people may set, and what is guessed where they set nothing."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from madang.errors import UsageError
from madang.plant import Bilingual

QualityScale = Literal["auto", "ua", "da"]
SCALES: Final = ("auto", "ua", "da")

PAYLOAD_OPTIONS: Final[Mapping[str, Bilingual]] = {
    "time": Bilingual("시각이 든 필드의 경로 (예: `head.ts`). 비우면 이름을 보고 찾아요.", "path of the time field, such as `head.ts`; empty: guessed"),
    "time_format": Bilingual(
        "시각의 형식: auto, epoch_s, epoch_ms, epoch_us, epoch_ns, 또는 `%Y-%m-%d %H:%M:%S` 같은 틀 (기본 auto)",
        "how times are written: auto, epoch_s, epoch_ms, epoch_us, epoch_ns, or a pattern like `%Y-%m-%d %H:%M:%S` (default auto)",
    ),
    "value": Bilingual("값이 든 필드의 경로, 여러 개는 쉼표로. 비우면 전부.", "paths of the value fields, with commas; empty: all of them"),
    "quality": Bilingual("품질이 든 필드의 경로. 비우면 이름을 보고 찾아요.", "path of the quality field; empty: guessed"),
    "quality_scale": Bilingual(
        "품질 숫자의 뜻: ua (OPC UA, 0 = 좋음), da (OPC DA, 192 = 좋음), auto (기본; 뜻을 모르는 0은 불확실로)",
        "what quality numbers mean: ua (OPC UA, 0 = good), da (OPC DA, 192 = good), auto (default; a 0 of unknown scale is uncertain)",
    ),
    "name": Bilingual("태그 이름이 든 필드 (배열에 여러 태그가 섞여 올 때)", "field with the tag's name, where an array mixes tags"),
    "sequence": Bilingual(
        "보내는 쪽이 1씩 올리는 번호의 필드 경로. 정하면 건너뛴 번호를 빈 구간으로 적어요.",
        "path of a number that the sender counts up by one; when set, skipped numbers are noted as gaps",
    ),
    "encoding": Bilingual("글자 인코딩 (기본 utf-8, 예: cp949)", "text encoding (default utf-8; for example cp949)"),
    "earliest": Bilingual("이보다 이른 시각은 받지 않아요 (기본 2000-01-01T00:00:00Z)", "earlier times are refused (default 2000-01-01T00:00:00Z)"),
    "ahead": Bilingual("받은 때보다 이만큼 넘게 앞선 시각은 받지 않아요 [초] (기본 86400)", "times further ahead of the receive time are refused [s] (default 86400)"),
    "max_payload": Bilingual("이보다 큰 메시지는 격리해요 [바이트] (기본 4194304)", "larger messages are quarantined [bytes] (default 4194304)"),
    "max_text": Bilingual("이보다 긴 글자 값은 격리해요 [글자] (기본 65536)", "longer texts are quarantined [letters] (default 65536)"),
    "max_values": Bilingual("메시지 하나에 담을 수 있는 값의 수 (기본 5000)", "values that one message may hold (default 5000)"),
    "max_tags": Bilingual("이 연결이 만들 수 있는 태그의 수 (기본 50000)", "tags that this connection may make (default 50000)"),
}  # fmt: skip
"""Options of the decoder, each with its meaning and default."""


@dataclass(frozen=True)
class PayloadRules:
    """How to read payloads of one connection."""

    time: str | None = None
    """Path of the time field, parts joined by dots; None = guessed."""
    time_format: str = "auto"
    value: tuple[str, ...] = ()
    """Paths of the value fields; empty = all."""
    quality: str | None = None
    quality_scale: QualityScale = "auto"
    name: str | None = None
    sequence: str | None = None
    encoding: str = "utf-8"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Asia/Seoul"))
    """Zone of times that do not say theirs."""
    earliest: int = 946_684_800_000_000
    """Earlier times are refused [us since 1970]; by default the year 2000, since a clock without a battery starts in 1970."""
    ahead: int = 86_400_000_000
    """How far a time may lie ahead of the receive time [us]."""
    max_payload: int = 4 << 20
    """[bytes]"""
    max_text: int = 1 << 16
    """[letters]"""
    max_values: int = 5_000
    max_depth: int = 24
    max_tags: int = 50_000


def rules_of(options: Mapping[str, str], zone: str) -> PayloadRules:
    """Turn the options of a connection into rules.

    Raises:
        UsageError: An option has a value that is not allowed; the error names the option and what is.
    """
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise _wrong("zone", "Asia/Seoul, Europe/Berlin, UTC, ...") from None
    encoding = options.get("encoding", "") or "utf-8"
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise _wrong("encoding", "utf-8, cp949, utf-16, ...") from None
    scale = options.get("quality_scale", "") or "auto"
    if scale not in SCALES:
        raise _wrong("quality_scale", ", ".join(SCALES))
    base = PayloadRules()
    return PayloadRules(
        time=options.get("time") or None,
        time_format=_time_format(options.get("time_format", "") or "auto"),
        value=tuple(part.strip() for part in options.get("value", "").split(",") if part.strip()),
        quality=options.get("quality") or None,
        quality_scale=cast(QualityScale, scale),
        name=options.get("name") or None,
        sequence=options.get("sequence") or None,
        encoding=encoding,
        zone=place,
        earliest=_instant(options["earliest"]) if options.get("earliest") else base.earliest,
        ahead=count_of(options, "ahead", 86_400) * 1_000_000,
        max_payload=count_of(options, "max_payload", base.max_payload),
        max_text=count_of(options, "max_text", base.max_text),
        max_values=count_of(options, "max_values", base.max_values),
        max_tags=count_of(options, "max_tags", base.max_tags),
    )


def count_of(options: Mapping[str, str], name: str, default: int, *, low: int = 0, high: int = 1 << 53) -> int:
    """Read a whole number among the options.

    Raises:
        UsageError: It is no whole number, or out of its bounds.
    """
    text = options.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        raise _wrong(name, f"{low} ... {high}")
    return int(text)


def _time_format(text: str) -> str:
    if text in {"auto", "iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"} or "%" in text:
        return "auto" if text == "iso" else text
    raise _wrong("time_format", "auto, epoch_s, epoch_ms, epoch_us, epoch_ns, %Y-%m-%d %H:%M:%S")


def _instant(text: str) -> int:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong("earliest", "2000-01-01T00:00:00Z") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return round(instant.timestamp()) * 1_000_000


def _wrong(name: str, allowed: str) -> UsageError:
    return UsageError(
        "wrong_option",
        ko=f"옵션 {name}의 값을 쓸 수 없어요. 쓸 수 있는 값: {allowed}",
        en=f"The value of option {name} cannot be used. Allowed: {allowed}",
        next_ko=f"`--set {name}=...` 을 고쳐 주세요.",
        next_en=f"Correct `--set {name}=...`.",
        where={"option": name},
    )
