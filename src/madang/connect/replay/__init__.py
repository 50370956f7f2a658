"""Replays a recording as if its plant were there: the pretend source, for trials and tests.

    madang connect add rehearsal --kind replay --url recording.parquet --set speed=10

The recording is a Parquet or CSV file with columns ``time``, ``tag``, ``value`` and, if it likes, ``quality``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from madang.connect._source import ConnectionSettings, SourceDescription
from madang.plant import Bilingual

if TYPE_CHECKING:
    from madang.connect.replay._source import ReplaySource

DESCRIPTION: Final = SourceDescription(
    kind="replay",
    title=Bilingual("기록 재생", "Recording"),
    capabilities=frozenset({"browse", "read", "subscribe", "backfill", "source_time", "quality"}),
    options={
        "speed": Bilingual(
            "재생 속도. 1은 실제 속도, 10은 열 배, 0은 되도록 빨리 (기본 1)",
            "How fast: 1 as it was, 10 ten times, 0 as fast as can be (default 1)",
        ),
        "times": Bilingual(
            "now: 첫 값이 지금 나온 것처럼 시각을 옮겨요. kept: 기록된 시각 그대로 써요 (기본 now)",
            "now: times are moved so that the first value comes now; kept: times stay as recorded (default now)",
        ),
    },
)


def make(settings: ConnectionSettings) -> ReplaySource:
    """Return the source for a recording; `settings.url` is its path, or ``file:`` and its path.

    Raises:
        InputError: An option does not fit.
    """
    from madang.connect.replay._source import ReplaySource

    return ReplaySource.from_settings(settings)


__all__ = ["DESCRIPTION", "make"]
