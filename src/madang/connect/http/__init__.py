"""Programs that push their readings over HTTP: JSON, lines of JSON, or Arrow streams, each batch durable before it is answered.

There is nothing to reach: the connection waits, and ``POST /api/v1/push/NAME`` hands over what came. `Payload.read` turns a body into samples
and says of each one that cannot be taken where it stands and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from madang.connect._source import ConnectionSettings, Source, SourceDescription
from madang.plant import Bilingual

if TYPE_CHECKING:
    from madang.connect.http._payload import Payload, Problem

__all__ = ["DESCRIPTION", "Payload", "Problem", "make"]

DESCRIPTION = SourceDescription(
    kind="http",
    title=Bilingual("HTTP로 보내 주는 프로그램", "Programs that push over HTTP"),
    capabilities=frozenset({"subscribe", "acknowledge", "source_time", "quality", "units"}),
    options={
        "time_unit": Bilingual(
            "숫자로 온 시각의 단위: s, ms, us, ns. 기본 ms.", "Unit of times sent as numbers: s, ms, us or ns; ms."
        ),
        "missing_time": Bilingual(
            "시각이 없는 값: refuse(거절) 또는 received(받은 시각을 써요). 기본 refuse.",
            "Samples without a time: refuse, or received (the time of arrival is taken); refuse.",
        ),
        "rest": Bilingual(
            "한 묶음에 틀린 값이 있을 때: refuse(묶음 전체를 거절) 또는 keep(나머지는 받고 틀린 값은 격리). 기본 refuse.",
            "When a batch holds wrong samples: refuse the whole batch, or keep the rest and set the wrong ones aside; refuse.",
        ),
    },
    extra=None,
)


def make(settings: ConnectionSettings) -> Source:
    """Return the source that waits for pushes.

    Raises:
        InputError: An option is not one of the allowed words.
    """
    from madang.connect.http._source import HttpSource

    return HttpSource(settings)


def __getattr__(name: str) -> object:
    # Reading a body needs Arrow; listing the kinds of connections does not.
    if name in ("Payload", "Problem"):
        from madang.connect.http import _payload

        return getattr(_payload, name)
    raise AttributeError(name)
