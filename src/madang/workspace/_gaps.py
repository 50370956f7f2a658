"""Gaps of all connections: read by any process, filled by the one that runs them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from madang.connect import Collector, Gap, Ledger, Source
from madang.errors import InputError, Json
from madang.plant import Bilingual, Interval
from madang.workspace._connections import Connection, Connections

if TYPE_CHECKING:
    from madang.library import Library

_DAY = timedelta(days=1)
_CAUSES = {
    "disconnected": Bilingual("연결이 끊겼어요", "the connection was lost"),
    "source_restarted": Bilingual("상대가 다시 시작했어요", "the source restarted"),
    "server_overflow": Bilingual("서버의 대기열이 넘쳤어요", "the server's queue overflowed"),
    "broker_overflow": Bilingual("브로커의 대기열이 넘쳤어요", "the broker's queue overflowed"),
    "sequence_jump": Bilingual("번호가 건너뛰었어요", "the sequence jumped"),
    "spool_dropped": Bilingual("스풀이 가득 차서 오래된 것을 버렸어요", "the spool was full and the oldest was dropped"),
    "spool_thinned": Bilingual("스풀이 가득 차서 솎아냈어요", "the spool was full and was thinned"),
    "spool_damaged": Bilingual("스풀 파일이 망가졌어요", "a file of the spool was damaged"),
    "disk_full": Bilingual("디스크가 가득 찼어요", "the disk was full"),
    "collector_stopped": Bilingual("수집을 멈춰 두었어요", "the collector did not run"),
    "paused": Bilingual("사람이 멈춰 두었어요", "paused by a person"),
    "clock_jump": Bilingual("시계가 크게 바뀌었어요", "the clock jumped"),
    "out_of_range": Bilingual("시각이나 값이 범위를 벗어났어요", "times or values were out of range"),
    "bad_tag": Bilingual("그런 태그가 없어요", "there is no such tag"),
}
_NEXT = {
    "no": Bilingual("상대가 이력을 갖고 있으면 채우기를 눌러 보세요.", "Fill it, if the source keeps a history."),
    "part": Bilingual("다시 채워 보세요.", "Try to fill the rest."),
    "yes": Bilingual("다 채웠어요.", "It is filled."),
    "impossible": Bilingual("상대가 이력을 갖고 있지 않아요.", "The source keeps no history."),
}


def cause_text(cause: str) -> Bilingual:
    """Return a cause in plain words."""
    return _CAUSES.get(cause, Bilingual(f"까닭: {cause}", cause))


def gap_document(gap: Gap, now: datetime) -> dict[str, Json]:
    """Return a gap for a report.

    Args:
        gap: The gap.
        now: Now; the length of an open gap is counted up to it.
    """
    until = gap.until or now
    note = Bilingual("아직 열려 있어요. 다시 이어지면 닫혀요.", "Still open; it closes when samples come again.")
    return {
        "id": gap.id,
        "connection": gap.connection,
        "from": _iso(gap.since),
        "to": _iso(gap.until),
        "seconds": round(max(0.0, (until - gap.since).total_seconds()), 3),
        "open": gap.until is None,
        "cause": gap.cause,
        **cause_text(gap.cause).fields("cause"),
        "points": None if gap.tags is None else [*gap.tags],
        "samples": gap.samples,
        "backfilled": gap.backfilled,
        "filled": gap.filled,
        "note": gap.note,
        **(note if gap.until is None else _NEXT.get(gap.backfilled, _NEXT["no"])).fields("next"),
    }


class Gaps:
    """The gap ledgers of a workspace.

    Args:
        connections: Whose gaps.
        clock: Gives aware times.
    """

    def __init__(self, connections: Connections, clock: Callable[[], datetime]) -> None:
        self._connections = connections
        self._clock = clock
        self._read: dict[str, tuple[tuple[int, int], list[Gap]]] = {}

    def of(self, name: str) -> list[Gap]:
        """Return the gaps of one connection, oldest first; a ledger that has not grown is not read again."""
        path = self._connections.spool(name) / "gaps.jsonl"
        try:
            found = path.stat()
        except OSError:
            return []
        stamp = (found.st_mtime_ns, found.st_size)
        known = self._read.get(name)
        if known is None or known[0] != stamp:
            known = self._read[name] = (stamp, Ledger.read(path, name))
        return known[1]

    def find(
        self,
        *,
        connection: str | None = None,
        cause: str | None = None,
        open_only: bool = False,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[Gap]:
        """Return gaps, newest first.

        Args:
            connection: Of one connection; of all when None.
            cause: Of one cause only.
            open_only: Only those that go on.
            start: Only those that reach beyond it.
            end: Only those that begin before it.
        """
        names = [connection] if connection is not None else self._connections.names()
        found = [
            gap
            for name in names
            for gap in self.of(name)
            if (cause is None or gap.cause == cause)
            and (not open_only or gap.until is None)
            and (start is None or gap.until is None or gap.until > start)
            and (end is None or gap.since < end)
        ]
        return sorted(found, key=lambda gap: (gap.since, gap.id), reverse=True)

    def counts(self, name: str) -> dict[str, Json]:
        """Return how many gaps of a connection are open, and how many there were in the last day."""
        gaps = self.of(name)
        since = self._clock() - _DAY
        return {
            "gaps_open": sum(gap.until is None for gap in gaps),
            "gaps_24h": sum(gap.until is None or gap.until > since for gap in gaps),
        }


def fill_gap(source: Source, collector: Collector, ledger: Ledger, gap_id: str) -> int:
    """Fetch what a gap lacks; returns how many samples came.

    Raises:
        InputError: There is no such gap, it goes on, or its peer keeps no history.
    """
    try:
        gap = ledger.get(gap_id)
    except KeyError:
        raise no_gap(gap_id) from None
    if gap.until is None:
        raise _still_open(gap_id)
    if "backfill" not in source.description.capabilities:
        collector.gap_filled(gap_id, 0, whole=None)
        raise _no_history(gap_id)
    came = source.backfill(gap.tags or (), Interval(gap.since, gap.until), collector)
    collector.gap_filled(gap_id, came, whole=getattr(came, "whole", True))
    return came


def committed_samples(library: Library, connection: Connection) -> int:
    """Return how many samples of a connection the lake holds; 0 when that cannot be told."""
    try:
        points = library.points(connection.dataset or connection.name)
    except Exception:  # nothing of it has been committed
        return 0
    return sum(int(point.samples or 0) for point in points if point.connection == connection.name)


def no_gap(gap_id: str) -> InputError:
    """The error for a gap that is not there."""
    return InputError(
        "no_gap",
        ko="그런 빈 구간이 없어요.",
        en="There is no such gap.",
        next_ko="madang connect gaps 로 번호를 확인하세요.",
        next_en="See the ids with madang connect gaps.",
        where={"gap": gap_id[:80]},
    )


def _still_open(gap_id: str) -> InputError:
    return InputError(
        "gap_open",
        ko="이 빈 구간은 아직 이어지고 있어서 채울 수 없어요.",
        en="This gap goes on, so it cannot be filled yet.",
        next_ko="연결이 다시 이어진 뒤에 하세요.",
        next_en="Do it once the connection is back.",
        where={"gap": gap_id},
        retry=True,
    )


def _no_history(gap_id: str) -> InputError:
    return InputError(
        "no_history",
        ko="이 연결의 상대는 지난 값을 갖고 있지 않아서 채울 수 없어요.",
        en="The source of this connection keeps no history, so the gap cannot be filled.",
        next_ko="같은 값을 가진 파일이 있으면 madang intake 로 넣을 수 있어요.",
        next_en="If a file holds the same values, bring it in with madang intake.",
        where={"gap": gap_id},
    )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
