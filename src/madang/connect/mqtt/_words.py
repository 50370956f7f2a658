"""What is said to people about a broker, in both languages."""

from __future__ import annotations

import ssl
from typing import Final

from madang.connect.mqtt._link import CertificateRefusedError
from madang.connect.mqtt._options import MqttOptions
from madang.errors import MadangError, RefusedError
from madang.plant import Bilingual

_LOGIN: Final = {
    0x84: Bilingual("브로커가 MQTT 5를 모른다고 해요", "the broker does not speak MQTT 5"),
    0x85: Bilingual("브로커가 client_id를 받아들이지 않아요", "the broker does not accept the client_id"),
    0x86: Bilingual("로그인 이름이나 비밀번호가 맞지 않아요", "the user name or password is wrong"),
    0x87: Bilingual("브로커가 이 사용자에게 접속을 허락하지 않아요", "the broker does not authorize this user"),
    0x8A: Bilingual("브로커가 이 연결을 막아 두었어요", "the broker has banned this client"),
    0x8C: Bilingual("브로커가 다른 인증 방법을 요구해요", "the broker asks for another way to authenticate"),
}
_LOGIN_NEXT: Final = {
    0x84: Bilingual("MQTT 5를 켠 브로커에 연결해 주세요.", "Connect to a broker with MQTT 5 switched on."),
    0x85: Bilingual(
        "`--set client_id=...` 로 브로커가 허락하는 이름을 정해 주세요.", "Set one that it allows with `--set client_id=...`."
    ),
}
_LOGIN_NEXT_ELSE: Final = Bilingual(
    "`--set user=...` 와 `--secret password` 를 확인해 주세요.", "Check `--set user=...` and `--secret password`."
)

# OpenSSL's verification results (x509_vfy.h)
_EXPIRED, _NOT_YET, _HOSTNAME = 10, 9, 62


def refused_login(code: int, reason: str) -> MadangError:
    """Return the error for a connection that the broker refused.

    Args:
        code: Reason code of the CONNACK.
        reason: Its name.
    """
    said = _LOGIN.get(
        code, Bilingual(f"브로커가 연결을 거절했어요 ({reason})", f"the broker refused the connection ({reason})")
    )
    following = _LOGIN_NEXT.get(code, _LOGIN_NEXT_ELSE)
    return RefusedError(
        "login_refused",
        ko=f"{said.ko}.",
        en=f"{said.en[:1].upper()}{said.en[1:]}.",
        next_ko=following.ko,
        next_en=following.en,
        where={"code": code},
    )


def certificate_trouble(error: ssl.SSLCertVerificationError) -> Bilingual:
    """Return why a certificate was not accepted, in plain words."""
    if isinstance(error, CertificateRefusedError):
        return Bilingual(
            "브로커의 인증서가 믿기로 한 것과 달라요. 바뀌었거나, 누군가 중간에 있어요",
            "the broker's certificate is not the trusted one: it was replaced, or somebody stands in between",
        )
    if error.verify_code == _EXPIRED:
        return Bilingual("브로커의 인증서가 만료됐어요", "the broker's certificate has expired")
    if error.verify_code == _NOT_YET:
        return Bilingual(
            "브로커의 인증서가 아직 유효하지 않아요. 이 컴퓨터의 시계를 확인해 주세요",
            "the broker's certificate is not valid yet; check this machine's clock",
        )
    if error.verify_code == _HOSTNAME or "match" in (error.verify_message or "").casefold():
        return Bilingual("인증서가 이 주소의 것이 아니에요", "the certificate belongs to another address")
    return Bilingual(
        "이 컴퓨터가 아는 기관이 서명한 인증서가 아니에요", "the certificate is not signed by an authority known here"
    )


def untrusted(options: MqttOptions, error: ssl.SSLCertVerificationError) -> MadangError:
    """Return the error for a broker whose certificate was not accepted; nothing was sent to it."""
    why = certificate_trouble(error)
    return RefusedError(
        "certificate_refused",
        ko=f"{why.ko}. 아무것도 보내지 않았어요.",
        en=f"{why.en[:1].upper()}{why.en[1:]}. Nothing was sent.",
        next_ko="연결 시험으로 인증서를 확인하고, `--set ca=FILE` 이나 `--set trust=지문` 으로 믿을 것을 정해 주세요.",
        next_en="Look at the certificate with the connection test, and say what to trust with `--set ca=FILE` or `--set trust=FINGERPRINT`.",
        where={"host": options.host, "port": options.port},
    )


def overflow_note(count: int) -> str:
    """Return the note of a gap for messages that the broker threw away."""
    return f"the broker threw away {count} messages for its receivers (all of them counted together)"
