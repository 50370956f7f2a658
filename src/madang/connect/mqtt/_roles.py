"""What the name of a field usually means, in English and Korean."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

Role = Literal["", "time", "time?", "server_time", "value", "value?", "quality", "unit", "name", "name?", "sequence"]
"""Meaning of a field; one with a question mark counts only where what stands in it, or beside it, agrees."""

_TIMES: Final = (
    "sourcetimestamp", "sourcetime", "measuredat", "measurementtime", "measuretime", "sampletime", "sampledat", "acquisitiontime",
    "recordedat", "eventtime", "eventtimestamp", "timestamp", "timestamps", "timestampms", "timestampus", "timestampns", "ts", "tsms", "tsus",
    "tsns", "datetime", "isotimestamp", "isotime", "utctime", "timeutc", "timestamputc", "unixtime", "epoch", "epochms", "epochtime", "timems",
    "측정시각", "측정일시", "측정시간", "수집시각", "수집일시", "수집시간", "발생시각", "발생일시", "발생시간", "기록시각", "기록일시", "생성시각",
    "생성일시", "시각", "일시", "타임스탬프",
)  # fmt: skip
# In this order: a source's own time goes before one that says only "time".
TIME_ORDER: Final = {word: rank for rank, word in enumerate(_TIMES)}

_ROLES: Final[dict[str, Role]] = {
    **dict.fromkeys(_TIMES, "time"),
    **dict.fromkeys(("time", "t", "date", "dt", "시간", "날짜", "at"), "time?"),
    **dict.fromkeys(("servertimestamp", "servertime", "receivedat", "gatewaytime"), "server_time"),
    **dict.fromkeys(("value", "val", "reading", "값", "측정값", "측정치", "현재값", "presentvalue"), "value"),
    **dict.fromkeys(("v", "vs", "vb", "y"), "value?"),
    **dict.fromkeys(("quality", "q", "qualitycode", "statuscode", "opcquality", "valuequality", "품질", "품질코드", "status"), "quality"),
    **dict.fromkeys(("unit", "units", "uom", "u", "engunit", "engineeringunit", "단위"), "unit"),
    **dict.fromkeys(("name", "tag", "tagname", "n", "metric", "pointname", "signal", "태그", "태그명", "항목", "항목명"), "name"),
    **dict.fromkeys(("id", "key", "point", "sensor", "variable", "address"), "name?"),
    **dict.fromkeys(("seq", "sequence", "sequencenumber", "seqno", "msgid", "messageid", "counter", "순번", "일련번호"), "sequence"),
}  # fmt: skip

CONTAINERS: Final = frozenset(
    {
        "values",
        "metrics",
        "data",
        "tags",
        "samples",
        "readings",
        "measurements",
        "points",
        "records",
        "items",
        "e",
        "값",
        "데이터",
    }
)
"""Names of lists that hold samples and say nothing about them."""


@lru_cache(maxsize=8192)
def plain(key: str) -> str:
    """Return a key without case, blanks and joints.

    >>> plain("Source-Timestamp"), plain("측정 시각")
    ('sourcetimestamp', '측정시각')
    """
    return "".join(letter for letter in key.casefold() if letter.isalnum())


@lru_cache(maxsize=8192)
def role_of(key: str) -> Role:
    """Return what a key usually means.

    >>> role_of("timestamp_ms"), role_of("측정값"), role_of("t"), role_of("temperature")
    ('time', 'value', 'time?', '')
    """
    return _ROLES.get(plain(key), "")
