"""How every connection is, for people and programs: its file, what the runner says, and its gaps, as one document each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from madang.errors import Json, MadangError
from madang.plant import Bilingual
from madang.workspace._connections import Connection
from madang.workspace._gaps import gap_document
from madang.workspace._running import COUNTS, Trouble

if TYPE_CHECKING:
    from madang.workspace._workspace import Workspace

_NOBODY = Bilingual("지금은 아무도 연결을 돌리지 않아요.", "Nothing runs the connections just now.")
_PAUSED = Bilingual("사람이 멈춰 두었어요.", "Paused by a person.")


def connection_documents(workspace: Workspace) -> list[dict[str, Json]]:
    """Return every connection with its state, counts, ages and gaps counted."""
    good, bad = workspace.connections.all()
    fresh = workspace.runner.documents() if "runner" in workspace.__dict__ and workspace.runner.running else None
    runs = fresh is not None or bool(workspace.runner_state.head()["running"])
    documents = []
    for connection in good:
        said = (fresh or {}).get(connection.name) or workspace.runner_state.document(connection.name)
        documents.append(_document(workspace, connection, said, runs=runs))
    return documents + [_unreadable(name, error) for name, error in bad.items()]


def connection_document(workspace: Workspace, name: str, *, gaps: int = 200) -> dict[str, Json]:
    """Return one connection with its newest gaps.

    Raises:
        InputError: There is no such connection.
    """
    connection = workspace.connections.get(name)
    found = next(d for d in connection_documents(workspace) if d["name"] == connection.name)
    now = workspace.clock()
    newest = workspace.gaps.find(connection=connection.name)[:gaps]
    return {**found, "gaps": [gap_document(gap, now) for gap in newest]}


def _document(workspace: Workspace, connection: Connection, said: Mapping[str, Json], *, runs: bool) -> dict[str, Json]:
    now = workspace.clock()
    kinds = workspace.connections.kinds()
    title = kinds[connection.kind].title if connection.kind in kinds else Bilingual(connection.kind, connection.kind)
    state = str(said.get("state") or "stopped")
    text = Bilingual(str(said.get("text_ko") or ""), str(said.get("text_en") or ""))
    if connection.wanted == "paused":
        state, text = "paused", _PAUSED
    elif not runs:
        state, text = "stopped", _NOBODY
    good = said.get("last_good")
    age = (now - datetime.fromisoformat(good)).total_seconds() if isinstance(good, str) else None
    return {
        **connection.document(),
        **title.fields("title"),
        "state": state,
        **text.fields("text"),
        **{name: said.get(name) or 0 for name in COUNTS},
        "overflowed": sum(
            gap.samples or 0 for gap in workspace.gaps.of(connection.name) if gap.cause in ("spool_dropped", "spool_thinned")
        ),
        "last_good": good,
        "age_seconds": None if age is None else round(age, 3),
        "newest": said.get("newest") if runs else None,
        "rate": said.get("rate") if runs else None,
        "clock_skew_seconds": said.get("clock_skew_seconds"),
        "spool_bytes": said.get("spool_bytes") or 0,
        "hours_to_full": said.get("hours_to_full") if runs else None,
        "oldest_uncommitted": said.get("oldest_uncommitted"),
        "restarts": said.get("restarts") or 0,
        "error": said.get("error") if connection.wanted == "running" else None,
        **workspace.gaps.counts(connection.name),
    }


def _unreadable(name: str, error: MadangError) -> dict[str, Json]:
    trouble = Trouble.of(error)
    return {
        "name": name,
        "kind": "",
        **Bilingual("읽을 수 없는 파일", "unreadable file").fields("title"),
        "url": "",
        "dataset": name,
        "wanted": "paused",
        "state": "failed",
        **trouble.message.fields("text"),
        **dict.fromkeys(COUNTS, 0),
        "overflowed": 0,
        "last_good": None,
        "newest": None,
        "age_seconds": None,
        "rate": None,
        "clock_skew_seconds": None,
        "spool_bytes": 0,
        "hours_to_full": None,
        "oldest_uncommitted": None,
        "restarts": 0,
        "error": trouble.document(),
        "gaps_open": 0,
        "gaps_24h": 0,
    }
