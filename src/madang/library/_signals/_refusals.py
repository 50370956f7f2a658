"""What a live intake does not take, and why; it waits in quarantine as it came."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from madang.connect import Block, Message, Reject
from madang.library._signals._samples import BoolArray
from madang.library._signals._scales import IntArray
from madang.plant import Bilingual

EARLIEST: Final = -2_208_988_800_000_000
"""1900-01-01 [us since 1970]: earlier times of a source are a broken clock."""
LATEST: Final = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999."""

NO_DECODER = Bilingual("이 연결에는 메시지를 푸는 규칙이 없어요.", "This connection has no rule that reads messages.")
MALFORMED = Bilingual("메시지를 풀다가 규칙이 멈췄어요.", "The rule stopped at this message.")
TIME = Bilingual(
    "시각이 1900년과 9999년 사이가 아닌 값이에요. 원본 묶음을 그대로 두었어요.",
    "Values with a time outside the years 1900 to 9999; the samples are kept as they came.",
)


def refused(message: Message, code: str, reason: Bilingual) -> Reject:
    return Reject(message.topic, message.payload, reason, code, message.received)


def wrong_times(time: IntArray) -> BoolArray:
    return (time < EARLIEST) | (time > LATEST)


def out_of_range(connection: str, block: Block, wrong: object) -> Reject:
    batch = block.batch.filter(masked(wrong))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return Reject(connection, sink.getvalue().to_pybytes(), TIME, "time_out_of_range", block.received)


def masked(chosen: object) -> object:
    return pa.array(chosen, pa.bool_())
