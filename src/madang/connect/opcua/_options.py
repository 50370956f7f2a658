"""What ``--set`` may say about an OPC UA connection, read once and checked before anything is opened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import unquote, urlsplit

from madang.connect._source import ConnectionSettings
from madang.errors import UsageError
from madang.plant import Bilingual

Policy = Literal["auto", "none", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"]
Mode = Literal["SignAndEncrypt", "Sign"]
Trigger = Literal["value", "time"]
TimeFrom = Literal["source", "server"]

OPTIONS: Final[Mapping[str, Bilingual]] = {
    "security": Bilingual(
        "보안 정책: auto(서버가 주는 것 가운데 가장 강한 것, 기본값), Basic256Sha256, Aes128Sha256RsaOaep, Aes256Sha256RsaPss, none",
        "security policy: auto (the strongest that the server offers, the default), Basic256Sha256, Aes128Sha256RsaOaep,"
        " Aes256Sha256RsaPss, none",
    ),
    "mode": Bilingual("SignAndEncrypt(기본값) 또는 Sign", "SignAndEncrypt (default) or Sign"),
    "certificates": Bilingual(
        "인증서 폴더: 우리 것과 믿는 서버의 것", "folder of certificates: our own and those of trusted servers"
    ),
    "accept": Bilingual(
        "알고도 받아들일 것, 쉼표로: expired, host, weak, plain_password",
        "what is knowingly accepted, with commas: expired, host, weak, plain_password",
    ),
    "user": Bilingual("사용자 이름; 없으면 익명", "user name; anonymous without one"),
    "user_certificate": Bilingual("사용자 인증서 파일(X.509)", "file of the user's certificate (X.509)"),
    "user_key": Bilingual("사용자 인증서의 개인 키 파일", "file of the user certificate's private key"),
    "root": Bilingual("훑기를 시작할 노드, 기본값 Objects", "node where browsing starts, Objects by default"),
    "depth": Bilingual("훑는 깊이, 기본값 12", "depth of browsing, 12 by default"),
    "limit": Bilingual("태그 수의 한도, 기본값 20000", "most tags, 20000 by default"),
    "publish": Bilingual("보내는 주기 [ms], 기본값 250", "publishing interval [ms], 250 by default"),
    "sampling": Bilingual("서버가 읽는 주기 [ms], 기본값 100", "sampling interval of the server [ms], 100 by default"),
    "queue": Bilingual(
        "태그마다 서버가 쌓는 값의 수, 기본값은 10초 분량",
        "values that the server keeps for each tag, 10 s worth of them by default",
    ),
    "trigger": Bilingual(
        "무엇이 바뀌면 보내나: value(값이나 품질, 기본값) 또는 time(시각만 바뀌어도)",
        "what counts as a change: value (value or quality, the default) or time (a new time as well)",
    ),
    "array_limit": Bilingual(
        "배열에서 태그로 나누는 요소의 한도, 기본값 64", "most elements of an array that become tags, 64 by default"
    ),
    "text_limit": Bilingual("글의 한도 [바이트], 기본값 65536", "longest text [bytes], 65536 by default"),
    "time": Bilingual("값의 시각: source(기본값) 또는 server", "whose time a value has: source (default) or server"),
    "earliest": Bilingual(
        "이보다 이른 시각의 값은 격리해요, 기본값 2000-01-01",
        "values with an earlier time are set aside, 2000-01-01 by default",
    ),
    "ahead": Bilingual(
        "우리 시계보다 이만큼 넘게 앞선 값은 격리해요 [s], 기본값 86400",
        "values further ahead of our clock are set aside [s], 86400 by default",
    ),
    "history": Bilingual(
        "빈틈을 서버의 이력에서 메우기: yes(기본값), no", "fill gaps from the server's history: yes (default), no"
    ),
    "timeout": Bilingual("한 요청을 기다리는 시간 [s], 기본값 10", "longest wait for one answer [s], 10 by default"),
    "reconnect": Bilingual(
        "다시 잇기까지 가장 긴 기다림 [s], 기본값 5", "longest wait before connecting again [s], 5 by default"
    ),
}
SECRETS: Final = frozenset({"password", "user_key_password"})
ACCEPTABLE: Final = frozenset({"expired", "host", "weak", "plain_password"})


@dataclass(frozen=True)
class Options:
    """Settings of one OPC UA connection, checked."""

    name: str
    url: str
    host: str
    port: int
    security: Policy = "auto"
    mode: Mode = "SignAndEncrypt"
    certificates: Path | None = None
    accept: frozenset[str] = frozenset()
    user: str | None = None
    password: str | None = None
    user_certificate: Path | None = None
    user_key: Path | None = None
    user_key_password: str | None = None
    root: str = "i=85"
    depth: int = 12
    limit: int = 20_000
    publish: float = 250.0
    """[ms]"""
    sampling: float = 100.0
    """[ms]"""
    queue: int = 100
    trigger: Trigger = "value"
    array_limit: int = 64
    text_limit: int = 65_536
    """[bytes]"""
    time: TimeFrom = "source"
    earliest: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    ahead: float = 86_400.0
    """[s]"""
    history: bool = True
    timeout: float = 10.0
    """[s]"""
    reconnect: float = 5.0
    """[s]"""

    def __repr__(self) -> str:
        """Say which connection it is; never a password."""
        return f"Options({self.name!r}, {self.url!r}, security={self.security!r})"


def read_options(settings: ConnectionSettings) -> Options:
    """Return the checked options of a connection.

    Raises:
        UsageError: The address or an option is not one that OPC UA has; the error says what is allowed.
    """
    unknown = sorted(set(settings.options) - set(OPTIONS))
    if unknown:
        raise _wrong(
            settings, ", ".join(unknown), f"모르는 옵션: {', '.join(unknown)}", f"unknown options: {', '.join(unknown)}"
        )
    parts = _address(settings)
    get = settings.options.get
    publish = _number(settings, "publish", 250.0, 10.0, 3_600_000.0)
    sampling = _number(settings, "sampling", 100.0, 0.0, 3_600_000.0)
    least = max(2, math.ceil(2 * publish / sampling)) if sampling > 0 else 100
    usual = max(least, min(1_000, math.ceil(10_000.0 / sampling))) if sampling > 0 else 1_000
    accept = frozenset(word.strip() for word in get("accept", "").split(",") if word.strip())
    if accept - ACCEPTABLE:
        raise _wrong(settings, "accept", f"가능: {', '.join(sorted(ACCEPTABLE))}", f"allowed: {', '.join(sorted(ACCEPTABLE))}")
    folder = get("certificates")
    queue = int(_number(settings, "queue", usual, 1, 100_000))
    if queue < least:
        raise _wrong(
            settings,
            "queue",
            f"보내는 주기 사이에 값이 사라지지 않으려면 {least} 이상이어야 해요",
            f"it has to be {least} or more, or values are lost between two publishings",
        )
    return Options(
        name=settings.name,
        url=_without_user(settings.url),
        host=parts[0],
        port=parts[1],
        security=cast(
            "Policy",
            _word(
                settings, "security", "auto", ("auto", "none", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
            ),
        ),
        mode=cast("Mode", _word(settings, "mode", "SignAndEncrypt", ("SignAndEncrypt", "Sign"))),
        certificates=Path(folder) if folder else None,
        accept=accept,
        user=get("user") or parts[2],
        password=settings.secrets.get("password"),
        user_certificate=Path(get("user_certificate", "")) if get("user_certificate") else None,
        user_key=Path(get("user_key", "")) if get("user_key") else None,
        user_key_password=settings.secrets.get("user_key_password"),
        root=get("root", "i=85"),
        depth=int(_number(settings, "depth", 12, 1, 100)),
        limit=int(_number(settings, "limit", 20_000, 1, 1_000_000)),
        publish=publish,
        sampling=sampling,
        queue=queue,
        trigger=cast("Trigger", _word(settings, "trigger", "value", ("value", "time"))),
        array_limit=int(_number(settings, "array_limit", 64, 0, 10_000)),
        text_limit=int(_number(settings, "text_limit", 65_536, 1, 16_777_216)),
        time=cast("TimeFrom", _word(settings, "time", "source", ("source", "server"))),
        earliest=_instant(settings, "earliest", datetime(2000, 1, 1, tzinfo=UTC)),
        ahead=_number(settings, "ahead", 86_400.0, 0.0, 1e10),
        history=_word(settings, "history", "yes", ("yes", "no")) == "yes",
        timeout=_number(settings, "timeout", 10.0, 0.1, 600.0),
        reconnect=_number(settings, "reconnect", 5.0, 0.05, 3_600.0),
    )


def _address(settings: ConnectionSettings) -> tuple[str, int, str | None]:
    try:
        url = urlsplit(settings.url)
        host, port = url.hostname, url.port or 4840
    except ValueError:
        url, host, port = urlsplit(""), None, 0
    if url.scheme != "opc.tcp" or not host:
        raise UsageError(
            "wrong_address",
            ko="OPC UA 주소가 아니에요. opc.tcp://이름:포트/경로 모양이어야 해요.",
            en="This is not an OPC UA address. It has to look like opc.tcp://name:port/path.",
            next_ko="예: --url opc.tcp://192.168.0.10:4840",
            next_en="Example: --url opc.tcp://192.168.0.10:4840",
            where={"connection": settings.name},
        )
    if url.password:
        raise UsageError(
            "secret_in_address",
            ko="주소에 비밀번호를 적지 마세요. 주소는 그대로 보이고 기록돼요.",
            en="The address must not hold a password: addresses are shown and logged.",
            next_ko="비밀번호는 물을 때 넣으세요.",
            next_en="Give the password where it is asked for.",
            where={"connection": settings.name},
        )
    return host, port, unquote(url.username) if url.username else None


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _word(settings: ConnectionSettings, name: str, default: str, allowed: tuple[str, ...]) -> str:
    got = settings.options.get(name, default)
    for word in allowed:
        if got.casefold() == word.casefold():
            return word
    raise _wrong(settings, name, f"가능: {', '.join(allowed)}", f"allowed: {', '.join(allowed)}")


def _number(settings: ConnectionSettings, name: str, default: float, low: float, high: float) -> float:
    got = settings.options.get(name)
    try:
        value = float(got) if got is not None else default
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise _wrong(settings, name, f"{low:g}부터 {high:g}까지의 수", f"a number from {low:g} to {high:g}")
    return value


def _instant(settings: ConnectionSettings, name: str, default: datetime) -> datetime:
    got = settings.options.get(name)
    if got is None:
        return default
    try:
        value = datetime.fromisoformat(got)
    except ValueError:
        raise _wrong(settings, name, "2020-01-31T00:00:00Z 같은 시각", "an instant such as 2020-01-31T00:00:00Z") from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _wrong(settings: ConnectionSettings, name: str, ko: str, en: str) -> UsageError:
    return UsageError(
        "wrong_option",
        ko=f"연결 설정 {name}: {ko}.",
        en=f"Setting {name} of the connection: {en}.",
        next_ko="madang connect add --help 에서 설정을 보세요.",
        next_en="See the settings with madang connect add --help.",
        where={"connection": settings.name, "option": name},
    )
