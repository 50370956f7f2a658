"""Programs of other houses that the tests talk to: where they are, and how they are started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def peers_folder() -> Path | None:
    """Return the folder whose ``node_modules`` holds the npm peers, None where there is none."""
    for folder in (os.environ.get("MADANG_PEERS"), str(ROOT / ".venv" / "peers")):
        if folder and (Path(folder) / "node_modules").is_dir():
            return Path(folder)
    return None


def need_npm(package: str) -> Path:
    """Return the peers' folder, or skip the test and say what is missing."""
    folder = peers_folder()
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if folder is None:
        pytest.skip("no npm peers: run ./run peers, or set MADANG_PEERS to a folder with node_modules")
    if not (folder / "node_modules" / package).is_dir():
        pytest.skip(f"the npm package {package} is not in {folder.name}/node_modules")
    return folder


def need_program(*names: str, package: str) -> str:
    """Return the path of the first of some programs, or skip the test and say which Debian package has it."""
    for name in names:
        found = shutil.which(name) or next(
            (str(p) for p in map(Path, (f"/usr/sbin/{name}", f"/usr/lib/{name}")) if p.exists()), None
        )
        if found:
            return found
    pytest.skip(f"{names[0]} is not installed (Debian: apt-get install {package})")


@dataclass
class NodeProcess:
    """A running node script; it ends when its standard input closes."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    """First line of JSON that it wrote."""

    def say(self, text: str) -> None:
        """Write one line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def line(self) -> dict[str, Any]:
        """Wait for its next line of JSON; other lines are passed over."""
        return _json_line(self.process)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()
        self.process.wait(10)
        self._forget()

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self._forget()

    def _forget(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def start_node(script: str | Path, *arguments: str, package: str) -> NodeProcess:
    """Start a script of this folder (or one given by its path) under node and wait for its first line of JSON.

    Args:
        script: Name such as ``opcua_server.js``.
        arguments: Given to the script.
        package: npm package that it needs; the test is skipped where it is missing.
    """
    folder = need_npm(package)
    environment = {**os.environ, "NODE_PATH": str(folder / "node_modules")}
    path = Path(script) if Path(script).is_absolute() else HERE / script
    process = subprocess.Popen(
        ["node", str(path), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=folder,
        text=True,
    )
    started = NodeProcess(process, {})
    try:
        started.ready = _json_line(process)
    except BaseException:
        started.close()
        raise
    return started


def _json_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise AssertionError(f"the script ended with {process.wait(10)} before it said anything")
