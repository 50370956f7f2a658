"""The source: polls on a fixed beat, notes what was not got, and connects anew."""

from __future__ import annotations

import codecs
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, DataType, Tag
from madang.connect._source import ConnectionSettings, Decoder, Sink, SourceDescription, TestStep
from madang.connect.modbus import DESCRIPTION
from madang.connect.modbus._address import BadAddressError, Item, parse
from madang.connect.modbus._link import DeviceSaysNoError, Link, LinkLostError, NoAnswerError, Wire
from madang.connect.modbus._plan import MOST_REGISTERS
from madang.connect.modbus._poll import Poll, Poller
from madang.connect.modbus._settings import bad_option, items_of, number_of, order_of, place_of, unit_of
from madang.plant import BAD_NO_COMMUNICATION, BAD_NODE_UNKNOWN, Bilingual, Interval

_WAITS = (0.5, 30.0)
_SILENCES = 3
"""Polls in a row without any answer after which the connection is made anew."""
Rows = list[tuple[int, datetime, float | None, str | None, int]]


class ModbusSource:
    """One device, or a gateway with several.

    Args:
        settings: Address and options; `tags` are names of points, or addresses. None of them means all points.
        clock: The time now (UTC).
        connect: Makes the link; another one serves tests.

    Raises:
        UsageError: An option or an address cannot be understood.
    """

    def __init__(
        self, settings: ConnectionSettings, clock: Callable[[], datetime], connect: Callable[[], Wire] | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._host, self._port = place_of(settings)
        self._timeout = number_of(settings, "timeout", 1.0, 0.01)
        self._every = number_of(settings, "every", 1.0, 0.001)
        self._connect = connect or self._link
        self._items = items_of(settings)
        self._poller = self._made(tuple(self._items.values()))
        self._wire: Wire | None = None
        self._numbers: dict[str, int] = {}
        self._away: str | None = None
        self._last_good: datetime | None = None
        self._good_units: dict[int, datetime] = {}
        self._silent_gaps: dict[int, str] = {}
        self._refused_gaps: dict[str, str] = {}
        self._silences = 0

    @property
    def description(self) -> SourceDescription:
        """What Modbus TCP can do."""
        return DESCRIPTION

    def test(self) -> Iterator[TestStep]:
        """Try name, TCP, and one value; there is no log-in, and nothing to browse."""
        try:
            socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError:
            yield TestStep(
                "name", "failed", Bilingual(f"'{self._host}' 라는 장치를 찾을 수 없어요.", f"No device is called '{self._host}'."),
                Bilingual("주소를 확인해 주세요.", "Check the address."),
            )  # fmt: skip
            return
        yield TestStep("name", "ok", Bilingual("주소를 찾았어요.", "The address was found."))
        try:
            wire = self._connect()
        except LinkLostError:
            yield TestStep(
                "tcp", "failed", Bilingual(f"{self._port} 포트가 대답하지 않아요.", f"Port {self._port} does not answer."),
                Bilingual("장치의 Modbus TCP 설정과 방화벽을 확인해 주세요.", "Check that Modbus TCP is on in the device, and the firewall."),
            )  # fmt: skip
            return
        yield TestStep("tcp", "ok", Bilingual("포트가 대답해요.", "The port answers."))
        yield TestStep("login", "skipped", Bilingual("Modbus 에는 로그인이 없어요.", "Modbus has no log-in."))
        count = len(self._items)
        yield TestStep("browse", "skipped", Bilingual(f"읽을 곳이 {count}개 적혀 있어요.", f"{count} points are written down."))
        try:
            yield self._value_step(wire)
        finally:
            wire.close()

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        """Return the points written down; the protocol itself has no list."""
        return [_tag(item) for item in list(self._items.values())[:limit] if item.name.startswith(under)]

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        """Return the values that the device has now."""
        items = [self._items.get(name) or self._parsed(name) for name in tags]
        known = [item for item in items if item is not None]
        now = self._clock()
        rows: Rows = [
            (sink.number_of(Tag(name)), now, None, None, BAD_NODE_UNKNOWN)
            for name, item in zip(tags, items, strict=True)
            if item is None
        ]
        try:
            wire = self._connect()
            try:
                found = self._made(known).poll(wire, self._clock)
            finally:
                wire.close()
        except LinkLostError:
            found = Poll(silent={0: known})
        rows += self._rows(found, lambda item: sink.number_of(_tag(item)), always=True)
        return _block(rows, self._clock())

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        """Poll on a fixed beat until `stop` is set; a beat that was missed because a poll took longer is left out, not made up for."""
        # Numbers of tags and gaps belong to the sink, and this may be another one than the last.
        self._numbers.clear()
        self._silent_gaps.clear()
        self._refused_gaps.clear()
        self._away = None
        sink.state("starting")
        wait, longest = _WAITS
        beat = time.monotonic()
        while not stop.is_set():
            if not self.round(sink):
                stop.wait(wait)
                wait = min(wait * 2, longest)
                beat = time.monotonic()
                continue
            wait = _WAITS[0]
            beat += self._every
            behind = time.monotonic() - beat
            if behind > 0:
                beat += -(-behind // self._every) * self._every
            stop.wait(max(0.0, beat - time.monotonic()))
        self.close()
        sink.state("stopped")

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        """Return 0: a device keeps no history."""
        return 0

    def decoder(self) -> Decoder | None:
        """Return None: registers are decoded as they come."""
        return None

    def close(self) -> None:
        """Let go of the device."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    # ---- one beat

    def round(self, sink: Sink) -> bool:
        """Poll once; returns False when the device cannot be reached."""
        try:
            if self._wire is None:
                self._wire = self._connect()
                self._silences = 0
            found = self._poller.poll(self._wire, self._clock)
        except LinkLostError as error:
            self._lost(sink, str(error))
            return False
        if not found.answered and found.silent:
            self._silences += 1
            if self._silences >= _SILENCES:
                # Half-open connections answer nothing for ever; a new one tells the difference.
                self._lost(sink, "no answer")
                return False
        else:
            self._silences = 0
        self._put(found, sink)
        return True

    def _put(self, found: Poll, sink: Sink) -> None:
        now = self._clock()
        rows = self._rows(found, lambda item: self._number_of(item, sink), always=False)
        self._note_silence(found, sink, now)
        self._note_refusals(found, sink, now)
        if rows:
            sink.put_block(_block(rows, now))
        if found.answered:
            self._last_good = now
            if self._away is not None:
                sink.gap_closed(self._away, now)
                sink.gap_filled(self._away, 0, whole=None)
                self._away = None
        if found.silent or found.refused:
            silent, refused = sum(len(items) for items in found.silent.values()), len(found.refused)
            sink.state(
                "degraded",
                Bilingual(
                    f"대답 없음 {silent}개, 거절된 주소 {refused}개", f"{silent} points without an answer, {refused} refused"
                ),
            )
        else:
            sink.state("connected")

    def _rows(self, found: Poll, number_of: Callable[[Item], int], *, always: bool) -> Rows:
        """Return samples; that a point is silent or refused is told once, when it begins, unless `always`."""
        rows: Rows = [
            (number_of(item), at, *reading)
            for item, at, reading in found.readings
            if always or item.name not in found.refused or item.name not in self._refused_gaps
        ]
        now = self._clock()
        for unit, items in found.silent.items():
            if always or unit not in self._silent_gaps:
                rows += [(number_of(item), now, None, None, BAD_NO_COMMUNICATION) for item in items]
        return rows

    def _note_silence(self, found: Poll, sink: Sink, now: datetime) -> None:
        for unit, items in found.silent.items():
            if unit not in self._silent_gaps:
                since = self._good_units.get(unit) or self._last_good or now
                self._silent_gaps[unit] = sink.gap_opened(
                    "disconnected", since, tags=[item.name for item in items], note=f"unit {unit}: no answer"
                )
        for unit in found.answered - set(found.silent):
            self._good_units[unit] = now
            gap = self._silent_gaps.pop(unit, None)
            if gap is not None:
                sink.gap_closed(gap, now)
                sink.gap_filled(gap, 0, whole=None)

    def _note_refusals(self, found: Poll, sink: Sink, now: datetime) -> None:
        for name, code in found.refused.items():
            if name not in self._refused_gaps:
                self._refused_gaps[name] = sink.gap_opened("bad_tag", now, tags=[name], note=f"exception {code}")
        got = {item.name for item, _, _ in found.readings} - set(found.refused)
        for name in got & set(self._refused_gaps):
            gap = self._refused_gaps.pop(name)
            sink.gap_closed(gap, now)
            sink.gap_filled(gap, 0, whole=None)

    def _lost(self, sink: Sink, why: str) -> None:
        self.close()
        now = self._clock()
        if self._away is None:
            self._away = sink.gap_opened("disconnected", self._last_good or now, note=why)
            rows: Rows = [(self._number_of(item, sink), now, None, None, BAD_NO_COMMUNICATION) for item in self._items.values()]
            if rows and self._last_good is not None:
                sink.put_block(_block(rows, now))
        sink.state(
            "disconnected",
            Bilingual("장치가 대답하지 않아요. 계속 다시 연결해요.", "The device does not answer; connecting goes on."),
        )

    def _value_step(self, wire: Wire) -> TestStep:
        if not self._items:
            return TestStep(
                "value", "skipped", Bilingual("읽을 곳이 아직 없어요.", "No point is written down yet."),
                Bilingual("--set points='이름=hr:40001:float32' 처럼 적어 주세요.", "Write them with --set points='NAME=hr:40001:float32'."),
            )  # fmt: skip
        item = next(iter(self._items.values()))
        try:
            wire.read(item.unit_id, item.area, item.start, item.count)
        except DeviceSaysNoError as error:
            return TestStep(
                "value", "failed",
                Bilingual(f"장치가 '{item.name}' 을 거절했어요 (예외 {error.code}).", f"The device refused '{item.name}' (exception {error.code})."),
                Bilingual("주소가 0부터인지 1부터인지, 장치 번호가 맞는지 확인해 주세요.", "Check whether its manual counts from 0 or 1, and the number of the device."),
            )  # fmt: skip
        except (NoAnswerError, LinkLostError):
            return TestStep(
                "value", "failed", Bilingual("장치가 제때 대답하지 않았어요.", "The device did not answer in time."),
                Bilingual("장치 번호(unit_id)를 확인해 주세요. 거래 번호를 돌려주지 않는 장치면 transactions=ignored 로 해 주세요.",
                          "Check unit_id; for a device that does not give transaction numbers back set transactions=ignored."),
            )  # fmt: skip
        return TestStep("value", "ok", Bilingual("값 하나를 읽었어요.", "One value was read."))

    def _made(self, items: Sequence[Item]) -> Poller:
        settings = self._settings
        encoding = settings.options.get("encoding", "utf-8")
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise bad_option(settings, "encoding", "utf-8, cp949, ascii") from None
        return Poller(
            items,
            int(number_of(settings, "gap", 8, 0)),
            int(min(number_of(settings, "block", MOST_REGISTERS, 1), MOST_REGISTERS)),
            encoding,
            timedelta(seconds=number_of(settings, "recheck", 60.0, 0)),
        )

    def _parsed(self, text: str) -> Item | None:
        try:
            return parse(text, unit_id=unit_of(self._settings), order=order_of(self._settings))
        except BadAddressError:
            return None

    def _number_of(self, item: Item, sink: Sink) -> int:
        if item.name not in self._numbers:
            self._numbers[item.name] = sink.number_of(_tag(item))
        return self._numbers[item.name]

    def _link(self) -> Wire:
        strict = self._settings.options.get("transactions", "strict")
        if strict not in ("strict", "ignored"):
            raise bad_option(self._settings, "transactions", "strict, ignored")
        return Link(self._host, self._port, self._timeout, strict == "strict")


def _tag(item: Item) -> Tag:
    kinds: Mapping[str, DataType] = {"bool": "boolean", "string": "text", "float32": "number", "float64": "number"}
    plain = item.scale == 1 and item.offset == 0
    kind = kinds.get(item.kind, "integer" if plain else "number")
    facts = {
        "address": item.address,
        "unit_id": str(item.unit_id),
        "area": item.area,
        "from_zero": str(item.start),
        "type": item.kind,
    }
    return Tag(item.name, data_type=kind, unit=item.unit, facts=facts)


def _block(rows: Sequence[tuple[int, datetime, float | None, str | None, int]], now: datetime) -> Block:
    arrays = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(BLOCK_SCHEMA)]
    return Block(pa.RecordBatch.from_arrays(arrays, schema=BLOCK_SCHEMA), int(now.timestamp() * 1_000_000))
