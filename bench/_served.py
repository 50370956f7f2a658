"""A ``madang serve`` process of its own for benches, and a client that speaks to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit


class Served:
    """A server over a workspace, and its memory."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "workspace"
        ready = folder / "ready.json"
        environment = {**os.environ, "MADANG_WORKSPACE": str(self.root), "XDG_CONFIG_HOME": str(folder / "config")}
        command = [sys.executable, "-m", "madang", "serve", "--ready", str(ready), "--quiet"]
        self.process = subprocess.Popen(command, env=environment)
        until = time.monotonic() + 60
        while not ready.exists():
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError("the server did not start")
            time.sleep(0.05)
        self.url = json.loads(ready.read_text())["url"]
        self.host = urlsplit(self.url).netloc

    def __enter__(self) -> Served:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def client(self) -> Client:
        return Client(self.host)

    def memory(self) -> float:
        """Resident memory [MB]."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Client:
    """One connection that stays open."""

    def __init__(self, host: str) -> None:
        self._connection = http.client.HTTPConnection(host, timeout=120)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return self._once(method, path, body, named)
        except (http.client.RemoteDisconnected, ConnectionError):
            # The server closes a connection that was quiet for a while.
            self._connection.close()
            return self._once(method, path, body, named)

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def document(self, method: str, path: str, document: object = None) -> Any:  # noqa: ANN401
        body = None if document is None else json.dumps(document).encode()
        status, payload = self.ask(method, path, body, content_type="application/json")
        if status >= 400:
            raise RuntimeError(f"{method} {path}: {status} {payload[:500]!r}")
        return json.loads(payload)


def path(*parts: str, **query: object) -> str:
    """An address below the API."""
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts) + (f"?{urlencode(query, doseq=True)}" if query else "")


def quantile(values: list[float], share: float) -> float:
    """A quantile of measured values; NaN when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
