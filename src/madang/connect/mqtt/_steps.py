"""Tries to reach a broker step by step, and says in plain words where it ends."""

from __future__ import annotations

import os
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import paho.mqtt.client as paho
from cryptography import x509

from madang.connect._blocks import Message, Reject
from madang.connect._source import TestStep
from madang.connect.mqtt._decode import PayloadDecoder
from madang.connect.mqtt._link import Link, fingerprint, tls_context
from madang.connect.mqtt._options import MqttOptions
from madang.connect.mqtt._watch import DROPPED, SYSTEM_TOPICS, VERSION
from madang.connect.mqtt._words import certificate_trouble, refused_login
from madang.plant import Bilingual

_PATIENCE: Final = 8.0
"""How long a name, a socket or a handshake may take [s]."""


Look = Callable[[list[Message]], tuple[list[str], Sequence[Reject]]]
"""Returns the names of the tags that messages hold, and what could not be read."""


def steps_of(options: MqttOptions, clock: Callable[[], int], look: Look | None = None) -> Iterator[TestStep]:
    """Yield the steps of a connection test; nothing is published, and a running session is not disturbed.

    Args:
        options: Where to and how.
        clock: Returns the time [ns since 1970].
        look: Reads the messages that came; by default as JSON.
    """
    for step in (_name, _tcp, _trust):
        told = _timed(step, options)
        if told is not None:
            yield told
            if told.state in {"failed", "ask"}:
                return
    yield from _broker(options, clock, look or _look_at_json(options))


def _timed(step: Callable[[MqttOptions], TestStep | None], options: MqttOptions) -> TestStep | None:
    begin = time.monotonic()
    told = step(options)
    if told is None:
        return None
    return TestStep(told.name, told.state, told.text, told.next, round(time.monotonic() - begin, 3), told.facts)


def _name(options: MqttOptions) -> TestStep:
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return TestStep(
            "name",
            "failed",
            Bilingual(f"이름 {options.host}의 주소를 찾지 못했어요.", f"The name {options.host} has no address."),
            Bilingual(
                "철자와 네트워크(DNS)를 확인하거나 IP 주소로 적어 주세요.",
                "Check the spelling and the network (DNS), or write an IP address.",
            ),
        )
    address = str(found[0][4][0])
    return TestStep(
        "name", "ok", Bilingual(f"이름을 찾았어요: {address}", f"The name is known: {address}"), facts={"address": address}
    )


def _tcp(options: MqttOptions) -> TestStep:
    try:
        socket.create_connection((options.host, options.port), timeout=_PATIENCE).close()
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError)
        ko = "그 포트에서 듣는 프로그램이 없어요" if refused else "제때 대답이 없어요"
        en = "nobody listens on that port" if refused else "nobody answers in time"
        return TestStep(
            "tcp",
            "failed",
            Bilingual(
                f"{options.host}:{options.port}에 닿지 못했어요: {ko}.", f"{options.host}:{options.port} is not reached: {en}."
            ),
            Bilingual(
                "브로커가 켜져 있는지, 포트(1883 또는 TLS 8883)와 방화벽을 확인해 주세요.",
                "Check that the broker runs, the port (1883, or 8883 with TLS) and the firewall.",
            ),
        )
    return TestStep("tcp", "ok", Bilingual("포트가 열려 있어요.", "The port is open."))


def _trust(options: MqttOptions) -> TestStep | None:
    if not options.tls:
        if options.password is None:
            return None
        return TestStep(
            "trust",
            "skipped",
            Bilingual(
                "암호화하지 않아 비밀번호가 그대로 지나가요.", "Nothing is encrypted: the password travels in the clear."
            ),
            Bilingual("가능하면 mqtts:// 로 연결해 주세요.", "Use mqtts:// where the broker offers it."),
        )
    try:
        context = tls_context(options)
    except (OSError, ssl.SSLError) as error:
        return TestStep(
            "trust",
            "failed",
            Bilingual(f"인증서 파일을 읽지 못했어요: {error}", f"A certificate file cannot be read: {error}"),
            Bilingual(
                "옵션 ca, certificate, key의 경로를 확인해 주세요.", "Check the paths in the options ca, certificate and key."
            ),
        )
    try:
        facts = _handshake(options, context)
    except ssl.SSLCertVerificationError as error:
        shown = _shown(options)
        why = certificate_trouble(error)
        return TestStep(
            "trust",
            "ask",
            Bilingual(
                f"{why.ko}. 이 인증서를 믿을지 정해 주세요.", f"{why.en[:1].upper()}{why.en[1:]}. Decide whether to trust it."
            ),
            Bilingual(
                "브로커 관리자에게 지문이 맞는지 묻고, 맞으면 `--set trust=지문` 으로 정해 주세요. 회사 CA가 있으면 `--set ca=FILE`.",
                "Ask the broker's administrator whether the fingerprint is right, and then `--set trust=FINGERPRINT`; with an own CA `--set ca=FILE`.",
            ),
            facts=shown,
        )
    except (OSError, ssl.SSLError) as error:
        return TestStep(
            "trust",
            "failed",
            Bilingual(f"TLS 연결을 맺지 못했어요: {_short(error)}", f"No TLS connection: {_short(error)}"),
            Bilingual(
                "이 포트가 TLS 포트인지(보통 8883), 클라이언트 인증서가 필요한지 확인해 주세요. 암호화 없이 다시 시도하지 않아요.",
                "Check that this is the TLS port (usually 8883) and whether a client certificate is wanted. It is not tried without encryption.",
            ),
        )
    if options.trust is not None and facts["fingerprint"] != options.trust:
        return TestStep(
            "trust",
            "ask",
            Bilingual("브로커의 인증서가 믿기로 한 것과 달라요.", "The broker's certificate is not the trusted one."),
            Bilingual(
                "인증서를 새로 바꾼 것이 맞는지 관리자에게 물어보고 trust를 바꿔 주세요.",
                "Ask the administrator whether it was replaced, and then change trust.",
            ),
            facts=facts,
        )
    return TestStep("trust", "ok", Bilingual("인증서를 확인했어요.", "The certificate is trusted."), facts=facts)


def _handshake(options: MqttOptions, context: ssl.SSLContext) -> dict[str, str]:
    with (
        socket.create_connection((options.host, options.port), timeout=_PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=options.host) as wrapped,
    ):
        return {**_facts(wrapped.getpeercert(binary_form=True) or b""), "protocol": wrapped.version() or ""}


def _shown(options: MqttOptions) -> dict[str, str]:
    """Return what the broker's certificate says, without trusting it: nothing is sent over that connection."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return _handshake(options, context)
    except (OSError, ssl.SSLError):
        return {}


def _facts(der: bytes) -> dict[str, str]:
    certificate = x509.load_der_x509_certificate(der)
    return {
        "fingerprint": fingerprint(der),
        "thumbprint": fingerprint(der),
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "from": _day(certificate.not_valid_before_utc),
        "until": _day(certificate.not_valid_after_utc),
    }


def _day(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _short(error: BaseException) -> str:
    return (getattr(error, "reason", None) or str(error) or type(error).__name__)[:120]


def _look_at_json(options: MqttOptions) -> Look:
    def look(heard: list[Message]) -> tuple[list[str], Sequence[Reject]]:
        tags: dict[str, int] = {}
        decoded = PayloadDecoder(options.rules).decode(heard, lambda tag: tags.setdefault(tag.name, len(tags) + 1))
        return list(tags), decoded.rejects

    return look


def _broker(options: MqttOptions, clock: Callable[[], int], look: Look) -> Iterator[TestStep]:
    heard: list[Message] = []
    system: dict[str, str] = {}

    def take(message: paho.MQTTMessage) -> None:
        if message.topic in SYSTEM_TOPICS:
            system[message.topic] = message.payload.decode(errors="replace")
            return
        if len(heard) < 1_000:
            heard.append(Message(message.topic, bytes(message.payload), clock() // 1_000, retained=message.retain))
        if message.qos and message.mid:
            link.ack(message.mid)

    begin = time.monotonic()
    link = Link(options, f"madang-test-{secrets.token_hex(4)}-{os.getpid()}", clean=True, on_message=take)
    try:
        greeting = link.open()
    except (OSError, ssl.SSLError) as error:
        yield TestStep(
            "login",
            "failed",
            Bilingual(
                f"브로커가 MQTT로 대답하지 않아요: {_short(error)}", f"The broker does not answer in MQTT: {_short(error)}"
            ),
            Bilingual(
                "MQTT 5 브로커의 포트가 맞는지 확인해 주세요. TLS 포트라면 mqtts:// 로 적어 주세요.",
                "Check that this is the port of an MQTT 5 broker; for a TLS port write mqtts://.",
            ),
        )
        return
    if not greeting.accepted:
        link.close()
        refusal = refused_login(greeting.code, greeting.reason)
        following = refusal.document()
        yield TestStep(
            "login",
            "failed",
            Bilingual(refusal.ko, refusal.en),
            Bilingual(str(following["next_ko"]), str(following["next_en"])),
            round(time.monotonic() - begin, 3),
        )
        return
    yield TestStep(
        "login",
        "ok",
        Bilingual("브로커가 접속을 받아 주었어요.", "The broker let us in."),
        seconds=round(time.monotonic() - begin, 3),
    )
    try:
        yield from _topics(options, link, heard, system, look)
    finally:
        link.close()


def _topics(options: MqttOptions, link: Link, heard: list[Message], system: dict[str, str], look: Look) -> Iterator[TestStep]:
    begin = time.monotonic()
    asked = link.subscribe(options.filters, options.qos)
    link.subscribe(SYSTEM_TOPICS, 0, kept="always")
    end = time.monotonic() + max(options.wait, 1)
    while time.monotonic() < end and (asked not in link.granted or not heard) and link.spin(0.1):
        pass
    codes = link.granted.get(asked, [])
    refused = [one for one, code in zip(options.filters, codes, strict=False) if code >= 0x80]
    if refused or not codes:
        yield TestStep(
            "browse",
            "failed",
            Bilingual(
                f"브로커가 구독을 허락하지 않아요: {', '.join(refused) or '?'}",
                f"The broker refuses to subscribe: {', '.join(refused) or '?'}",
            ),
            Bilingual(
                "브로커의 권한(ACL)이나 토픽 이름을 확인해 주세요.", "Check the broker's access rules or the topic's name."
            ),
            round(time.monotonic() - begin, 3),
        )
        return
    yield TestStep(
        "browse",
        "ok",
        Bilingual(f"토픽 {len(options.filters)}개를 구독했어요.", f"Subscribed to {len(options.filters)} topics."),
        advice(system),
        round(time.monotonic() - begin, 3),
        {name: text for name, text in (("broker", system.get(VERSION, "")), ("dropped", system.get(DROPPED, ""))) if text},
    )
    yield _one_value(look, heard, round(time.monotonic() - begin, 3))


def _one_value(look: Look, heard: list[Message], seconds: float) -> TestStep:
    if not heard:
        return _silent(seconds)
    tags, rejects = look(heard)
    if not tags:
        if not rejects:
            return _silent(seconds)
        reject = rejects[0]
        return TestStep(
            "value",
            "failed",
            Bilingual(
                f"메시지는 왔지만 읽지 못했어요: {reject.reason.ko}", f"Messages come, but cannot be read: {reject.reason.en}"
            ),
            Bilingual(
                "메시지 예시를 붙여 넣어 어느 필드가 값인지 알려 주세요.",
                "Paste a sample message and say which field is the value.",
            ),
            seconds,
            {"topic": reject.topic, "code": reject.code},
        )
    return TestStep(
        "value",
        "ok",
        Bilingual(f"값이 와요: 태그 {len(tags)}개.", f"Values come: {len(tags)} tags."),
        None,
        seconds,
        {"tags": str(len(tags)), "first": tags[0], "rejected": str(len(rejects))},
    )


def _silent(seconds: float) -> TestStep:
    return TestStep(
        "value",
        "skipped",
        Bilingual("기다리는 동안 온 메시지가 없었어요.", "No message came while waiting."),
        Bilingual(
            "지금 조용한 설비라면 메시지 예시를 붙여 넣어 모양을 알려 주세요. 아니라면 토픽을 확인해 주세요.",
            "If the source is silent now, paste a sample message; otherwise check the topic.",
        ),
        seconds,
    )


def advice(system: dict[str, str]) -> Bilingual | None:
    """Return what to set at the broker so that it keeps what comes while we are away."""
    if "mosquitto" not in system.get(VERSION, "").casefold():
        return Bilingual(
            "이 브로커는 버린 메시지 수를 알려 주지 않아요. 끊긴 동안 쌓아 둘 양을 브로커 설정에서 확인하고, 보내는 쪽 번호가 있으면 옵션 sequence를 정해 주세요.",
            "This broker does not tell how many messages it throws away. Check how much it keeps for a receiver that is away, and set the option sequence where senders count.",
        )
    return Bilingual(
        "mosquitto는 기본으로 끊긴 동안 메시지를 1,000개만 쌓아 두고 나머지는 버려요. "
        "mosquitto.conf에 `max_queued_messages 0` 과 `max_queued_bytes`, `persistence true` 를 정해 주세요.",
        "By default mosquitto keeps only 1,000 messages for a receiver that is away and throws away the rest. "
        "Set `max_queued_messages 0`, `max_queued_bytes` and `persistence true` in mosquitto.conf.",
    )
