"""PostgreSQL and MariaDB servers of the tests' own, in a temporary folder."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _found(name: str) -> str:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True) if Path("/usr/lib/postgresql").is_dir() else []
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ.get("PATH", ""), "/usr/sbin"]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _unprivileged(*names: str) -> str | None:
    """Servers refuse to run as root: return a user who is not."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    pytest.skip("the server does not run as root, and there is no other user")


def _hand_to(folder: Path, user: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(folder, user, None)
        # The folders above belong to root and are closed to others.
        for above in folder.parents:
            if above.stat().st_uid == 0 and above != Path("/") and not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o011)


@dataclass
class Server:
    """A server that can be stopped as a loss of power stops it, and started again."""

    command: list[str]
    user: str | None
    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        log = (self.folder.parent / f"{self.folder.name}.log").open("ab")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log, user=self.user, cwd=self.folder)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the server ended at once"
            if self._answers():
                return
            time.sleep(0.05)
        raise AssertionError("the server did not start")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass
        except OSError:
            return False
        if "postgres" not in self.command[0]:
            return True
        # Its port answers a little before it lets anybody in.
        psycopg = pytest.importorskip("psycopg")
        try:
            psycopg.connect(f"host=127.0.0.1 port={self.port} user=madang dbname=postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            # PostgreSQL waits for its clients after SIGTERM, and not after SIGINT.
            self.process.send_signal(signal.SIGINT if "postgres" in self.command[0] else signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


def postgres(folder: Path) -> Server:
    """Return a PostgreSQL server with a database 'mes' to which 'madang' logs in without a password."""
    initdb, binary = _found("initdb"), _found("postgres")
    user, data, port = _unprivileged("postgres"), folder / "pg", free_port()
    _hand_to(folder, user)
    _hand_to(data, user)
    data.chmod(0o700)
    subprocess.run(
        [initdb, "-D", str(data), "-U", "madang", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"],
        check=True, capture_output=True, user=user, cwd=folder,
    )  # fmt: skip
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": data,
        "fsync": "off",
        "max_connections": 40,
    }
    command = [binary, "-D", str(data), *[part for name, value in settings.items() for part in ("-c", f"{name}={value}")]]
    return Server(command, user, port, data)


def mariadb(folder: Path) -> Server:
    """Return a MariaDB server to which root logs in without a password."""
    binary, install = _found("mariadbd"), _found("mariadb-install-db")
    user, data, port = _unprivileged("mysql"), folder / "maria", free_port()
    _hand_to(folder, user)
    _hand_to(data, user)
    subprocess.run(
        [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
        + ([f"--user={user}"] if user else []),
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    command = [
        binary, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1", f"--socket={data}/s",
        f"--pid-file={data}/pid", "--innodb-flush-log-at-trx-commit=0", "--character-set-server=utf8mb4", f"--user={user or getpass.getuser()}",
    ]  # fmt: skip
    return Server(command, None, port, data)
