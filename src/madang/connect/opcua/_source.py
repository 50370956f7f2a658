"""The source: what the rest of the platform asks of an OPC UA server."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import numpy as np
from asyncua import ua

from madang.connect._blocks import Block, Tag
from madang.connect._source import ConnectionSettings, Decoder, Sink, SourceDescription, TestName, TestStep
from madang.connect.opcua._browse import Described, Namespaces, describe, find, place
from madang.connect.opcua._columns import Columnizer, Columns
from madang.connect.opcua._decode import Row
from madang.connect.opcua._description import DESCRIPTION
from madang.connect.opcua._history import Fetched, fetch
from madang.connect.opcua._items import Item, Items
from madang.connect.opcua._link import Clock, Link, check_name, check_tcp, choose, open_link
from madang.connect.opcua._live import Live, microseconds, plan
from madang.connect.opcua._loop import LoopThread
from madang.connect.opcua._options import Options, read_options
from madang.connect.opcua._outlet import Outlet, make_block
from madang.connect.opcua._trouble import Trouble, translate
from madang.errors import InputError
from madang.plant import BAD_NODE_UNKNOWN, Bilingual, Interval, QualityClass, quality_class

T = TypeVar("T")
_FAILURES: Final = (OSError, TimeoutError, ua.UaError, AssertionError)


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


class BackfilledSamples(int):
    """How many samples of an interval came, and whether that is all of them."""

    whole: bool | None
    """None: the peer keeps no history."""

    def __new__(cls, samples: int, whole: bool | None) -> BackfilledSamples:
        """Make it."""
        made = super().__new__(cls, samples)
        made.whole = whole
        return made


class OpcuaSource:
    """One OPC UA server, as a `Source`.

    Args:
        settings: How to reach it.
        clock: Tells the time (aware).
    """

    def __init__(self, settings: ConnectionSettings, *, clock: Clock = utc_now) -> None:
        self._settings = settings
        self._options: Options = read_options(settings)
        self._clock = clock
        self._loop = LoopThread(f"opcua {settings.name}")
        self._live: Live | None = None

    @property
    def description(self) -> SourceDescription:
        """What this kind of source can do."""
        return DESCRIPTION

    def test(self) -> Iterator[TestStep]:
        """Try name, TCP, trust, log-in, browsing and one value, and say of each how it went."""
        keep: dict[str, Any] = {}
        steps: tuple[
            tuple[TestName, Callable[[dict[str, Any]], Coroutine[Any, Any, tuple[Bilingual, dict[str, str]]]]], ...
        ] = (
            ("name", self._test_name),
            ("tcp", self._test_tcp),
            ("trust", self._test_trust),
            ("login", self._test_login),
            ("browse", self._test_browse),
            ("value", self._test_value),
        )
        try:
            for name, act in steps:
                started = time.monotonic()
                try:
                    text, facts = self._loop.call(act(keep))
                except (Trouble, *_FAILURES) as error:
                    trouble = translate(error, name, self._options.host, self._options.port)
                    yield _failed(name, trouble, time.monotonic() - started)
                    return
                yield TestStep(name, "ok", text, None, time.monotonic() - started, facts)
        finally:
            link = keep.get("link")
            if isinstance(link, Link):
                self._loop.call(link.close())

    async def _test_name(self, keep: dict[str, Any]) -> tuple[Bilingual, dict[str, str]]:
        found = ", ".join(await check_name(self._options))
        return Bilingual(f"이름을 찾았어요: {found}", f"The name is known: {found}"), {"addresses": found}

    async def _test_tcp(self, keep: dict[str, Any]) -> tuple[Bilingual, dict[str, str]]:
        await check_tcp(self._options)
        port = self._options.port
        return Bilingual(f"{port} 포트가 받아요.", f"Port {port} answers."), {"port": str(port)}

    async def _test_trust(self, keep: dict[str, Any]) -> tuple[Bilingual, dict[str, str]]:
        keep["chosen"] = chosen = await choose(self._options, self._clock)
        facts = {"security": chosen.policy, "mode": chosen.mode.name}
        if chosen.certificate is not None:
            facts |= chosen.certificate.facts()
        return chosen.text, facts

    async def _test_login(self, keep: dict[str, Any]) -> tuple[Bilingual, dict[str, str]]:
        keep["link"] = link = await open_link(self._options, self._clock, keep["chosen"])
        before = self._clock()
        answer = await link.server_clock()
        facts = {"user": self._options.user or ""}
        if answer is not None:
            skew = (answer[0] - before).total_seconds()
            facts["clock_skew_seconds"] = f"{skew:.1f}"
        who = self._options.user
        return Bilingual(f"{who or '익명'}으로 들어갔어요.", f"Logged in as {who or 'anonymous'}."), facts

    async def _test_browse(self, keep: dict[str, Any]) -> tuple[Bilingual, dict[str, str]]:
        link: Link = keep["link"]
        keep["names"] = names = await _namespaces(link)
        if self._settings.tags:
            described, unknown = await plan(link, names, self._options, self._settings.tags)
            bad = len(unknown) + sum(1 for one in described if one.status)
            keep["nodes"] = [one for one in described if not one.status]
            if not keep["nodes"]:
                raise Trouble("browse", "no_tags", _NO_CHOSEN, _CHOOSE_AGAIN)
            good = len(keep["nodes"])
            return Bilingual(
                f"고른 태그 {good}개가 있어요, {bad}개는 없어요.", f"{good} of the chosen tags are there, {bad} are not."
            ), {
                "tags": str(good),
                "missing": str(bad),
            }
        found, cut = await find(
            link, names.node(self._options.root), depth=self._options.depth, limit=min(1000, self._options.limit)
        )
        if not found:
            raise Trouble("browse", "no_tags", _NO_TAGS, _LOOK_AT_RIGHTS)
        keep["nodes"] = await describe(link, names, found[:50])
        more_ko, more_en = (" 이상", " or more") if cut else ("", "")
        count = len(found)
        return Bilingual(f"태그 {count}개{more_ko}를 찾았어요.", f"Found {count}{more_en} tags."), {"tags": str(count)}

    async def _test_value(self, keep: dict[str, Any]) -> tuple[Bilingual, dict[str, str]]:
        link: Link = keep["link"]
        described: list[Described] = keep["nodes"]
        asked = [ua.ReadValueId(NodeId=one.node, AttributeId=ua.AttributeIds.Value) for one in described]
        answers = await link.read(asked)
        for one, answer in zip(described, answers, strict=True):
            status = int(answer.StatusCode.value) if answer.StatusCode is not None else 0
            if quality_class(status) is QualityClass.GOOD and answer.Value is not None and answer.Value.Value is not None:
                name = one.tag.name
                stamp = "source" if answer.SourceTimestamp else "server" if answer.ServerTimestamp else "none"
                facts = {"tag": name, "data_type": one.tag.data_type, "unit": one.tag.unit or "", "time": stamp}
                return Bilingual(f"값 하나를 읽었어요: {name}", f"Read one value: {name}"), facts
        raise Trouble("value", "no_value", _NO_VALUE, _LOOK_AT_RIGHTS)

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        """Return tags below a path or a node of the server; arrays of known length stand there as their elements.

        Raises:
            InputError: There is no such place.
            MadangError: The server cannot be used now.
        """

        async def act(link: Link) -> list[Tag]:
            names = await _namespaces(link)
            try:
                start, path = await place(link, names, under, self._options.root)
            except ValueError:
                raise InputError(
                    "no_such_folder",
                    ko="서버에 그런 곳이 없어요.",
                    en="The server has no such place.",
                    next_ko="위치 없이 다시 훑어 보세요.",
                    next_en="Browse again without a place.",
                    where={"connection": self._settings.name, "under": under},
                ) from None
            found, _ = await find(link, start, path=path, depth=self._options.depth, limit=limit)
            described = [one for one in await describe(link, names, found) if one.supported]
            return await _with_elements(link, described, self._options, self._clock, limit)

        return self._with_link(act)

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        """Return the values that the server has now; a tag that it does not know has its status and no value."""

        async def act(link: Link) -> tuple[Items, Columns | None]:
            items, wanted = Items(), list(dict.fromkeys(tags))
            described, unknown = await plan(link, await _namespaces(link), self._options, [_base(name) for name in wanted])
            return items, await _read_now(link, items, described, unknown, wanted, self._options, self._clock)

        items, columns = self._with_link(act)
        if columns is None:
            columns = _nothing(microseconds(self._clock()))
        numbers = {handle: sink.number_of(items.all[handle].tag) for handle in np.unique(columns.handles).tolist()}
        return make_block(columns, numbers)

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        """Follow the tags until `stop` is set; reconnects by itself and notes every gap.

        Network and sink work in different threads: a sink that blocks does not make the server end the session.
        """
        items = Items()
        outlet = Outlet(sink, items)
        made = threading.Event()

        async def run() -> None:
            self._live = live = Live(self._options, self._settings.tags, outlet, items, self._clock, sink.cursor)
            made.set()
            if stop.is_set():
                return
            try:
                await live.run()
            finally:
                self._live = None

        future = self._loop.start(run())
        made.wait(10.0)
        told = False
        try:
            while not future.done():
                if stop.is_set() and not told and self._live is not None:
                    self._loop.soon(self._live.stop)
                    told = True
                outlet.deliver(0.05)
            outlet.drain()
            failure = future.exception()
        finally:
            if not future.done():  # the sink failed: end, so that the caller may start anew
                future.cancel()
        if isinstance(failure, Trouble):
            raise failure.error(self._settings.name)
        if failure is not None:
            raise failure

    def pause(self) -> None:
        """Have the server send nothing while subscribed; the time until `resume` is a gap."""
        self._switch(True)

    def resume(self) -> None:
        """Go on after `pause`; what the server kept meanwhile fills the gap."""
        self._switch(False)

    def _switch(self, paused: bool) -> None:
        live = self._live
        if live is not None:
            self._loop.soon(live.pause, paused)

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> BackfilledSamples:
        """Fetch the server's history of an interval; safe to call while `subscribe` runs in another thread."""
        went = Fetched()
        stack = self._loop.call(self._opened())
        try:
            link, items, chosen = self._loop.call(self._for_history(stack[0], tags))
            pages = _pages(link, items, chosen, interval, went, self._options, self._clock)
            numbers: dict[int, int] = {}
            while (columns := self._loop.call(anext(pages, None))) is not None:
                for handle in np.unique(columns.handles).tolist():
                    if handle not in numbers:
                        numbers[handle] = sink.number_of(items.all[handle].tag)
                sink.put_block(make_block(columns, numbers, "backfill"))
        except _FAILURES as error:
            raise translate(error, "value", self._options.host, self._options.port).error(self._settings.name) from None
        finally:
            self._loop.call(stack[1].__aexit__(None, None, None))
        return BackfilledSamples(went.samples, went.whole)

    async def _for_history(self, link: Link, tags: Sequence[str]) -> tuple[Link, Items, list[Item]]:
        live = self._live
        names = tags or self._settings.tags
        if live is not None and live.link is link and len(live.items):
            wanted = set(names)
            return link, live.items, [item for item in live.items.all if not wanted or item.tag.name in wanted]
        items = Items()
        described, _ = await plan(link, await _namespaces(link), self._options, [_base(name) for name in names])
        return (
            link,
            items,
            items.add((one.tag, one.node.to_string(), one.known, one.history) for one in described if one.supported),
        )

    def decoder(self) -> Decoder | None:
        """Return None: blocks are put as they are."""
        return None

    def close(self) -> None:
        """End the thread of this source."""
        self._loop.close()

    async def _opened(self) -> tuple[Link, AbstractAsyncContextManager[Link]]:
        context = self._a_link()
        return await context.__aenter__(), context

    @asynccontextmanager
    async def _a_link(self) -> AsyncIterator[Link]:
        """The link of the running subscription, or one of its own."""
        live = self._live
        if live is not None and live.link is not None and live.link.alive:
            yield live.link
            return
        link = await open_link(self._options, self._clock)
        try:
            yield link
        finally:
            await link.close()

    def _with_link(self, act: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        async def whole() -> T:
            async with self._a_link() as link:
                return await act(link)

        try:
            return self._loop.call(whole())
        except Trouble as trouble:
            raise trouble.error(self._settings.name) from None
        except _FAILURES as error:
            raise translate(error, "browse", self._options.host, self._options.port).error(self._settings.name) from None


async def _namespaces(link: Link) -> Namespaces:
    now = await link.namespaces()
    return Namespaces(now, now)


async def _read_now(
    link: Link,
    items: Items,
    described: Sequence[Described],
    unknown: Sequence[str],
    wanted: Sequence[str],
    options: Options,
    clock: Clock,
) -> Columns | None:
    """Read each tag once; elements of arrays are kept where they, or their array, were asked for."""
    made = items.add((one.tag, one.node.to_string(), one.known, one.history) for one in described)
    missing = items.add((Tag(name), name, False, False) for name in unknown)
    rows: list[Row] = [(made[row[0]].handle, *row[1:]) for row in await link.read_rows([item.node for item in made])]
    rows += [(item.handle, 0, None, BAD_NODE_UNKNOWN, 0, 0) for item in missing]
    columns = Columnizer(items, options).turn(rows, microseconds(clock()), live=False).columns
    if columns is None:
        return None
    asked = set(wanted)
    keep = np.array([_asked_for(items.all[handle], asked) for handle in columns.handles.tolist()], dtype=np.bool_)
    return _only(columns, keep)


def _asked_for(item: Item, asked: set[str]) -> bool:
    base = item.tag.name.removesuffix(item.element) if item.element else item.tag.name
    return item.tag.name in asked or base in asked


def _only(columns: Columns, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> Columns:
    rank = np.cumsum(keep) - 1
    return Columns(
        columns.handles[keep],
        columns.time[keep],
        columns.number[keep],
        columns.has_number[keep],
        tuple((int(rank[row]), text) for row, text in columns.text if keep[row]),
        columns.quality[keep],
        columns.received,
        columns.server_time,
    )


async def _with_elements(link: Link, described: Sequence[Described], options: Options, clock: Clock, limit: int) -> list[Tag]:
    """Return tags, with the elements in the place of arrays that have a value now."""
    items = Items()
    made = items.add((one.tag, one.node.to_string(), one.known, one.history) for one in described)
    arrays = [item for item, one in zip(made, described, strict=True) if one.array]
    rows: list[Row] = [(arrays[row[0]].handle, *row[1:]) for row in await link.read_rows([item.node for item in arrays])]
    Columnizer(items, options).turn(rows, microseconds(clock()), live=False)
    tags: list[Tag] = []
    for item in made:
        elements = [items.all[handle].tag for handle in item.elements.values()]
        tags += elements or [item.tag]
    return tags[:limit]


async def _pages(
    link: Link, items: Items, chosen: Sequence[Item], interval: Interval, went: Fetched, options: Options, clock: Clock
) -> AsyncIterator[Columns]:
    columnizer = Columnizer(items, options)
    async for rows in fetch(link, chosen, interval, went):
        columns = columnizer.turn(rows, microseconds(clock()), live=False).columns
        if columns is not None:
            yield columns


def _nothing(received: int) -> Columns:
    none = np.empty(0, dtype=np.int64)
    return Columns(
        none.astype(np.int32), none, none.astype(np.float64), none.astype(np.bool_), (), none.astype(np.uint32), received, None
    )


def _base(name: str) -> str:
    """Return the node of an element's name: ``ns=2;i=7[3]`` is an element of ``ns=2;i=7``."""
    head, bracket, index = name.rpartition("[")
    with suppress(ValueError):
        if bracket and index.endswith("]") and all(int(part) >= 0 for part in index[:-1].split(",")):
            return head
    return name


def _failed(name: TestName, trouble: Trouble, seconds: float) -> TestStep:
    step: TestName = trouble.step if trouble.step in {"trust", "login"} else name
    return TestStep(step, "ask" if trouble.ask else "failed", trouble.text, trouble.next_step, seconds, trouble.facts)


_NO_TAGS: Final = Bilingual("서버에 읽을 태그가 보이지 않아요.", "No tags can be seen on the server.")
_NO_CHOSEN: Final = Bilingual("고른 태그가 서버에 하나도 없어요.", "None of the chosen tags is on the server.")
_NO_VALUE: Final = Bilingual("쓸 만한 값을 하나도 읽지 못했어요.", "Not one usable value could be read.")
_CHOOSE_AGAIN: Final = Bilingual("태그를 다시 고르세요.", "Choose the tags again.")
_LOOK_AT_RIGHTS: Final = Bilingual(
    "이 사용자에게 읽을 권리가 있는지, 설비가 켜져 있는지 보세요.",
    "See whether this user may read, and whether the equipment runs.",
)
