"""An asyncua server in a thread of its own, and a sink that keeps what it is given."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from asyncua import Server, ua
from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from madang.connect import Block, ConnectionSettings, ConnectionState, GapCause, Message, Reject, Rows, Tag
from madang.connect.opcua._source import OpcuaSource
from madang.plant import Bilingual

T = TypeVar("T")
URI = "urn:plant.test:kiln"


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PlantServer:
    """An OPC UA server of another house. Every call may come from the test's thread."""

    def __init__(self, *, certificates: Path | None = None, users: Mapping[str, str] | None = None, port: int = 0) -> None:
        self.port = port or free_port()
        self._certificates = certificates
        self._users = users
        self.policies = [ua.SecurityPolicyType.NoSecurity]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server: Server | None = None
        self.nodes: dict[str, Any] = {}

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/plant"

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def start(self) -> PlantServer:
        self.do(self._start())
        return self

    async def _start(self) -> None:
        server = Server(user_manager=_Users(self._users) if self._users is not None else None)
        await server.init()
        await server.set_application_uri(URI)
        server.set_endpoint(self.url)
        if self._certificates is not None:
            await server.load_certificate(str(self._certificates / "server.der"))
            await server.load_private_key(str(self._certificates / "server.key.pem"))
        server.set_security_policy(self.policies, permission_ruleset=SimpleRoleRuleset() if self._users is not None else None)
        await server.register_namespace("urn:plant.test:tags")
        await server.start()
        self.server = server

    def folder(self, name: str) -> Any:  # noqa: ANN401 - a node of asyncua
        assert self.server is not None
        return self.do(self.server.nodes.objects.add_object(2, name))

    def add(
        self, name: str, value: object, kind: ua.VariantType | None = None, *, under: object = None, writable: bool = False
    ) -> Any:  # noqa: ANN401 - a node of asyncua
        """Add a variable ``ns=2;s=NAME``."""
        assert self.server is not None
        parent: Any = under if under is not None else self.server.nodes.objects
        node = self.do(parent.add_variable(ua.NodeId(name, 2), name, value, kind))
        if writable:
            self.do(node.set_writable())
        self.nodes[name] = node
        return node

    def set(
        self,
        name: str,
        value: object,
        kind: ua.VariantType = ua.VariantType.Double,
        *,
        status: int = 0,
        at: datetime | None = None,
        server_at: datetime | None = None,
        no_time: bool = False,
    ) -> None:
        """Give a variable a value, with status and times."""
        moment = None if no_time else at or datetime.now(UTC)
        variant = value if isinstance(value, ua.Variant) else ua.Variant(value, kind)
        data = ua.DataValue(variant, ua.StatusCode(status), moment, server_at or datetime.now(UTC))
        self.do(self._write(name, data))

    async def _write(self, name: str, data: ua.DataValue) -> None:
        assert self.server is not None
        await self.server.iserver.write_attribute_value(self.nodes[name].nodeid, data)

    def stop(self) -> None:
        """Stop serving; clients see their connection close."""
        if self.server is not None:
            server, self.server = self.server, None
            self.do(server.stop())

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class _Users(UserManager):  # type: ignore[misc]
    def __init__(self, users: Mapping[str, str] | None) -> None:
        self._users = dict(users or {})

    def get_user(
        self, iserver: object, username: str | None = None, password: str | None = None, certificate: object = None
    ) -> User | None:
        if username is not None and self._users.get(username) == password:
            return User(role=UserRole.User)
        return None


def make_certificate(
    folder: Path,
    *,
    first: datetime | None = None,
    last: datetime | None = None,
    hosts: Sequence[str] = ("127.0.0.1", "localhost"),
    uri: str = URI,
    bits: int = 2048,
    issuer: tuple[x509.Certificate, rsa.RSAPrivateKey] | None = None,
    ca: bool = False,
) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """Write ``server.der`` and ``server.key.pem`` into a folder."""
    import ipaddress

    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kiln controller")])
    alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    for host in hosts:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            alternatives.append(x509.DNSName(host))
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name if not ca else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Plant CA")]))
        .issuer_name(
            issuer[0].subject
            if issuer
            else name
            if not ca
            else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Plant CA")])
        )
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first or now - timedelta(days=1))
        .not_valid_after(last or now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(alternatives), False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
    )
    certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    (folder / "server.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    (folder / "server.key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, key


@dataclass
class KeptGap:
    """A gap as the sink was told of it."""

    cause: GapCause
    since: datetime
    tags: tuple[str, ...] | None
    note: str
    until: datetime | None = None
    samples: int | None = None
    filled: int | None = None
    whole: bool | None = None


@dataclass
class KeepingSink:
    """Keeps everything; `wait` waits for something to be true of it."""

    cursors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tags: dict[str, int] = {}
        self.facts: dict[str, Tag] = {}
        self.blocks: list[Block] = []
        self.rejects: list[Reject] = []
        self.gaps: dict[str, KeptGap] = {}
        self.states: list[tuple[ConnectionState, Bilingual | None]] = []
        self.hold = threading.Event()
        self.hold.set()
        self._changed = threading.Condition()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait(self, what: Callable[[], object], timeout: float = 10.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: bool(what()), timeout), f"did not come: {self.states[-3:]} {self.gaps}"

    def number_of(self, tag: Tag) -> int:
        self.facts[tag.name] = tag
        return self.tags.setdefault(tag.name, len(self.tags) + 1)

    def put_block(self, block: Block, done: Callable[[], None] | None = None) -> None:
        self.hold.wait()
        self.blocks.append(block)
        self._tell()

    def put_messages(self, messages: Sequence[Message], done: Callable[[], None] | None = None) -> None:
        raise AssertionError("no messages here")

    def put_rows(self, rows: Rows, done: Callable[[], None] | None = None) -> None:
        raise AssertionError("no rows here")

    def put_reject(self, reject: Reject) -> None:
        self.rejects.append(reject)
        self._tell()

    def gap_opened(self, cause: GapCause, since: datetime, *, tags: Sequence[str] | None = None, note: str = "") -> str:
        name = f"gap-{len(self.gaps) + 1}"
        self.gaps[name] = KeptGap(cause, since, None if tags is None else tuple(tags), note)
        self._tell()
        return name

    def gap_closed(self, gap: str, until: datetime, *, samples: int | None = None) -> None:
        self.gaps[gap].until, self.gaps[gap].samples = until, samples
        self._tell()

    def gap_filled(self, gap: str, filled: int, *, whole: bool | None) -> None:
        self.gaps[gap].filled, self.gaps[gap].whole = filled, whole
        self._tell()

    def state(self, state: ConnectionState, text: Bilingual | None = None) -> None:
        self.states.append((state, text))
        self._tell()

    def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    def save_cursor(self, name: str, value: str, done: Callable[[], None] | None = None) -> None:
        self.cursors[name] = value

    def samples(self, name: str, *, origin: str | None = None) -> list[tuple[datetime, float | str | None, int]]:
        """Return time, value and status of one tag, in the order in which they came."""
        number = self.tags.get(name)
        found = []
        for block in self.blocks:
            if origin is not None and block.origin != origin:
                continue
            rows = block.batch.to_pydict()
            for tag, time, value, text, quality in zip(*(rows[column] for column in rows), strict=True):
                if tag == number:
                    found.append((time, text if value is None else value, quality))
        return found

    def values(self, name: str, *, origin: str | None = None) -> list[float | str | None]:
        return [value for _, value, _ in self.samples(name, origin=origin)]

    def of(self, cause: GapCause) -> list[KeptGap]:
        return [gap for gap in self.gaps.values() if gap.cause == cause]


class Cable:
    """A TCP way to a server that can be frozen (half open) or cut."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = free_port()
        self.frozen = threading.Event()
        self._pairs: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._over = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._over:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                near.close()
                continue
            self._pairs += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if not self.frozen.is_set():
                    other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Close what is connected now; new connections are taken."""
        pairs, self._pairs = self._pairs, []
        for one in pairs:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        self._over = True
        self._listener.close()
        self.cut()


class Subscribed:
    """A subscription in a thread of its own."""

    def __init__(self, source: OpcuaSource, sink: KeepingSink) -> None:
        self.source, self.sink = source, sink
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.source.subscribe(self.sink, self.stop)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Subscribed:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop.set()
        self.sink.hold.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.source.close()

    def join(self) -> None:
        self._thread.join(20)


def settings(url: str, *tags: str, secrets: Mapping[str, str] | None = None, **options: str) -> ConnectionSettings:
    """Return settings, unencrypted unless said otherwise."""
    return ConnectionSettings("kiln", "opcua", url, {"security": "none", **options}, secrets or {}, tags)
