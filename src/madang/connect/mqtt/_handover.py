"""Hands messages to the sink in the order in which they came, beside the thread that listens to the broker."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from madang.connect._blocks import Message
from madang.connect._source import Sink

_LARGEST: Final = 8_192
"""Messages handed over at once."""


class Handover:
    """A short queue in front of the sink, so that a sink that blocks never keeps the broker from being answered.

    Acknowledgements that have become due are collected in `due`, for the thread that listens.

    Args:
        sink: Where messages go.
        cursor: Returns a position to be saved behind a batch, with its name; None = none is kept.
    """

    def __init__(self, sink: Sink, cursor: str | None = None) -> None:
        self._sink = sink
        self._cursor = cursor
        self._waiting: deque[tuple[int, Message, str | None]] = deque()
        self._due: deque[tuple[int, list[int]]] = deque()
        self._ready = threading.Event()
        self._ended = False
        self._lock = threading.Lock()
        self.bytes = 0
        """Bytes of messages that are not durable yet."""
        self.messages = 0
        """Messages that are not durable yet."""
        self.fault: BaseException | None = None
        """What the sink raised; nothing is handed over after it."""
        self.wake, self._bell = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._bell, False)
        self._thread = threading.Thread(target=self._run, name="mqtt-handover", daemon=True)
        self._thread.start()

    def put(self, epoch: int, messages: list[Message], cursor: str | None = None) -> None:
        """Take messages of one network connection.

        Args:
            epoch: Number of the network connection, returned with what became durable.
            messages: In the order of arrival.
            cursor: Position behind the last of them.
        """
        size = sum(len(message.payload) + len(message.topic) for message in messages)
        with self._lock:
            self.bytes += size
            self.messages += len(messages)
        last = len(messages) - 1
        self._waiting.extend((epoch, message, cursor if at == last else None) for at, message in enumerate(messages))
        self._ready.set()

    def due(self) -> list[tuple[int, list[int]]]:
        """Return packet identifiers that may be acknowledged now, in order, with the number of their connection."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wake, 4_096):
                pass
        out = []
        while self._due:
            out.append(self._due.popleft())
        return out

    def close(self) -> None:
        """Hand over what waits and end; raises nothing."""
        self._ended = True
        self._ready.set()
        self._thread.join(timeout=30)
        os.close(self.wake)
        with self._lock:
            os.close(self._bell)
            self._bell = -1

    def _run(self) -> None:
        while True:
            self._ready.wait()
            self._ready.clear()
            while self._waiting and self.fault is None:
                epoch = self._waiting[0][0]
                batch: list[Message] = []
                cursor: str | None = None
                while self._waiting and len(batch) < _LARGEST and self._waiting[0][0] == epoch:
                    _, message, position = self._waiting.popleft()
                    batch.append(message)
                    cursor = position if position is not None else cursor
                try:
                    self._hand(epoch, batch, cursor)
                except BaseException as error:
                    self.fault = error
                    self._ring()
            if self._ended:
                return

    def _hand(self, epoch: int, batch: list[Message], cursor: str | None) -> None:
        done = self._done(epoch, batch)
        if cursor is not None and self._cursor is not None:
            # The position becomes durable after the messages, and only then are they acknowledged: a crash in between
            # brings both again.
            self._sink.put_messages(batch)
            self._sink.save_cursor(self._cursor, cursor, done)
        else:
            self._sink.put_messages(batch, done)

    def _done(self, epoch: int, batch: list[Message]) -> Callable[[], None]:
        packets = [message.packet for message in batch if message.packet]
        size = sum(len(message.payload) + len(message.topic) for message in batch)
        count = len(batch)

        def done() -> None:
            with self._lock:
                self.bytes -= size
                self.messages -= count
            if packets:
                self._due.append((epoch, packets))
            self._ring()

        return done

    def _ring(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._bell >= 0:
                os.write(self._bell, b"!")
