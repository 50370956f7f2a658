"""One network connection to a broker: paho's protocol engine over a socket that reads and writes in large pieces."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from madang.connect.mqtt._options import MqttOptions

CONNECT_TIMEOUT: Final = 10.0
"""How long to wait for a broker's answer [s]."""
_CHUNK: Final = 1 << 18
_OUT: Final = 1 << 20


class CertificateRefusedError(ssl.SSLCertVerificationError):
    """The broker showed another certificate than the trusted one."""


class BufferedSocket:
    """A socket that paho reads byte by byte while the kernel is asked for 256 kB at a time.

    paho takes three or four `recv` and one `send` per message. Each lets other threads run, so that beside a busy thread the
    reader waits its turn four times per message. This one turns thousands of messages into one call each way.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._in = b""
        self._at = 0
        self._out = bytearray()

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes.

        Raises:
            BlockingIOError: Nothing is there.
        """
        if self._at >= len(self._in):
            self._in = self._sock.recv(_CHUNK)
            self._at = 0
        data = self._in[self._at : self._at + size]
        self._at += len(data)
        return data

    def send(self, data: bytes) -> int:
        """Take bytes for the next `flush`."""
        if len(self._out) > _OUT:
            self.flush()
            if len(self._out) > _OUT:
                raise BlockingIOError
        self._out += data
        return len(data)

    def flush(self) -> None:
        """Send what was taken, as far as the peer takes it now."""
        while self._out:
            try:
                sent = self._sock.send(self._out)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            del self._out[:sent]

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._out)

    def pending(self) -> int:
        """Return how many bytes can be read without asking the kernel."""
        inner = self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0
        return len(self._in) - self._at + inner

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Set whether reading waits."""
        self._sock.setblocking(flag)

    def close(self) -> None:
        """Send what is left, and close."""
        with contextlib.suppress(OSError):
            self.flush()
        self._sock.close()


@dataclass(frozen=True)
class Greeting:
    """A broker's answer to a connection attempt."""

    accepted: bool
    code: int
    """Reason code of MQTT 5, 3.2.2.2."""
    reason: str
    session_present: bool
    session_expiry: int | None
    """What the broker made of the session expiry asked for [s]; None: as asked."""


def tls_context(options: MqttOptions) -> ssl.SSLContext:
    """Return the context for a broker; a trusted fingerprint takes the place of the CA check, nothing takes the place of both.

    Raises:
        OSError: A named file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=options.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.trust is not None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.certificate is not None:
        context.load_cert_chain(options.certificate, options.key, options.key_password)
    return context


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 fingerprint of a certificate in DER."""
    return hashlib.sha256(certificate).hexdigest()


class _Engine(paho.Client):
    trusted: str | None = None

    def _create_socket(self) -> Any:  # noqa: ANN401 - paho's own type of sockets is private
        """Open the socket, check the trusted certificate before a byte of MQTT is sent, and wrap it.

        paho has no public place for a socket of one's own; its web socket wrapper comes in at this point too (paho-mqtt 2.1,
        2.2). When it offers one, this override goes.
        """
        sock = super()._create_socket()
        if self.trusted is not None:
            shown = cast(ssl.SSLSocket, sock).getpeercert(binary_form=True) or b""
            if not hmac.compare_digest(fingerprint(shown), self.trusted):
                cast(ssl.SSLSocket, sock).close()
                raise CertificateRefusedError("the certificate is not the trusted one")
        return BufferedSocket(cast(socket.socket, sock))


class Link:
    """A connection to a broker, driven by its owner's thread; nothing here starts a thread or reconnects by itself.

    Args:
        options: Where to and how.
        client_id: Name of the session.
        clean: Whether to begin without an earlier session, and leave none.
        on_message: Called for each message.
    """

    def __init__(
        self, options: MqttOptions, client_id: str, *, clean: bool, on_message: Callable[[paho.MQTTMessage], None]
    ) -> None:
        self._options = options
        self._clean = clean
        self.greeting: Greeting | None = None
        self.lost: str | None = None
        """Why the connection ended, while it is not open."""
        self.lost_code = 0
        self.granted: dict[int, list[int]] = {}
        """Reason codes by the packet identifier of the subscription."""
        self.enough = False
        """Set by the taker of messages to end the reading of `spin` early."""
        self.heard = 0.0
        """When bytes last came [s, monotonic]."""
        engine = _Engine(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, manual_ack=True)
        engine.connect_timeout = CONNECT_TIMEOUT
        engine.on_connect = self._on_connect
        engine.on_disconnect = self._on_disconnect
        engine.on_subscribe = self._on_subscribe
        engine.on_message = lambda _client, _data, message: on_message(message)
        # With this callback set, paho leaves writing to `spin`, where acknowledgements go out together.
        engine.on_socket_register_write = lambda *_: None
        if options.user is not None:
            engine.username_pw_set(options.user, options.password)
        if options.tls:
            engine.trusted = options.trust
            engine.tls_set_context(tls_context(options))
            if options.trust is not None:
                engine.tls_insecure_set(True)
        self._engine = engine
        self._misc = 0.0

    def open(self) -> Greeting:
        """Connect and return the broker's answer.

        Raises:
            OSError: Nobody answers there, or the certificate is refused (`ssl.SSLError`).
            TimeoutError: The broker did not answer in time.
        """
        self.greeting, self.lost, self.lost_code = None, None, 0
        wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho leaves this one without types
        wishes.ReceiveMaximum = self._options.receive_maximum
        wishes.SessionExpiryInterval = 0 if self._clean else self._options.session_expiry
        self._engine.connect(
            self._options.host, self._options.port, self._options.keepalive, clean_start=self._clean, properties=wishes
        )
        self.heard = time.monotonic()
        end = time.monotonic() + CONNECT_TIMEOUT
        while self.greeting is None:
            if self.lost is not None:
                raise ConnectionError(self.lost)
            if time.monotonic() > end:
                self.close()
                raise TimeoutError("no CONNACK")
            self.spin(0.1)
        return self.greeting

    def spin(self, timeout: float, *, wake: int | None = None, read: bool = True, packets: int = 5_000) -> bool:
        """Wait for something to do, do it, and say whether the connection is still open.

        Args:
            timeout: How long to wait [s].
            wake: Descriptor that ends the waiting when readable; the caller empties it.
            read: Whether to take messages now; False = let the broker wait.
            packets: How many packets to take at most.
        """
        sock = cast(BufferedSocket | None, self._engine.socket())
        if sock is None:
            self.lost = self.lost or "closed"
            return False
        self.flush()
        poll = select.poll()
        sending = sock.unsent > 0
        poll.register(sock.fileno(), (select.POLLIN if read else 0) | (select.POLLOUT if sending else 0))
        if wake is not None:
            poll.register(wake, select.POLLIN)
        waits = 0.0 if read and sock.pending() else timeout
        ready = dict(poll.poll(waits * 1_000))
        if read and (sock.pending() or ready.get(sock.fileno(), 0) & (select.POLLIN | select.POLLHUP | select.POLLERR)):
            self.heard = time.monotonic()
            for _ in range(packets):
                self._engine.loop_read()
                if cast(object, self._engine.socket()) is not sock or not sock.pending() or self.enough:
                    break
        elif ready.get(sock.fileno(), 0) & (select.POLLHUP | select.POLLERR):
            self._engine.loop_read()
        self.flush()
        now = time.monotonic()
        if now - self._misc > 0.5:
            self._misc = now
            self._engine.loop_misc()
        return self._engine.socket() is not None and self.lost is None

    def flush(self) -> None:
        """Send acknowledgements and whatever else waits."""
        sock = cast(BufferedSocket | None, self._engine.socket())
        if sock is None:
            return
        if self._engine.want_write():
            self._engine.loop_write()
        try:
            sock.flush()
        except OSError as error:
            self.lost = str(error)

    def subscribe(self, filters: Sequence[str], qos: int, *, kept: Literal["new", "always"] = "new") -> int:
        """Ask for topics; returns the packet identifier of the request.

        Args:
            filters: Topic filters.
            qos: 0 or 1.
            kept: Whether messages that the broker keeps come with a new subscription only, or each time.
        """
        handling = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB if kept == "new" else SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE
        asked = [(one, SubscribeOptions(qos=qos, retainHandling=handling)) for one in filters]
        _, mid = self._engine.subscribe(cast(Any, asked))
        return mid or 0

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Give topics back."""
        self._engine.unsubscribe(list(filters))

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> paho.MQTTMessageInfo:
        """Send a message with the next `spin`; what is returned says when the broker has it."""
        return self._engine.publish(topic, payload, qos=qos, retain=retain)

    def will(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Say what the broker publishes when this connection breaks; before `open`."""
        self._engine.will_set(topic, payload, qos=qos, retain=retain)

    def ack(self, packet: int) -> None:
        """Acknowledge a QoS-1 message with the next `spin`."""
        self._engine.ack(packet, 1)

    def close(self) -> None:
        """Say good-bye and close; the session stays for as long as it was asked to."""
        if self._engine.socket() is not None:
            self._engine.disconnect()
            self.flush()
            if self._engine.socket() is not None:
                self.abort()
        self.lost = self.lost or "closed"

    def abort(self) -> None:
        """Close without a word, as a crash would."""
        sock = cast(BufferedSocket | None, self._engine.socket())
        if sock is not None:
            sock.close()
            self._engine.loop_read()

    def _on_connect(self, _client: object, _data: object, flags: Any, reason: ReasonCode, said: Properties | None) -> None:  # noqa: ANN401
        self.greeting = Greeting(
            accepted=not reason.is_failure,
            code=int(reason.value),
            reason=reason.getName(),
            session_present=bool(flags.session_present),
            session_expiry=getattr(said, "SessionExpiryInterval", None),
        )

    def _on_disconnect(self, _client: object, _data: object, _flags: object, reason: ReasonCode, _said: object) -> None:
        # A broker's own word comes first; the end of the socket that follows says nothing more.
        if self.lost is None:
            self.lost = reason.getName()
            self.lost_code = int(reason.value)

    def _on_subscribe(self, _client: object, _data: object, mid: int, reasons: list[ReasonCode], _said: object) -> None:
        self.granted[mid] = [int(reason.value) for reason in reasons]
