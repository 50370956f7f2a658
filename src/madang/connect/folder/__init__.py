"""A watched folder: files that are whole are handed to the intake, each content once; half-written ones are left alone.

The folder is looked through again and again instead of being listened to, because shares of other computers tell nobody of changes.
Nothing in it is moved, renamed, written or deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from madang.connect._source import ConnectionSettings, SourceDescription
from madang.plant import Bilingual

if TYPE_CHECKING:
    from madang.connect.folder._source import FolderSource

DESCRIPTION = SourceDescription(
    kind="folder",
    title=Bilingual("폴더", "Folder"),
    capabilities=frozenset({"browse"}),
    options={
        "every": Bilingual("폴더를 살피는 간격(초). 기본 5.", "Seconds between looks into the folder; 5."),
        "settle": Bilingual(
            "크기와 수정 시각이 이만큼(초) 그대로면 다 쓴 파일로 봐요. 기본 10.",
            "Seconds for which size and time must stand still before a file counts as whole; 10.",
        ),
        "marker": Bilingual(
            "다 썼다는 표시 파일의 꼬리. 예: .done 이면 '이름.done' 이 있어야 읽어요. 기본은 없음.",
            "Ending of the file that says another is whole, such as .done for NAME.done; none.",
        ),
        "include": Bilingual(
            "읽을 파일. '*.csv,*.xlsx' 처럼 쉼표로. 기본은 모두.", "Files to take, such as '*.csv,*.xlsx'; all."
        ),
        "exclude": Bilingual("읽지 않을 파일. 쉼표로 나눠요.", "Files to leave alone, parted by commas."),
        "deep": Bilingual(
            "아래 폴더도 볼지. yes 또는 no. 기본 yes.", "Whether folders inside are looked into: yes or no; yes."
        ),
    },
    schemes=(),
    url_example="/mnt/lab/exports",
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def make(settings: ConnectionSettings, *, clock: Callable[[], datetime] = _utc_now) -> FolderSource:
    """Return the source for one folder.

    Raises:
        UsageError: An option cannot be understood, or the address names no folder.
    """
    from madang.connect.folder._source import FolderSource

    return FolderSource(settings, clock)


__all__ = ["DESCRIPTION", "make"]
