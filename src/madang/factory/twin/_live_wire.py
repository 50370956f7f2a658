"""The wire between the plant and whoever reads it: a relay in front of a server that can be cut without either side being told."""

from __future__ import annotations

import asyncio
import contextlib

_CHUNK = 65_536


class Wire:
    """Relays TCP from one address to another; while it is cut nothing passes, and nobody hears that it does not.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one (`port` says which).
        towards: Port of the server behind it, on this machine.
    """

    def __init__(self, host: str, port: int, towards: int) -> None:
        self.host, self.port, self._towards = host, port, towards
        self._server: asyncio.Server | None = None
        self._whole = asyncio.Event()
        self._whole.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen; the port stays the same over `stop` and another `start`."""
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more, and reset what is connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._open):
            writer.transport.abort()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=2.0)
        self._open.clear()
        # Aborted connections are taken down in the loop's next round.
        await asyncio.sleep(0)

    def cut(self) -> None:
        """Let nothing pass any more: bytes wait where they are, and nobody is told."""
        self._whole.clear()

    def mend(self) -> None:
        """Let bytes pass again; what was sent meanwhile arrives now, as TCP sends again what got lost."""
        self._whole.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._towards)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, inner_writer}
        for source, target in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(self._relay(source, target, (writer, inner_writer)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _relay(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
    ) -> None:
        with contextlib.suppress(OSError):
            while content := await source.read(_CHUNK):
                await self._whole.wait()
                target.write(content)
                await target.drain()
        await self._whole.wait()
        for writer in both:
            self._open.discard(writer)
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()
