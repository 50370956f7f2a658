"""Settings of an MQTT connection, read and checked before anything is tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from madang.connect._source import ConnectionSettings
from madang.connect.mqtt._rules import PAYLOAD_OPTIONS, PayloadRules, count_of, rules_of
from madang.errors import UsageError
from madang.plant import Bilingual

CONNECTION_OPTIONS: Final[Mapping[str, Bilingual]] = {
    "user": Bilingual("로그인 이름", "name to log in with"),
    "client_id": Bilingual(
        "브로커가 이 연결을 알아보는 이름. 비우면 한 번 만들어 계속 써요. 같은 이름을 두 곳에서 쓰면 서로 끊어요.",
        "name by which the broker knows this connection; empty: made once and kept. Two users of one name cut each other off.",
    ),
    "qos": Bilingual("구독 QoS: 1 (기본; 저장한 뒤에 확인을 보내요) 또는 0", "QoS of the subscription: 1 (default; acknowledged once stored) or 0"),
    "keepalive": Bilingual("아무 소식이 없을 때 살아 있는지 묻는 간격 [초] (기본 20)", "how often to ask whether the broker is alive [s] (default 20)"),
    "session_expiry": Bilingual(
        "끊긴 동안 브로커가 메시지를 쌓아 두는 시간 [초] (기본 604800 = 7일)",
        "how long the broker keeps messages while we are away [s] (default 604800, a week)",
    ),
    "receive_maximum": Bilingual(
        "저장을 기다리는 메시지의 최대 수; 넘으면 브로커가 기다려요 (기본 2000)",
        "messages that may wait to be stored; the broker waits beyond it (default 2000)",
    ),
    "buffer_bytes": Bilingual("저장을 기다리는 바이트의 최대 (기본 67108864)", "bytes that may wait to be stored (default 67108864)"),
    "ca": Bilingual("브로커 인증서를 확인할 CA 파일(PEM)", "CA file (PEM) that the broker's certificate is checked against"),
    "trust": Bilingual(
        "믿는 브로커 인증서의 SHA-256 지문. 정하면 이 인증서만 받아요.",
        "SHA-256 fingerprint of the broker certificate to trust; when set, no other is taken",
    ),
    "certificate": Bilingual("클라이언트 인증서 파일(PEM)", "client certificate file (PEM)"),
    "key": Bilingual("클라이언트 개인키 파일(PEM)", "client private key file (PEM)"),
    "identity": Bilingual(
        "중복을 알아보는 법: packet (기본; 다시 보냈다고 표시된 메시지만) 또는 payload (토픽과 내용이 같으면 모두)",
        "how duplicates are told: packet (default; only messages marked as sent again) or payload (equal topic and content)",
    ),
    "wait": Bilingual("시험과 찾아보기에서 메시지를 기다리는 시간 [초] (기본 5)", "how long testing and browsing wait for messages [s] (default 5)"),
}  # fmt: skip

OPTIONS: Final[Mapping[str, Bilingual]] = {**CONNECTION_OPTIONS, **PAYLOAD_OPTIONS}
SECRETS: Final = frozenset({"password", "key_password"})
SCHEMES: Final = ("mqtt", "mqtts")
EXAMPLE: Final = "mqtts://broker.example:8883"
PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True)
class MqttOptions:
    """How to reach a broker and what to ask of it."""

    name: str
    host: str
    port: int
    tls: bool
    filters: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id: str | None = None
    qos: int = 1
    keepalive: int = 20
    """[s]"""
    session_expiry: int = 604_800
    """[s]"""
    receive_maximum: int = 2_000
    buffer_bytes: int = 64 << 20
    ca: str | None = None
    trust: str | None = None
    """Fingerprint in small hexadecimal letters without colons."""
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    wait: int = 5
    """[s]"""
    rules: PayloadRules = field(default_factory=PayloadRules)


def options_of(settings: ConnectionSettings) -> MqttOptions:
    """Read the settings of a connection.

    Raises:
        UsageError: The address, a topic filter or an option is wrong; the error says which and what is allowed.
    """
    host, port, tls, user = address_of(settings.url)
    options = settings.options
    unknown = sorted(set(options) - set(OPTIONS))
    if unknown:
        raise _refused(
            "unknown_option",
            f"모르는 옵션이에요: {', '.join(unknown)}",
            f"unknown option: {', '.join(unknown)}",
            f"쓸 수 있는 옵션: {', '.join(OPTIONS)}",
            f"Options: {', '.join(OPTIONS)}",
        )
    if options.get("identity", "packet") not in {"packet", "payload"}:
        raise _refused("wrong_option", "identity는 packet 또는 payload예요.", "identity is packet or payload.")
    return MqttOptions(
        name=settings.name,
        host=host,
        port=port,
        tls=tls,
        filters=tuple(checked_filter(one) for one in settings.tags) or ("#",),
        user=options.get("user") or user,
        password=settings.secrets.get("password") or None,
        client_id=options.get("client_id") or None,
        qos=count_of(options, "qos", 1, high=1),
        keepalive=count_of(options, "keepalive", 20, low=2, high=3_600),
        session_expiry=count_of(options, "session_expiry", 604_800, high=0xFFFFFFFF),
        receive_maximum=count_of(options, "receive_maximum", 2_000, low=1, high=65_535),
        buffer_bytes=count_of(options, "buffer_bytes", 64 << 20, low=1 << 16),
        ca=options.get("ca") or None,
        trust=_fingerprint(options.get("trust", "")),
        certificate=options.get("certificate") or None,
        key=options.get("key") or None,
        key_password=settings.secrets.get("key_password") or None,
        wait=count_of(options, "wait", 5, high=600),
        rules=rules_of({name: options[name] for name in options if name in PAYLOAD_OPTIONS}, settings.zone),
    )


def address_of(url: str) -> tuple[str, int, bool, str | None]:
    """Return host, port, whether TLS is asked for, and the user's name of an address.

    Raises:
        UsageError: It is no address of a broker, or carries a password.

    >>> address_of("mqtts://broker.example")
    ('broker.example', 8883, True, None)
    """
    try:
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.password is not None:
        raise _refused(
            "secret_in_address",
            "주소에 비밀번호를 적을 수 없어요.",
            "A password may not stand in the address.",
            "`--secret password` 로 따로 넣어 주세요.",
            "Give it apart, with `--secret password`.",
        )
    if parts.scheme not in PORTS or not host or parts.path.strip("/") or parts.query:
        raise _refused(
            "wrong_address",
            f"브로커 주소가 아니에요. 예: {EXAMPLE}",
            f"This is no address of a broker. Example: {EXAMPLE}",
            "mqtt:// (암호화 없음) 또는 mqtts:// (TLS) 로 적고, 토픽은 --tag 로 넣어 주세요.",
            "Write mqtt:// (not encrypted) or mqtts:// (TLS); topics go into --tag.",
        )
    return host, port or PORTS[parts.scheme], parts.scheme == "mqtts", unquote(parts.username) if parts.username else None


def checked_filter(text: str) -> str:
    """Return a topic filter that a broker will take.

    Raises:
        UsageError: ``+`` or ``#`` stands where it may not (MQTT 5, 4.7.1).
    """
    levels = text.split("/")
    wrong = not text or len(text.encode(errors="replace")) > 65_535 or "\0" in text
    wrong = wrong or any(len(level) > 1 and ("+" in level or "#" in level) for level in levels) or "#" in levels[:-1]
    if wrong:
        raise _refused(
            "wrong_topic",
            "토픽 필터가 아니에요. `+` 는 한 단계, `#` 는 맨 끝에서 그 아래 전부를 뜻해요.",
            "This is no topic filter: `+` stands for one level, `#` at the end for all below.",
            "예: 공장/1호기/+/온도",
            "Example: plant/line1/+/temperature",
        )
    return text


def matches(topic: str, wanted: str) -> bool:
    """Whether a topic falls under a filter.

    >>> matches("a/b/c", "a/+/c"), matches("a/b", "a/b/#"), matches("$SYS/x", "#")
    (True, True, False)
    """
    if topic.startswith("$") and wanted[:1] in {"+", "#"}:
        return False
    levels, asked = topic.split("/"), wanted.split("/")
    for at, level in enumerate(asked):
        if level == "#":
            return True
        if at >= len(levels) or (level != "+" and level != levels[at]):
            return False
    return len(levels) == len(asked)


def _fingerprint(text: str) -> str | None:
    plain = text.replace(":", "").replace(" ", "").strip().casefold()
    if not plain:
        return None
    if len(plain) != 64 or any(letter not in "0123456789abcdef" for letter in plain):
        raise _refused(
            "wrong_option",
            "trust는 SHA-256 지문(16진수 64자)이에요.",
            "trust is a SHA-256 fingerprint: 64 hexadecimal digits.",
            "연결 시험이 보여 주는 지문을 그대로 넣어 주세요.",
            "Copy it from the connection test.",
        )
    return plain


def _refused(code: str, ko: str, en: str, next_ko: str = "", next_en: str = "") -> UsageError:
    return UsageError(code, ko=ko, en=en, next_ko=next_ko, next_en=next_en)
