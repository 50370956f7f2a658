"""The routes of living data, each of which `test_live` tries."""

from __future__ import annotations

LIVE_ROUTES = {
    ("/api/v1/kinds", "get"),
    ("/api/v1/connections", "get"),
    ("/api/v1/connections", "post"),
    ("/api/v1/connections/test", "post"),
    ("/api/v1/connections/describe-payload", "post"),
    ("/api/v1/connections/{name}", "get"),
    ("/api/v1/connections/{name}", "delete"),
    ("/api/v1/connections/{name}/start", "post"),
    ("/api/v1/connections/{name}/pause", "post"),
    ("/api/v1/connections/{name}/tags", "put"),
    ("/api/v1/connections/{name}/test", "post"),
    ("/api/v1/connections/{name}/trust", "post"),
    ("/api/v1/connections/{name}/browse", "get"),
    ("/api/v1/connections/{name}/preview", "get"),
    ("/api/v1/signals", "get"),
    ("/api/v1/signals/{dataset}/points", "get"),
    ("/api/v1/signals/{dataset}/last", "get"),
    ("/api/v1/signals/{dataset}/range", "get"),
    ("/api/v1/signals/{dataset}/trend", "get"),
    ("/api/v1/gaps", "get"),
    ("/api/v1/gaps/{gap}/backfill", "post"),
    ("/api/v1/quarantine/counts", "get"),
    ("/api/v1/conditions", "get"),
    ("/api/v1/conditions", "post"),
    ("/api/v1/push/{connection}", "post"),
    ("/api/v1/live", "get"),
}

ACCOUNT_ROUTES = {
    ("/api/v1/me", "get"),
    ("/api/v1/log-in", "post"),
    ("/api/v1/log-out", "post"),
    ("/api/v1/people", "get"),
}
"""The routes of accounts, each of which `test_accounts` tries."""
