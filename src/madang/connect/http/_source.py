"""The source that waits: what is pushed comes through the runner's own door."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, Tag
from madang.connect._source import ConnectionSettings, Decoder, Sink, SourceDescription, TestStep
from madang.connect.http._payload import PushOptions
from madang.plant import Bilingual, Interval


class HttpSource:
    """A connection that other programs push to."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self.options = PushOptions.of(settings)

    @property
    def description(self) -> SourceDescription:
        """What this kind of source can do."""
        from madang.connect.http import DESCRIPTION

        return DESCRIPTION

    def test(self) -> Iterator[TestStep]:
        """Say that there is nothing to reach, and where to send to."""
        yield TestStep(
            "name",
            "ok",
            Bilingual(
                "기다리는 연결이라 찾아갈 곳이 없어요. 값을 보내 오면 받아요.",
                "This connection waits, so there is nothing to reach; it takes what is sent to it.",
            ),
            Bilingual(
                f"madang serve 를 켜고 POST /api/v1/push/{self._settings.name} 로 보내세요.",
                f"Run madang serve and send to POST /api/v1/push/{self._settings.name}.",
            ),
        )

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        """Return nothing: tags are known once they have been pushed."""
        del under, limit
        return ()

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        """Return an empty block: nothing can be asked for."""
        del tags, sink
        return Block(pa.RecordBatch.from_pylist([], schema=BLOCK_SCHEMA), received=0)

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        """Wait until told to stop; pushes come in by another way."""
        sink.state("connected", Bilingual("보내 오는 값을 기다려요.", "Waiting for what is sent."))
        stop.wait()

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        """Return 0: the sender keeps the history, and sends it again by itself."""
        del tags, interval, sink
        return 0

    def decoder(self) -> Decoder | None:
        """Return None: what is pushed is put as blocks."""
        return None

    def close(self) -> None:
        """Let go of nothing."""
