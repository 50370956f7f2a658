"""One secured session with a server: how it is opened, kept, resumed after a cut, and let go.

asyncua opens channel and session; it does not reconnect here. Which notifications were lost in an interruption has to be known,
and its own supervisor does not tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.ua_binary import struct_from_binary

from madang.connect._source import TestName
from madang.connect.opcua._certificates import (
    PROBLEM_TEXTS,
    OwnCertificate,
    Problem,
    ServerCertificate,
    examine,
    own_certificate,
    remember,
    split_chain,
)
from madang.connect.opcua._decode import Row, decode_read
from madang.connect.opcua._options import Options
from madang.connect.opcua._trouble import Trouble, translate
from madang.plant import Bilingual

logging.getLogger("asyncua").setLevel(
    logging.CRITICAL
)  # what matters is said in plain words; its log would show addresses and values

Clock = Callable[[], datetime]
T = TypeVar("T")

POLICIES: Final = {
    "Aes256Sha256RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128Sha256RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
}
"""The strongest first; the deprecated ones (Basic128Rsa15, Basic256) are not spoken."""
NONE_URI: Final = security_policies.SecurityPolicyNone.URI
LOCALES: Final = ("ko", "en")
_SESSION_MS: Final = 120_000
_CHANNEL_MS: Final = 3_600_000


@dataclass(frozen=True)
class Limits:
    """How much a server takes in one request, by its own word, and never more than we find wise."""

    read: int = 500
    browse: int = 100
    items: int = 500
    history: int = 20


@dataclass(frozen=True)
class Chosen:
    """The endpoint that is used, and the examined certificate of its server."""

    policy: str
    mode: ua.MessageSecurityMode
    certificate: ServerCertificate | None
    endpoint: ua.EndpointDescription

    @property
    def text(self) -> Bilingual:
        """What stands on the screen about security."""
        if self.policy == "none":
            return Bilingual("암호화하지 않아요 (security=none)", "not encrypted (security=none)")
        return Bilingual(f"{self.policy}, {self.mode.name}", f"{self.policy}, {self.mode.name}")


class Link:
    """One open session. Made by `open_link`."""

    def __init__(self, client: Client, options: Options, chosen: Chosen) -> None:
        self.client = client
        self.session = client.uaclient.session
        self.options = options
        self.chosen = chosen
        self.limits = Limits()
        self._renew: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask for the server's limits and keep the channel's key fresh."""
        self.limits = await _ask_limits(self)
        self._renew = asyncio.create_task(self._renew_channel())

    async def _renew_channel(self) -> None:
        while True:
            # OPC 10000-4, 5.5.2.1: a new token after 75 % of the lifetime.
            await asyncio.sleep(max(1.0, self.client.secure_channel_timeout * 0.75 / 1000))
            try:
                await self.client.open_secure_channel(renew=True)
                self.client.uaclient.revolve_security_token()
            except (TimeoutError, OSError, ua.UaError):
                self.client.disconnect_socket()  # the watchdog sees it and starts anew
                return

    @property
    def alive(self) -> bool:
        """Whether the socket still stands."""
        protocol = self.client.uaclient.protocol
        return protocol is not None and not protocol.is_closed and protocol.transport is not None

    async def read(self, nodes: Sequence[ua.ReadValueId]) -> list[ua.DataValue]:
        """Read attributes, in requests that the server can take, with both times."""
        values: list[ua.DataValue] = []
        for start in range(0, len(nodes), self.limits.read):
            parameters = ua.ReadParameters()
            parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            parameters.NodesToRead = list(nodes[start : start + self.limits.read])
            values += await self.session.read(parameters)
        return values

    async def read_rows(self, nodes: Sequence[str]) -> list[Row]:
        """Read the values that some nodes have now, as rows; the handle is the place among `nodes`."""
        rows: list[Row] = []
        for start in range(0, len(nodes), self.limits.read):
            request = ua.ReadRequest()
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            for node in nodes[start : start + self.limits.read]:
                one = ua.ReadValueId(NodeId=ua.NodeId.from_string(node), AttributeId=ua.AttributeIds.Value)
                request.Parameters.NodesToRead.append(one)
            try:
                part = decode_read(bytes(await self.session._send_request(request)))
            except ValueError as error:
                raise ua.UaError("unreadable answer") from error
            rows += [(row[0] + start, *row[1:]) for row in part]
        return rows

    async def read_in(self, locale: str, nodes: Sequence[ua.ReadValueId]) -> list[ua.DataValue]:
        """Read attributes in another language, and go back to the usual ones."""
        try:
            self.client.set_locale([locale])
            await _activate(self.client, self.options)
            return await self.read(nodes)
        finally:
            self.client.set_locale(LOCALES)
            await _activate(self.client, self.options)

    async def create_subscription(self, request: ua.CreateSubscriptionRequest) -> ua.CreateSubscriptionResult:
        """Make a subscription without asyncua's own publish loop, which `Publisher` stands in for."""
        answer = struct_from_binary(ua.CreateSubscriptionResponse, await self.session._send_request(request))
        answer.ResponseHeader.ServiceResult.check()
        return answer.Parameters

    async def server_clock(self) -> tuple[datetime, int] | None:
        """Return the server's own clock and its state (OPC 10000-5, 12.6), None where it does not say."""
        wanted = [ua.ReadValueId(NodeId=ua.NodeId(number)) for number in (2258, 2259)]
        time, state = await self.read([_with_value(one) for one in wanted])
        if time.Value is None or not isinstance(time.Value.Value, datetime):
            return None
        number = state.Value.Value if state.Value is not None else 0
        return time.Value.Value.replace(tzinfo=UTC), int(number) if isinstance(number, int) else 0

    async def namespaces(self) -> tuple[str, ...]:
        """Return the server's namespaces, by their index."""
        (answer,) = await self.read([_with_value(ua.ReadValueId(NodeId=ua.NodeId(2255)))])
        found = answer.Value.Value if answer.Value is not None else None
        return tuple(str(one) for one in found) if isinstance(found, list | tuple) else ()

    async def resume(self) -> bool:
        """Take the session up again on a new socket, so that what the server kept meanwhile is not lost.

        Returns:
            Whether the server still has the session; if not, a new link has to be opened.
        """
        await self._drop()
        client = self.client
        try:
            await client.connect_socket()
            await client.send_hello()
            await client.open_secure_channel()
            self.session.rebind_authentication_token()
            await _activate(client, self.options)
        except (TimeoutError, OSError, ua.UaError) as error:
            client.disconnect_socket()
            if isinstance(error, ua.UaError):
                return False
            raise
        self._renew = asyncio.create_task(self._renew_channel())
        return True

    async def _drop(self) -> None:
        if self._renew is not None:
            self._renew.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renew
            self._renew = None
        self.client.disconnect_socket()

    def cut(self) -> None:
        """Let the socket go at once; a half-open one would never end by itself."""
        protocol = self.client.uaclient.protocol
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abort()
        self.client.disconnect_socket()

    async def close(self) -> None:
        """End session and channel; a server that does not answer is left after a moment."""
        if self._renew is not None:
            self._renew.cancel()
            self._renew = None
        with contextlib.suppress(OSError, asyncio.TimeoutError, ua.UaError, AssertionError):
            async with asyncio.timeout(min(3.0, self.options.timeout)):
                if self.alive:
                    await self.client.close_session()
                    await self.client.close_secure_channel()
        self.client.disconnect_socket()


def make_client(options: Options) -> Client:
    """Return a client of asyncua that is not connected yet."""
    client = Client(options.url, timeout=options.timeout)
    client.name = client.description = "Madang"
    client.product_uri = "urn:madang"
    client.session_timeout = _SESSION_MS
    client.secure_channel_timeout = _CHANNEL_MS
    client.set_locale(LOCALES)
    return client


async def check_name(options: Options) -> list[str]:
    """Return the addresses behind the host's name."""
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(loop.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM), options.timeout)
    except (TimeoutError, OSError, UnicodeError) as error:
        cause = error if isinstance(error, asyncio.TimeoutError) else socket.gaierror()
        raise translate(cause, "name", options.host, options.port) from None
    return sorted({str(entry[4][0]) for entry in found})


async def check_tcp(options: Options) -> None:
    """Open and close one TCP connection."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(options.host, options.port), options.timeout)
    except (TimeoutError, OSError) as error:
        raise translate(error, "tcp", options.host, options.port) from None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def choose(options: Options, clock: Clock) -> Chosen:
    """Ask which endpoints there are and take the one that the settings allow; nothing weaker is ever taken instead.

    Raises:
        Trouble: None of them fits, or the server's certificate is not trusted.
    """
    try:
        endpoints = await make_client(options).connect_and_get_server_endpoints()
    except (TimeoutError, OSError, ua.UaError, AssertionError) as error:
        raise translate(error, "trust", options.host, options.port) from None
    mode = ua.MessageSecurityMode.None_ if options.security == "none" else ua.MessageSecurityMode[options.mode]
    wanted = {"none": ["none"], "auto": list(POLICIES)}.get(options.security, [options.security])
    for policy in wanted:
        uri = NONE_URI if policy == "none" else POLICIES[policy].URI
        for endpoint in endpoints:
            if (
                endpoint.SecurityPolicyUri == uri
                and endpoint.SecurityMode == mode
                and str(endpoint.EndpointUrl).startswith("opc.tcp")
            ):
                if policy == "none":
                    return Chosen(policy, mode, None, endpoint)
                return Chosen(policy, mode, _examined(options, endpoint, clock), endpoint)
    raise _not_offered(options, endpoints)


def _examined(options: Options, endpoint: ua.EndpointDescription, clock: Clock) -> ServerCertificate:
    folder = need_folder(options)
    application = endpoint.Server.ApplicationUri
    held = examine(
        bytes(endpoint.ServerCertificate or b""), folder=folder, host=options.host, application=application, now=clock()
    )
    accepted: set[Problem] = set()
    if "expired" in options.accept:
        accepted |= {"expired", "not_yet"}
    if "host" in options.accept:
        accepted |= {"host", "application"}
    if "weak" in options.accept:
        accepted.add("weak")
    left = [problem for problem in held.problems if problem not in accepted]
    if not left:
        return held
    if left == ["untrusted"]:
        remember(folder, held.der)
        raise Trouble(
            "trust",
            "needs_trust",
            PROBLEM_TEXTS["untrusted"],
            Bilingual(
                f"서버 화면의 지문과 비교하고, 같으면 믿는다고 하세요: {held.thumbprint}",
                f"Compare the thumbprint with the one on the server's own screen, and trust it if they are equal: {held.thumbprint}",
            ),
            ask=True,
            facts=held.facts(),
        )
    problem = next(one for one in left if one != "untrusted")
    word = {"expired": "expired", "not_yet": "expired", "weak": "weak"}.get(problem, "host")
    raise Trouble(
        "trust",
        f"certificate_{problem}",
        PROBLEM_TEXTS[problem],
        Bilingual(
            f"서버의 인증서를 새로 만들게 하세요. 알고도 받아들이려면 --set accept={word}",
            f"Have the server's certificate renewed. To accept it knowingly: --set accept={word}",
        ),
        facts=held.facts(),
    )


def need_folder(options: Options) -> Path:
    """Return the folder of certificates, which every encrypted connection needs."""
    if options.certificates is None:
        raise Trouble(
            "trust",
            "no_certificate_folder",
            Bilingual("인증서 폴더가 정해지지 않았어요.", "No folder of certificates is given."),
            Bilingual("--set certificates=폴더 를 더하세요.", "Add --set certificates=FOLDER."),
            final=True,
        )
    return options.certificates


def _not_offered(options: Options, endpoints: Sequence[ua.EndpointDescription]) -> Trouble:
    offered = sorted(
        {f"{str(one.SecurityPolicyUri).rpartition('#')[2]}/{one.SecurityMode.name.rstrip('_')}" for one in endpoints}
    )
    asked = f"{options.security}" if options.security == "none" else f"{options.security}/{options.mode}"
    listed = ", ".join(offered) or "-"
    if options.security == "none":
        hint = Bilingual("--set security=auto 로 암호화해 이으세요.", "Connect encrypted with --set security=auto.")
    elif any(one.startswith("None") for one in offered):
        hint = Bilingual(
            "서버에서 암호화를 켜세요. 암호화 없이 이으려면 --set security=none 이라고 분명히 적어야 해요.",
            "Turn encryption on in the server. To connect without it, say so: --set security=none",
        )
    else:
        hint = Bilingual("서버가 주는 것 가운데 하나를 고르세요.", "Choose one of those that the server offers.")
    return Trouble(
        "trust",
        "security_not_offered",
        Bilingual(
            f"서버에 {asked} 보안이 없어요. 있는 것: {listed}.", f"The server does not offer {asked}. It offers: {listed}."
        ),
        hint,
        final=True,
        facts={"offered": listed},
    )


async def open_link(options: Options, clock: Clock, chosen: Chosen | None = None) -> Link:
    """Open a session, secured as the settings say.

    Raises:
        Trouble: It cannot be opened; says at which step and why.
    """
    step: TestName = "tcp"
    chosen = chosen or await choose(options, clock)
    client = make_client(options)
    try:
        step = "trust"
        await _secure(client, options, chosen, clock)
        await _identify(client, options, chosen)
        await client.connect_socket()
        await client.send_hello()
        await client.open_secure_channel()
        await client.create_session()
        step = "login"
        await _activate(client, options)
        link = Link(client, options, chosen)
        await link.start()
    except BaseException as error:
        with contextlib.suppress(Exception):
            client.disconnect_socket()
        if isinstance(error, (OSError, asyncio.TimeoutError, ua.UaError, Trouble, ValueError, AssertionError)):
            raise translate(error, step, options.host, options.port) from None
        raise
    return link


async def _secure(client: Client, options: Options, chosen: Chosen, clock: Clock) -> None:
    if chosen.policy == "none" or chosen.certificate is None:
        return
    own: OwnCertificate = own_certificate(need_folder(options), clock())
    client.application_uri = own.uri
    await client.set_security(
        POLICIES[chosen.policy],
        CertProperties(own.certificate, "der"),
        CertProperties(own.key, "pem"),
        server_certificate=CertProperties(split_chain(chosen.certificate.der)[0], "der"),
        mode=chosen.mode,
    )


async def _identify(client: Client, options: Options, chosen: Chosen) -> None:
    """Say who we are, and never send a password that others on the line can read."""
    if options.user_certificate is not None and options.user_key is not None:
        try:
            await client.load_client_certificate(str(options.user_certificate))
            await client.load_private_key(options.user_key, options.user_key_password)
        except (OSError, ValueError, TypeError):
            raise Trouble(
                "login",
                "user_certificate_unreadable",
                Bilingual("사용자 인증서나 그 키를 읽을 수 없어요.", "The user's certificate or its key cannot be read."),
                Bilingual("파일과 키의 비밀번호를 보세요.", "Check the files and the password of the key."),
                final=True,
            ) from None
        return
    if options.user is None:
        return
    client.set_user(options.user)
    client.set_password(options.password or "")
    if chosen.mode == ua.MessageSecurityMode.SignAndEncrypt or "plain_password" in options.accept:
        return
    tokens = [one for one in chosen.endpoint.UserIdentityTokens or [] if one.TokenType == ua.UserTokenType.UserName]
    policy = (tokens[0].SecurityPolicyUri if tokens else None) or chosen.endpoint.SecurityPolicyUri
    if policy == NONE_URI:
        raise Trouble(
            "login",
            "plain_password",
            Bilingual(
                "이 설정이면 비밀번호가 암호화되지 않고 나가요. 보내지 않았어요.",
                "With these settings the password would go out unencrypted. It was not sent.",
            ),
            Bilingual(
                "--set security=auto 로 이으세요. 알고도 보내려면 --set accept=plain_password",
                "Connect with --set security=auto. To send it knowingly: --set accept=plain_password",
            ),
            final=True,
        )


async def _activate(client: Client, options: Options) -> None:
    await client.activate_session(
        username=options.user,
        password=options.password,
        certificate=client.user_certificate if options.user_certificate is not None else None,
    )


def _with_value(one: ua.ReadValueId) -> ua.ReadValueId:
    one.AttributeId = ua.AttributeIds.Value
    return one


async def _ask_limits(link: Link) -> Limits:
    """OPC 10000-5, 6.3.11: OperationLimits; 0 or nothing said means no limit."""
    usual = Limits()
    numbers = {"read": 11705, "browse": 11710, "items": 11714, "history": 12165}
    try:
        wanted = [_with_value(ua.ReadValueId(NodeId=ua.NodeId(number))) for number in numbers.values()]
        answers = await link.read(wanted)
    except ua.UaError:
        return usual
    found = {}
    for (name, _), answer in zip(numbers.items(), answers, strict=False):
        value = answer.Value.Value if answer.Value is not None else None
        own = getattr(usual, name)
        found[name] = min(own, value) if isinstance(value, int) and value > 0 else own
    return Limits(**found)
