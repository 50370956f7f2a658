"""Which route asks for which role at least. A route that is not here is the steward's alone, and a test says that it is missing."""

from __future__ import annotations

from typing import Final, Literal

Least = Literal["anyone", "partner", "viewer", "operator", "engineer", "steward"]
"""``anyone`` needs no log-in; ``partner`` needs one, whatever the role."""
_LADDER: Final = ("viewer", "operator", "engineer", "steward")

_ANYONE: Final = """
GET /health, GET /log-in, POST /log-in, GET /log-in/oidc, GET /log-in/oidc/back, GET /api/v1/me, POST /api/v1/log-in, GET /api/v1/openapi.json
"""
_PARTNER: Final = "POST /log-out, POST /api/v1/log-out"
_VIEWER: Final = """
GET /, GET /studies, GET /studies/kept/{name}, GET /studies/kept/{name}/report.html, GET /studies/{study}, GET /studies/{study}/progress,
GET /studies/{study}/report, GET /studies/{study}/report.html, GET /library, GET /library/{name}, GET /mapping, GET /quality,
GET /connections, GET /connections/rows, GET /connections/{name}, GET /connections/{name}/now, GET /trends, GET /gaps,
GET /api/v1/datasets, GET /api/v1/datasets/{name}, GET /api/v1/datasets/{name}/trend, GET /api/v1/quarantine, GET /api/v1/mappings,
GET /api/v1/studies, GET /api/v1/studies/{study}, GET /api/v1/studies/{study}/intake, GET /api/v1/studies/{study}/report,
GET /api/v1/kinds, GET /api/v1/connections, GET /api/v1/connections/{name}, GET /api/v1/signals, GET /api/v1/signals/{dataset}/points,
GET /api/v1/signals/{dataset}/last, GET /api/v1/signals/{dataset}/range, GET /api/v1/signals/{dataset}/trend, GET /api/v1/live,
GET /api/v1/gaps, GET /api/v1/quarantine/counts, GET /api/v1/conditions
"""
_OPERATOR: Final = """
POST /connections/{name}/start, POST /connections/{name}/pause, POST /connections/{name}/test, POST /gaps/{gap}/backfill,
POST /api/v1/connections/{name}/start, POST /api/v1/connections/{name}/pause, POST /api/v1/connections/{name}/test,
GET /connections/{name}/browse, GET /api/v1/connections/{name}/browse, GET /api/v1/connections/{name}/preview,
POST /api/v1/gaps/{gap}/backfill, POST /api/v1/push/{connection}
"""
_ENGINEER: Final = """
GET /connections/new, POST /connections, POST /connections/describe, POST /connections/{name}/remove, POST /connections/{name}/tags,
POST /connections/{name}/trust, POST /library/redo, POST /library/undo, POST /library/{name}/about, POST /mapping/accept,
POST /quality/replay, GET /studies/new, POST /studies, POST /studies/from, POST /studies/{study}/cancel, POST /studies/{study}/files,
POST /studies/{study}/run, POST /studies/{study}/zone, POST /trends/conditions,
POST /api/v1/connections, POST /api/v1/connections/test, POST /api/v1/connections/describe-payload, DELETE /api/v1/connections/{name},
PUT /api/v1/connections/{name}/tags, POST /api/v1/connections/{name}/trust, POST /api/v1/conditions, POST /api/v1/replay,
POST /api/v1/undo, POST /api/v1/redo, PUT /api/v1/datasets/{name}/about, POST /api/v1/mappings, POST /api/v1/intake,
POST /api/v1/studies, POST /api/v1/studies/{study}/run, POST /api/v1/studies/{study}/cancel
"""
_STEWARD: Final = "GET /api/v1/people"


def _table() -> dict[str, Least]:
    every: tuple[tuple[Least, str], ...] = (
        ("anyone", _ANYONE),
        ("partner", _PARTNER),
        ("viewer", _VIEWER),
        ("operator", _OPERATOR),
        ("engineer", _ENGINEER),
        ("steward", _STEWARD),
    )
    return {route.strip(): least for least, routes in every for route in routes.split(",") if route.strip()}


LEAST: Final = _table()
"""Least role of each ``METHOD path``."""
_AUDITED: Final = frozenset(route for route, least in LEAST.items() if least == "viewer" and route.startswith("GET ")) | {
    "GET /api/v1/people"
}
"""What an auditor sees: everything that can be looked at, and nothing that changes anything or speaks to a machine."""


def may(role: str, route: str) -> bool:
    """Return whether a role may use a route.

    >>> may("operator", "POST /api/v1/push/{connection}"), may("auditor", "POST /api/v1/push/{connection}")
    (True, False)
    >>> may("viewer", "POST /no/such/route"), may("steward", "POST /no/such/route")
    (False, True)
    """
    least = LEAST.get(route, "steward")
    if least in ("anyone", "partner"):
        return True
    if role == "auditor":
        return route in _AUDITED
    return role in _LADDER and _LADDER.index(role) >= _LADDER.index(least)
