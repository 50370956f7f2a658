"""Devices that answer Modbus TCP: registers and bits are polled in few, large reads and become samples.

An address says where, how many counts from where, which type and which order of bytes:

=========================  ==========================================================================================
``hr:40001:float32:cdab``  holding register 40001 as the manual writes it (the first one), float32, words swapped
``holding/0:int16``        the same place counted from 0, as the protocol counts
``3@ir:30010:uint32``      input registers of device 3 behind a gateway
``hr:40005.3``             bit 3 of a register; bit 0 is the lowest
``coil:17``, ``di/16``     a coil, a discrete input
``hr:40100:string16``      16 characters
=========================  ==========================================================================================

A colon counts from 1 (``hr:1`` and ``hr:40001`` are the same register), a slash from 0. More parts may follow: ``scale=0.1``, ``offset=-40``,
``unit=degC``, ``none=-32768`` (the number that stands for "no value").
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from madang.connect._source import ConnectionSettings, SourceDescription
from madang.plant import Bilingual

if TYPE_CHECKING:
    from madang.connect.modbus._source import ModbusSource

DESCRIPTION = SourceDescription(
    kind="modbus",
    title=Bilingual("Modbus TCP", "Modbus TCP"),
    capabilities=frozenset({"browse", "read", "subscribe", "units"}),
    options={
        "points": Bilingual(
            "읽을 곳. '이름=주소; 이름=주소'. 예: 온도=hr:40001:float32:cdab:unit=degC",
            "What to read, 'NAME=ADDRESS; NAME=ADDRESS', such as temperature=hr:40001:float32:cdab:unit=degC.",
        ),
        "every": Bilingual("읽는 간격(초). 기본 1.", "Seconds between polls; 1."),
        "timeout": Bilingual("대답을 기다리는 시간(초). 기본 1.", "Seconds to wait for an answer; 1."),
        "unit_id": Bilingual(
            "주소에 적지 않았을 때의 장치 번호. 기본 1.", "Number of the device where the address says none; 1."
        ),
        "gap": Bilingual(
            "이만큼 떨어진 레지스터까지 한 번에 읽어요. 기본 8.",
            "Registers that may lie between two that are read together; 8.",
        ),
        "block": Bilingual("한 번에 읽는 레지스터 수. 기본 125.", "Most registers of one read; 125."),
        "order": Bilingual(
            "주소에 적지 않았을 때의 바이트 순서. 기본 abcd.", "Order of bytes where the address says none; abcd."
        ),
        "encoding": Bilingual("문자열의 부호화. 기본 utf-8.", "Encoding of texts; utf-8."),
        "recheck": Bilingual(
            "거절된 주소를 다시 물어보는 간격(초). 기본 60.", "Seconds until a refused address is asked for again; 60."
        ),
        "transactions": Bilingual(
            "strict 또는 ignored. 장치가 거래 번호를 되돌려 주지 않으면 ignored. 기본 strict.",
            "strict, or ignored for a device that does not give transaction numbers back; strict.",
        ),
    },
    schemes=("modbus", "modbus+tcp", "tcp"),
    url_example="modbus://192.168.0.10:502",
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


def make(settings: ConnectionSettings, *, clock: Callable[[], datetime] = _utc_now) -> ModbusSource:
    """Return the source for one device or gateway.

    Raises:
        UsageError: An option or an address cannot be understood.
    """
    from madang.connect.modbus._source import ModbusSource

    return ModbusSource(settings, clock)


__all__ = ["DESCRIPTION", "make"]
