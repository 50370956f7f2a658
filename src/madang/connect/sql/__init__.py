"""Tables and views of a database (PostgreSQL, MariaDB, MySQL, SQLite; SQL Server and Oracle by driver) as records or samples.

The peer is only read: read-only transactions, a time-out on every statement, short pages, no lock that anybody waits for. Late commits,
updates in place and deletes are found without triggers and without a column added to the peer; how is said in
`docs/explanations/how-is-a-database-followed.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from madang.connect._source import ConnectionSettings, Source, SourceDescription
from madang.plant import Bilingual

DESCRIPTION = SourceDescription(
    kind="sql",
    title=Bilingual("데이터베이스 (SQL)", "Database (SQL)"),
    capabilities=frozenset({"browse", "read", "subscribe", "rows", "source_time", "quality"}),
    options={
        "user": Bilingual("로그인 이름. 주소에 적어도 돼요.", "Log-in name; it may also stand in the address."),
        "every": Bilingual("새 행을 찾는 간격(초). 기본 10.", "Seconds between looks for new rows; 10."),
        "reconcile": Bilingual("지운 행을 찾는 간격(초). 기본 300.", "Seconds between searches for deleted rows; 300."),
        "compare": Bilingual(
            "표 전체를 다시 견주어 제자리 수정을 찾는 간격(초). 기본 3600.",
            "Seconds between whole comparisons, which find updates in place; 3600.",
        ),
        "cursor": Bilingual(
            "앞으로만 가는 열. '표=열;표=열'. 기본은 스스로 찾아요.",
            "Columns that only grow, 'TABLE=COLUMN;TABLE=COLUMN'; found by itself where it is plain.",
        ),
        "overlap": Bilingual(
            "늦게 확정되는 행을 위해 되돌아보는 시간(초). 기본 900.",
            "Seconds looked back for rows that are committed late; 900.",
        ),
        "overlap_ids": Bilingual("번호 열에서 되돌아보는 개수. 기본 10000.", "The same for columns of numbers; 10000."),
        "late": Bilingual(
            "늦은 확정을 찾는 법. auto, xmin(PostgreSQL), overlap. 기본 auto.",
            "How late commits are found: auto, xmin (PostgreSQL) or overlap; auto.",
        ),
        "remember": Bilingual(
            "이 행 수까지는 행을 기억해서 수정과 삭제를 찾아요. 기본 2000000.",
            "Up to so many rows of a table are remembered to find updates and deletes; 2000000.",
        ),
        "page": Bilingual("한 번에 읽는 행 수. 기본 4096.", "Rows read at a time; 4096."),
        "timeout": Bilingual("한 질의의 시간 제한(초). 기본 60.", "Time-out of one statement in seconds; 60."),
        "blobs": Bilingual(
            "이진 열. fingerprint(지문만) 또는 keep(1 MB까지 그대로). 기본 fingerprint.",
            "Binary columns: fingerprint, or keep (values up to 1 MB); fingerprint.",
        ),
        "samples": Bilingual(
            "긴 측정 표. '표:시각,태그,값[,품질]'. 행 대신 측정값으로 읽어요.",
            "Long tables of readings, 'TABLE:TIME,TAG,VALUE[,QUALITY]', read as samples instead of records.",
        ),
        "afresh": Bilingual(
            "전과 다른 말을 적으면 모든 행을 한 번 더 보내요. 임시 저장소를 잃었을 때 써요.",
            "Any word other than before: every record is handed over once more, such as after a spool was lost.",
        ),
        "schemas": Bilingual(
            "볼 스키마. 쉼표로 나눠요.", "Schemas to look at, parted by commas; all that are not the system's."
        ),
    },
    secrets=frozenset({"password"}),
    extra="sql",
    schemes=("postgresql", "mariadb", "mysql", "sqlite", "mssql", "oracle"),
    url_example="postgresql://reader@mes.example:5432/mes",
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def make(settings: ConnectionSettings, *, clock: Callable[[], datetime] = _utc_now) -> Source:
    """Return the source for one database.

    Raises:
        MissingError: The driver of this kind of database is not installed.
        UsageError: An option or the address cannot be understood.
    """
    from madang.connect.sql._source import SqlSource

    return SqlSource(settings, clock)


__all__ = ["DESCRIPTION", "make"]
