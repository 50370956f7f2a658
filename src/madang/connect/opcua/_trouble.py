"""What keeps us from a server, in plain words, with the step at which it stopped and what a person can do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Final

from asyncua import ua

from madang.connect._source import TestName
from madang.errors import MadangError, RefusedError, UsageError
from madang.plant import Bilingual

_LOGIN: Final = {
    ua.StatusCodes.BadUserAccessDenied,
    ua.StatusCodes.BadIdentityTokenInvalid,
    ua.StatusCodes.BadIdentityTokenRejected,
    ua.StatusCodes.BadUserSignatureInvalid,
    ua.StatusCodes.BadIdentityChangeNotSupported,
}
_OURS_REFUSED: Final = {
    ua.StatusCodes.BadSecurityChecksFailed,
    ua.StatusCodes.BadCertificateUntrusted,
    ua.StatusCodes.BadCertificateInvalid,
    ua.StatusCodes.BadCertificateUriInvalid,
    ua.StatusCodes.BadCertificateUseNotAllowed,
    ua.StatusCodes.BadCertificateTimeInvalid,
    ua.StatusCodes.BadCertificateChainIncomplete,
}


class Trouble(Exception):  # noqa: N818 - it is no fault of ours
    """Why a server cannot be used now.

    Args:
        step: Step of the connection test at which it stopped.
        code: Stable word.
        text: What happened.
        next_step: What a person can do.
        final: Whether trying again cannot help.
        ask: Whether a person has to decide, such as whether to trust a certificate.
        facts: What a person needs for that.
    """

    def __init__(
        self,
        step: TestName,
        code: str,
        text: Bilingual,
        next_step: Bilingual | None = None,
        *,
        final: bool = False,
        ask: bool = False,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text.en)
        self.step: TestName = step
        self.code = code
        self.text = text
        self.next_step = next_step
        self.final = final
        self.ask = ask
        self.facts = dict(facts or {})

    def error(self, connection: str) -> MadangError:
        """Return it as an error of the one tree."""
        kind = RefusedError if self.step in {"trust", "login"} else UsageError
        empty = Bilingual("", "")
        return kind(
            self.code,
            ko=self.text.ko,
            en=self.text.en,
            next_ko=(self.next_step or empty).ko,
            next_en=(self.next_step or empty).en,
            where={"connection": connection, "step": self.step, **self.facts},
            retry=not self.final,
        )


def translate(error: BaseException, step: TestName, host: str, port: int) -> Trouble:
    """Return what an error of the network or of the server means for people."""
    if isinstance(error, Trouble):
        return error
    if isinstance(error, socket.gaierror):
        return Trouble(
            "name",
            "name_unknown",
            Bilingual(f"{host} 라는 이름을 찾을 수 없어요.", f"The name {host} cannot be found."),
            Bilingual("이름을 다시 보거나 IP 주소로 적으세요.", "Check the name, or give the IP address."),
        )
    if isinstance(error, ua.UaStatusCodeError):
        return _from_status(error.code, step)
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return Trouble(
            step,
            "no_answer",
            Bilingual(f"{host}:{port} 가 시간 안에 답하지 않아요.", f"{host}:{port} does not answer in time."),
            Bilingual("전원, 망, 방화벽을 보세요.", "Look at power, network and fire wall."),
        )
    if isinstance(error, ConnectionRefusedError):
        return Trouble(
            "tcp",
            "refused",
            Bilingual(
                f"{host} 는 있지만 {port} 포트에서 받지 않아요.", f"{host} is there, but nothing listens on its port {port}."
            ),
            Bilingual(
                "OPC UA 서버가 켜져 있는지, 포트가 맞는지 보세요.",
                "See whether the OPC UA server runs, and whether the port is right.",
            ),
        )
    if isinstance(error, OSError):
        if step == "tcp":
            text = Bilingual(f"{host}:{port} 에 닿을 수 없어요.", f"{host}:{port} cannot be reached.")
        else:
            text = Bilingual("서버가 연결을 끊었어요.", "The server closed the connection.")
        return Trouble(step, "lost", text, Bilingual("망과 서버의 기록을 보세요.", "Look at the network and the server's log."))
    return Trouble(
        step,
        "not_opcua",
        Bilingual(
            f"서버의 답을 OPC UA 로 읽을 수 없어요 ({type(error).__name__}).",
            f"The server's answer cannot be read as OPC UA ({type(error).__name__}).",
        ),
        Bilingual("그 포트가 OPC UA 서버의 것인지 보세요.", "See whether an OPC UA server listens on that port."),
    )


def status_name(code: int) -> str:
    """Return the standard's name of a status code.

    >>> status_name(0x80340000)
    'BadNodeIdUnknown'
    """
    return str(ua.status_codes.get_name_and_doc(code)[0])


def _from_status(code: int, step: TestName) -> Trouble:
    name = status_name(code)
    if code in _LOGIN:
        return Trouble(
            "login",
            "login_refused",
            Bilingual(f"서버가 로그인을 받아 주지 않았어요 ({name}).", f"The server refused the log-in ({name})."),
            Bilingual(
                "사용자 이름과 비밀번호를 보세요. 여러 번 틀리면 계정이 잠길 수 있어 다시 시도하지 않아요.",
                "Check user name and password. It is not tried again, because an account may be locked after several failures.",
            ),
            final=True,
        )
    if code in _OURS_REFUSED:
        return Trouble(
            "trust",
            "own_certificate_refused",
            Bilingual(f"서버가 우리 인증서를 믿지 않아요 ({name}).", f"The server does not trust our certificate ({name})."),
            Bilingual(
                "서버의 인증서 관리 화면에서 Madang 의 인증서를 믿는다고 하세요.",
                "Trust the certificate of Madang in the server's certificate manager.",
            ),
        )
    if code in {ua.StatusCodes.BadTooManySessions, ua.StatusCodes.BadTcpServerTooBusy, ua.StatusCodes.BadServerHalted}:
        text = Bilingual(f"서버가 지금 더 받을 수 없어요 ({name}).", f"The server cannot take more connections now ({name}).")
        return Trouble(step, "server_busy", text)
    return Trouble(
        step,
        "server_said_no",
        Bilingual(f"서버가 거절했어요 ({name}).", f"The server said no ({name})."),
        Bilingual("서버의 기록을 보세요.", "Look at the server's log."),
    )
