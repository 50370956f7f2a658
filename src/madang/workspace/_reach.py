"""Try a connection without running it: test it step by step, look around in it, trust its certificate, see a few of its samples."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from typing import Final, Protocol, cast

from madang.connect import (
    Block,
    ConnectionSettings,
    ConnectionState,
    GapCause,
    Message,
    Reject,
    Rows,
    Source,
    Tag,
    TestStep,
    make_source,
)
from madang.errors import InputError, MadangError
from madang.plant import Bilingual
from madang.workspace._running import Trouble, concealed

_LOOK: Final = 5.0
"""Seconds for which a preview waits for samples."""
_ENOUGH: Final = 500
"""Messages after which a preview stops waiting."""


@dataclass(frozen=True)
class SeenSample:
    """One sample of a preview."""

    tag: Tag
    time: datetime
    value: float | None
    text: str | None
    quality: int


class _Trust(Protocol):
    def __call__(self, settings: ConnectionSettings, thumbprint: str) -> object: ...


def try_connection(settings: ConnectionSettings) -> Iterator[TestStep]:
    """Try to reach a peer step by step; a fault of the adapter is a failed step in plain words.

    Raises:
        MissingError: An extra is missing; the next step is the line to type.
    """
    source = make_source(settings)
    try:
        yield from (_plain(step) for step in source.test())
    except MadangError as error:
        if error.exit_code == 6:
            raise
        yield _failed(error)
    except Exception as error:  # an adapter's fault is an answer, too
        yield _failed(error)
    finally:
        source.close()


def browse_connection(settings: ConnectionSettings, under: str = "", limit: int = 1000) -> list[Tag]:
    """Return tags below a path of the peer.

    Raises:
        InputError: The peer cannot be looked around in, or not reached.
        MissingError: An extra is missing.
    """
    source = make_source(settings)
    try:
        if "browse" not in source.description.capabilities:
            return []
        return list(source.browse(under, limit))[:limit]
    except MadangError:
        raise
    except Exception as error:
        raise _unreachable(settings.name, error) from error
    finally:
        source.close()


def trust_peer(settings: ConnectionSettings, thumbprint: str) -> None:
    """Trust a certificate that a peer has shown.

    Raises:
        InputError: The kind knows no certificates, or the peer never showed this one.
    """
    source = make_source(settings)
    try:
        package = import_module(type(source).__module__.rpartition(".")[0])
    finally:
        source.close()
    trust = getattr(package, "trust", None)
    if trust is None:
        raise InputError(
            "no_certificates",
            ko=f"{settings.kind} 연결에는 믿을지 정할 인증서가 없어요.",
            en=f"Connections of the kind {settings.kind} have no certificate to trust.",
            next_ko="madang connect test 로 무엇이 막히는지 보세요.",
            next_en="See what stands in the way with madang connect test.",
            where={"connection": settings.name, "kind": settings.kind},
        )
    cast(_Trust, trust)(settings, thumbprint)


def preview_connection(
    settings: ConnectionSettings,
    tags: Sequence[str],
    clock: Callable[[], datetime],
    *,
    count: int = 20,
    seconds: float = _LOOK,
) -> list[SeenSample]:
    """Return the newest few samples that a peer gives; nothing is kept and nothing is acknowledged.

    Args:
        settings: The connection; it must not run at the same time.
        tags: Tags to look at; all when empty.
        clock: Gives aware times.
        count: How many samples at most.
        seconds: How long to wait for them.

    Raises:
        InputError: The peer cannot be reached.
        MissingError: An extra is missing.
    """
    from madang.connect.http import DESCRIPTION as WAITS

    if settings.kind == WAITS.kind:
        return []
    source = make_source(replace(settings, tags=tuple(tags)))
    glass = _Glass(count)
    try:
        if "read" in source.description.capabilities and tags:
            glass.put_block(source.read(list(tags), glass))
        else:
            _watch(source, glass, seconds)
        decoder = source.decoder()
        if decoder is not None and glass.messages:
            for block in decoder.decode(glass.messages, glass.number_of).blocks:
                glass.put_block(block)
    except MadangError:
        raise
    except Exception as error:
        raise _unreachable(settings.name, error) from error
    finally:
        source.close()
    return glass.seen(count)


def _watch(source: Source, glass: _Glass, seconds: float) -> None:
    stop = threading.Event()
    wrong: list[Exception] = []

    def run() -> None:
        try:
            source.subscribe(glass, stop)
        except Exception as error:  # told to the one who asked
            wrong.append(error)
        finally:
            glass.full.set()

    thread = threading.Thread(target=run, name="preview", daemon=True)
    thread.start()
    until = time.monotonic() + seconds
    while time.monotonic() < until and not glass.full.wait(0.05):
        pass
    stop.set()
    thread.join(10.0)
    if wrong and not glass.anything:
        raise wrong[0]


@dataclass
class _Glass:
    """A sink that only looks: `done` is never called, so a peer that waits for it keeps everything."""

    count: int
    tags: list[Tag] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    full: threading.Event = field(default_factory=threading.Event)
    _numbers: dict[str, int] = field(default_factory=dict)
    _cursors: dict[str, str] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        return bool(self.blocks or self.messages)

    def number_of(self, tag: Tag) -> int:
        if tag.name not in self._numbers:
            self._numbers[tag.name] = len(self.tags)
            self.tags.append(tag)
        self.tags[self._numbers[tag.name]] = tag
        return self._numbers[tag.name]

    def put_block(self, block: Block, done: Callable[[], None] | None = None) -> None:
        self.blocks.append(block)
        if sum(len(b) for b in self.blocks) >= self.count:
            self.full.set()

    def put_messages(self, messages: Sequence[Message], done: Callable[[], None] | None = None) -> None:
        self.messages.extend(messages)
        if len(self.messages) >= min(_ENOUGH, self.count):
            self.full.set()

    def put_rows(self, rows: Rows, done: Callable[[], None] | None = None) -> None:
        self.full.set()

    def put_reject(self, reject: Reject) -> None: ...

    def gap_opened(self, cause: GapCause, since: datetime, *, tags: Sequence[str] | None = None, note: str = "") -> str:
        return ""

    def gap_closed(self, gap: str, until: datetime, *, samples: int | None = None) -> None: ...

    def gap_filled(self, gap: str, filled: int, *, whole: bool | None) -> None: ...

    def state(self, state: ConnectionState, text: Bilingual | None = None) -> None: ...

    def cursor(self, name: str) -> str | None:
        return self._cursors.get(name)

    def save_cursor(self, name: str, value: str, done: Callable[[], None] | None = None) -> None:
        self._cursors[name] = value

    def seen(self, count: int) -> list[SeenSample]:
        """The newest samples, at least one of each tag where there is room."""
        found: list[SeenSample] = []
        for block in self.blocks:
            rows = block.batch.to_pylist()
            found += [SeenSample(self.tags[r["tag"]], r["time"], r["number"], r["text"], r["quality"]) for r in rows]
        newest: dict[str, SeenSample] = {sample.tag.name: sample for sample in found}
        first = list(newest.values())[:count]
        others = [sample for sample in reversed(found) if newest[sample.tag.name] is not sample]
        return first + others[: max(0, count - len(first))]


def _plain(step: TestStep) -> TestStep:
    return replace(step, text=concealed(step.text), next=None if step.next is None else concealed(step.next))


def _failed(error: Exception) -> TestStep:
    trouble = Trouble.of(error)
    return TestStep("value", "failed", concealed(trouble.message), concealed(trouble.next))


def _unreachable(name: str, error: Exception) -> InputError:
    kind = type(error).__name__
    return InputError(
        "unreachable",
        ko=f"‘{name}’의 상대에게 닿지 못했어요 ({kind}).",
        en=f"The peer of “{name}” could not be reached ({kind}).",
        next_ko=f"madang connect test {name} 로 어디서 막히는지 보세요.",
        next_en=f"See where it fails with madang connect test {name}.",
        where={"connection": name, "error": kind},
        retry=True,
    )
