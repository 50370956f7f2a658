"""Run the server on this machine until it is stopped."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from madang.api._app import HOSTS, make_app, refuse_open_host
from madang.api._studies import write_json
from madang.errors import InputError
from madang.workspace._oidc import read_oidc

if TYPE_CHECKING:
    from madang.workspace import Workspace


def serve(
    workspace: Workspace,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Path | None = None,
    open_browser: bool = False,
    say: Callable[[str], object] | None = None,
    path: str = "/",
    connect: bool = False,
    names: Sequence[str] = (),
) -> None:
    """Serve the API and the console until the process is told to stop.

    Args:
        workspace: The opened workspace.
        host: Address to listen on; only loopback addresses are allowed while there are no accounts.
        port: Port; 0 takes a free one.
        ready: File that gets ``{"url", "pid"}`` once the server answers.
        open_browser: Whether to open a browser on the console.
        say: Is told the address once the server answers.
        path: Page to open and to tell.
        connect: Whether the connections run in this process.
        names: Host names under which others call this server, beside its addresses.

    Raises:
        RefusedError: Others could reach the host, and nobody has an account.
        InputError: The port is taken or not allowed.
    """
    import uvicorn

    family, address, shared = _where(host)
    if shared and not workspace.library.people.has_accounts() and read_oidc(workspace.root) is None:
        raise refuse_open_host(host)
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            "port_taken",
            ko=f"포트 {port}에서 들을 수 없어요.",
            en=f"It is not possible to listen on port {port}.",
            next_ko="--port 0 으로 빈 포트를 쓰거나 다른 포트를 골라 주세요.",
            next_en="Use --port 0 for a free port, or choose another.",
            where={"host": host, "port": port},
        ) from error
    shown = f"[{address}]" if family == socket.AF_INET6 else address
    url = f"http://{shown}:{listener.getsockname()[1]}"
    called = frozenset(name.lower() for name in names) | (_own_names() if shared else frozenset())
    app = make_app(workspace, hosts=HOSTS | {shown} | called, connect=connect, shared=shared)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        # A live screen never ends by itself.
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)

    def tell() -> None:
        while not server.started and not server.should_exit:
            time.sleep(0.02)
        if server.should_exit:
            return
        if ready is not None:
            ready.parent.mkdir(parents=True, exist_ok=True)
            write_json(ready, {"url": url, "pid": os.getpid()})
        if say is not None:
            say(url + path.rstrip("/"))
        if open_browser:
            webbrowser.open(url + path)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        server.run(sockets=[listener])
    finally:
        server.should_exit = True
        teller.join(timeout=2)
        listener.close()
        if ready is not None:
            ready.unlink(missing_ok=True)


def _where(host: str) -> tuple[socket.AddressFamily, str, bool]:
    """Family and address to listen on, and whether other machines can reach it."""
    if host == "localhost":
        return socket.AF_INET, "127.0.0.1", False
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise refuse_open_host(host) from None
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    return family, str(address), not address.is_loopback


def _own_names() -> frozenset[str]:
    """The names and addresses under which other machines may call this one."""
    name = socket.gethostname()
    found = {name.lower(), socket.getfqdn().lower()}
    with contextlib.suppress(OSError):
        found |= {str(entry[4][0]) for entry in socket.getaddrinfo(name, None)}
    # The address that the way out of this machine begins at; nothing is sent.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            found.add(str(probe.getsockname()[0]))
        except OSError:
            pass
    return frozenset(f"[{each.partition('%')[0]}]" if ":" in each else each for each in found)
