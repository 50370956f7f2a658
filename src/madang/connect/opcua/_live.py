"""One connection as it lives: connects, follows its tags, notices every interruption, and comes back.

Runs in the connection's event loop. What the sink has to hear goes through the `Outlet`, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from asyncua import ua

from madang.connect._blocks import Reject, Tag
from madang.connect._gaps import GapCause
from madang.connect._source import ConnectionState, Sink
from madang.connect.opcua._browse import Described, Found, Namespaces, describe, find
from madang.connect.opcua._clock import ServerClock
from madang.connect.opcua._columns import Columnizer, Columns, Turned
from madang.connect.opcua._decode import Publication, Row
from madang.connect.opcua._history import Fetched, as_row, fetch
from madang.connect.opcua._items import Item, Items
from madang.connect.opcua._link import Clock, Link, open_link
from madang.connect.opcua._options import Options
from madang.connect.opcua._outlet import Outlet, instant
from madang.connect.opcua._publisher import Missing, Publisher
from madang.connect.opcua._subscribe import Granted, subscribe, watch
from madang.connect.opcua._trouble import Trouble, status_name, translate
from madang.plant import BAD_NO_COMMUNICATION, BAD_NODE_UNKNOWN, Bilingual, Interval

FLUSH_S: Final = 0.08
"""How long notifications are gathered into one block [s]."""
FLUSH_ROWS: Final = 20_000
_CLOCK_S: Final = 30.0
_RETRY_REFUSED_S: Final = 60.0
_LOOK_AGAIN_S: Final = 180.0
"""How often the server is browsed again for new tags, where all are followed [s]."""
_LOOK_SOON_S: Final = 1.0
"""The same after a tag vanished; it may have been renamed [s]."""
_MEANING_CHANGED: Final = 0xC000
"""Bits "semantics changed" (14) and "structure changed" (15) of a data value's status (OPC 10000-4, 7.39.1)."""
_GONE: Final = (ua.StatusCodes.BadNodeIdUnknown, ua.StatusCodes.BadNodeIdInvalid)
_OVERFLOW_QUIET_S: Final = 5.0
_TRUST_LOOK_S: Final = 2.0
_FINAL_S: Final = 60.0
"""Wait after a refusal of a server that had let us in before; an account must not be locked by trying [s]."""
_SHORTEST_WAIT_S: Final = 0.25
_LOST = (OSError, asyncio.TimeoutError, ua.UaError, AssertionError)


class Opening:
    """A gap whose number is known once the sink has heard of it."""

    def __init__(
        self, outlet: Outlet, cause: GapCause, since: int, *, tags: Sequence[str] | None = None, note: str = ""
    ) -> None:
        self.id = ""
        self.since = since
        self.tags = tags
        self._outlet = outlet

        def tell(sink: Sink) -> None:
            self.id = sink.gap_opened(cause, instant(since), tags=tags, note=note)

        outlet.note(tell)

    def close(self, until: int, samples: int | None = None) -> None:
        """Say that it ended."""
        self._outlet.note(lambda sink: sink.gap_closed(self.id, instant(max(self.since, until)), samples=samples))

    def filled(self, count: int, whole: bool | None) -> None:
        """Say what came later."""
        self._outlet.note(lambda sink: sink.gap_filled(self.id, count, whole=whole))


@dataclass
class _Overflow:
    opening: Opening
    newest: int
    quiet_since: float


class Live:
    """Follows the tags of one connection until told to stop.

    Args:
        options: How to reach the server.
        wanted: Names of the tags; empty = all that browsing finds.
        outlet: Way to the sink.
        items: Tags that are followed; filled here.
        clock: Tells the time (aware).
        cursor: A saved position of the connection, by name.
    """

    def __init__(
        self,
        options: Options,
        wanted: Sequence[str],
        outlet: Outlet,
        items: Items,
        clock: Clock,
        cursor: Callable[[str], str | None],
    ) -> None:
        self.options = options
        self.items = items
        self.link: Link | None = None
        self.namespaces: Namespaces | None = None
        self._wanted = tuple(wanted)
        self._outlet = outlet
        self._clock = clock
        self._cursor = cursor
        self._columnizer = Columnizer(items, options)
        self._rows: list[Row] = []
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._why: Trouble | None = None
        self._publisher: Publisher | None = None
        self._granted = Granted()
        self._cut: Opening | None = None
        self._held_until = 0
        self._overflows: dict[int, _Overflow] = {}
        self._overflow_count = 0
        self._set_aside: dict[str, Opening] = {}
        self._refused_gaps: dict[str, Opening] = {}
        self._paused: Opening | None = None
        self._pause_wanted = False
        self._ever = False
        self._vanished = False
        self._asking = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._state: tuple[ConnectionState, Bilingual | None] | None = None
        self.server_clock = ServerClock()

    async def run(self) -> None:
        """Follow the tags until `stop`.

        Raises:
            Trouble: Trying again cannot help, and the connection never stood.
        """
        wait = _SHORTEST_WAIT_S
        try:
            while not self._stop.is_set():
                try:
                    await self._connect()
                    wait = _SHORTEST_WAIT_S
                    await self._follow()
                except Trouble as trouble:
                    self._lost(trouble)
                    if trouble.final and not self._ever:
                        raise
                except _LOST as error:
                    self._lost(translate(error, "value", self.options.host, self.options.port))
                if not self._stop.is_set():
                    asking = self._why is not None and self._why.ask
                    final = self._why is not None and self._why.final
                    await self._pause(min(_TRUST_LOOK_S, self.options.reconnect) if asking else _FINAL_S if final else wait)
                    wait = min(wait * 2, self.options.reconnect)
        finally:
            await self._end()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()
        self._wake.set()

    def pause(self, paused: bool) -> None:
        """Let the server send nothing, or go on; the time between is a gap."""
        self._pause_wanted = paused
        self._wake.set()

    async def _connect(self) -> None:
        if self.link is not None and self._publisher is not None and self.link.chosen is not None:
            if await self.link.resume():
                await self._resumed(self.link, self._publisher)
                return
            self.link.cut()
            self.link = None
        self._say("starting", None) if not self._ever else None
        self.link = link = await open_link(self.options, self._clock)
        await self._look_at_clock(link)
        await self._plan(link)
        self._publisher = publisher = Publisher(link, self._took, self._hole, self._ended)
        self._granted = Granted()
        watched = [item for item in self.items.all if not item.element]
        self.items.fresh[: len(self.items)] = True
        await subscribe(link, publisher, watched, self._granted)
        publisher.start(len(self._granted.subscriptions))
        self._outlet.tell_tags()
        self._tell_refused()
        self._ever = True
        self._back(whole=None)

    async def _resumed(self, link: Link, publisher: Publisher) -> None:
        """The server kept the session: ask for what it sent into the void, then for the values of silent tags."""
        publisher.reset()
        recovered, whole = 0, True
        for subscription, followed in publisher.followed.items():
            for _ in range(1_000):
                rows = await self._again(link, subscription, followed.expected)
                if rows is None:
                    break
                recovered += len(rows)
                self._rows += rows
                followed.expected = (followed.expected % 0xFFFFFFFF) + 1
        before = self._overflow_count
        publisher.start(len(publisher.followed))
        await self._answer_marks(link)
        self._back(whole=whole, recovered=recovered, overflows=before)

    def _back(self, *, whole: bool | None, recovered: int = 0, overflows: int = 0) -> None:
        """Close the gap of an interruption, and have it filled."""
        self._why = None
        now = self._now()
        self._say_connected()
        cut, self._cut = self._cut, None
        if cut is None:
            return
        cut.close(now)
        self._start(self._fill(cut, now, whole, recovered, overflows))

    async def _fill(self, gap: Opening, until: int, kept: bool | None, recovered: int, overflows: int) -> None:
        """Fill a gap: from what the server kept for us, else from its history."""
        if kept:
            await asyncio.sleep(3 * self._granted.publish / 1000 + 0.2)
            if self._overflow_count == overflows:
                gap.filled(recovered, True)
                return
        link = self.link
        if link is None:
            return
        went = await self._backfill(link, self._of(gap.tags), Interval(instant(gap.since), instant(max(gap.since, until))))
        gap.filled(went.samples + recovered, went.whole)

    async def _backfill(self, link: Link, items: Sequence[Item], interval: Interval) -> Fetched:
        went = Fetched()
        if not self.options.history:
            return went
        try:
            async for rows in fetch(link, items, interval, went):
                turned = self._columnizer.turn(rows, self._now(), live=False)
                if turned.columns is not None:
                    while not self._outlet.room(len(turned.columns)):
                        await asyncio.sleep(0.05)
                    self._outlet.put_columns(turned.columns, "backfill")
        except _LOST as error:
            went.failed[""] = type(error).__name__
        return went

    def _of(self, tags: Sequence[str] | None) -> list[Item]:
        if tags is None:
            return list(self.items.all)
        wanted = set(tags)
        return [item for item in self.items.all if item.tag.name in wanted]

    async def _plan(self, link: Link) -> None:
        """Decide which tags are followed; once, and again only where nodes have moved."""
        now = await link.namespaces()
        saved = self._cursor("opcua.namespaces")
        first = self.namespaces.first if self.namespaces else tuple(json.loads(saved)) if saved else now
        self.namespaces = namespaces = Namespaces(first, now)
        if namespaces.first != tuple(json.loads(saved) if saved else ()):
            text = json.dumps(namespaces.first)
            self._outlet.note(lambda sink: sink.save_cursor("opcua.namespaces", text))
        if len(self.items):
            for item in self.items.all:
                name = item.tag.name.removesuffix(item.element) if item.element else item.tag.name
                with contextlib.suppress(ValueError):
                    item.node = namespaces.node(name).to_string()
            await self._describe_again(link, namespaces, self.items.all)
            return
        described, unknown = await plan(link, namespaces, self.options, self._wanted)
        follow = [one for one in described if one.supported]
        self.items.add((one.tag, one.node.to_string(), one.known, one.history) for one in follow)
        for name in unknown:
            self.items.add([(Tag(name), name, False, False)])
        received = self._now()
        for one in described:
            if not one.supported:
                reject = Reject(one.tag.name, b"", _UNSUPPORTED, "wrong_type", received)
                self._outlet.note(lambda sink, reject=reject: sink.put_reject(reject))  # type: ignore[misc]

    async def _follow(self) -> None:
        """Watch over the connection until it ends or has to stop."""
        link, publisher = self.link, self._publisher
        assert link is not None and publisher is not None
        clock_at = retry_at = look_at = time.monotonic()
        while not self._stop.is_set() and self._why is None:
            self._wake.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), FLUSH_S)
            self._flush()
            now = time.monotonic()
            if now - publisher.heard > 2 * self._granted.keep_alive + 0.5 and publisher.followed:
                raise Trouble("tcp", "silent", _SILENT)
            if not link.alive:
                raise Trouble("tcp", "lost", _CLOSED)
            if self._pause_wanted != (self._paused is not None):
                await self._switch(link)
            if now - clock_at > _CLOCK_S:
                clock_at = now
                await self._look_at_clock(link)
            if now - retry_at > _RETRY_REFUSED_S:
                retry_at = now
                await self._retry_refused(link)
            if now - look_at > _LOOK_AGAIN_S or (self._vanished and now - look_at > _LOOK_SOON_S):
                look_at = now
                await self._look_again(link, publisher)
            self._quiet_overflows(now)
        if self._why is not None:
            raise self._why

    def _took(self, publication: Publication) -> None:
        self._held_until = self._now()
        self.server_clock.heard(publication.published, self._held_until)
        self._rows += publication.rows
        if publication.broken:
            self._unreadable(publication)
        if publication.ended is not None:
            self._ended(status_name(publication.ended))
        if len(self._rows) >= FLUSH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows or self._asking:
            return
        rows, self._rows = self._rows, []
        changed = [place for place, row in enumerate(rows) if row[3] & _MEANING_CHANGED and self._is_new_meaning(row)]
        if changed and self.link is not None and self.namespaces is not None:
            # What a value means (unit, range) has to be known before the value is handed on.
            self._rows = rows[changed[0] :]
            rows = rows[: changed[0]]
            self._asking = True
            self._start(
                self._ask_meaning(self.link, self.namespaces, {row[0] for row in self._rows if row[3] & _MEANING_CHANGED})
            )
        if rows:
            self._hand_on(rows)

    def _is_new_meaning(self, row: Row) -> bool:
        """Whether the bits "semantics changed" or "structure changed" were not there on the tag's last value already."""
        last = self.items.last.get(row[0])
        return last is None or not int(last[3]) & _MEANING_CHANGED  # type: ignore[call-overload]

    async def _ask_meaning(self, link: Link, names: Namespaces, handles: set[int]) -> None:
        """Ask again what some tags mean, and let their values go on."""
        try:
            await self._describe_again(
                link, names, [self.items.all[handle] for handle in sorted(handles) if handle < len(self.items)]
            )
        except (*_LOST, ValueError):
            for handle in handles:
                self.items.fact(self.items.all[handle], "meaning", "changed, and could not be asked")
        finally:
            self._asking = False
            rows, self._rows = self._rows, []
            if rows:
                self._hand_on(rows)

    async def _describe_again(self, link: Link, names: Namespaces, items: Sequence[Item]) -> None:
        """Take over what the server now says of some tags."""
        whole = [item for item in items if not item.element and not item.refused]
        nodes = [ua.NodeId.from_string(item.node) for item in whole]
        for item, one in zip(whole, await describe(link, names, [Found(node) for node in nodes]), strict=True):
            if one.status:
                continue
            item.history = one.history
            for told in (item, *(self.items.all[handle] for handle in item.elements.values())):
                new = {name: getattr(one.tag, name) for name in ("unit", "low", "high")}
                facts = {**told.tag.facts, **one.tag.facts}
                if any(getattr(told.tag, name) != value for name, value in new.items()) or facts != told.tag.facts:
                    self.items.learn(told, **new, facts=facts)

    def _hand_on(self, rows: Sequence[Row]) -> None:
        turned = self._columnizer.turn(rows, self._now())
        self._notes(turned)
        if turned.columns is not None:
            self._outlet.put_columns(turned.columns)

    def _notes(self, turned: Turned) -> None:
        for reject in turned.rejects:
            self._outlet.note(lambda sink, reject=reject: sink.put_reject(reject))  # type: ignore[misc]
        for name in turned.set_aside:
            if name not in self._set_aside:
                self._set_aside[name] = Opening(
                    self._outlet,
                    "out_of_range",
                    self._now(),
                    tags=[name],
                    note="values with a time out of range were set aside",
                )
        if turned.columns is not None and self._set_aside:
            held = {self.items.all[handle].tag.name for handle in np.unique(turned.columns.handles).tolist()}
            for name in (held & set(self._set_aside)) - set(turned.set_aside):
                self._set_aside.pop(name).close(self._now())
        self._note_vanished(turned)
        self._overflow_count += len(turned.overflowed)
        fresh: dict[int, tuple[int, int]] = {}
        for handle, last, first in turned.overflowed:
            held_one = self._overflows.get(handle)
            if held_one is not None:
                held_one.newest, held_one.quiet_since = max(held_one.newest, first), time.monotonic()
            else:
                fresh[handle] = (
                    min(last, fresh.get(handle, (last, first))[0]),
                    max(first, fresh.get(handle, (last, first))[1]),
                )
        if fresh:
            tags = sorted(self.items.all[handle].tag.name for handle in fresh)
            since = min(last for last, _ in fresh.values())
            opening = Opening(self._outlet, "server_overflow", since, tags=tags, note="the server's queue overflowed")
            group = _Overflow(opening, max(first for _, first in fresh.values()), time.monotonic())
            self._overflows.update(dict.fromkeys(fresh, group))

    def _note_vanished(self, turned: Turned) -> None:
        """A tag whose node the server does not know any more is a gap, until it gives a value again."""
        columns = turned.columns
        if columns is None:
            return
        gone = np.isin(columns.quality, _GONE)
        if not gone.any() and not self._refused_gaps:
            return
        for handle, missing, at in zip(columns.handles.tolist(), gone.tolist(), columns.time.tolist(), strict=True):
            name = self.items.all[handle].tag.name
            if missing and name not in self._refused_gaps:
                self._vanished = True
                self._refused_gaps[name] = Opening(self._outlet, "bad_tag", at, tags=[name], note="BadNodeIdUnknown")
            elif not missing and name in self._refused_gaps:
                self._refused_gaps.pop(name).close(at)

    async def _look_again(self, link: Link, publisher: Publisher) -> None:
        """Browse again where all tags are followed, and follow those that are new; a renamed one is such a one."""
        self._vanished = False
        if self._wanted or self.namespaces is None:
            return
        names = self.namespaces
        found, _ = await find(link, names.node(self.options.root), depth=self.options.depth, limit=self.options.limit)
        known = {item.node for item in self.items.all}
        new = [one for one in found if one.node.to_string() not in known]
        if not new:
            return
        described = [one for one in await describe(link, names, new) if one.supported]
        added = self.items.add((one.tag, one.node.to_string(), one.known, one.history) for one in described)
        if added:
            self._outlet.tell_tags()
            await subscribe(link, publisher, added, self._granted)
            publisher.start(len(self._granted.subscriptions))

    def _quiet_overflows(self, now: float, *, all_of_them: bool = False) -> None:
        """Close gaps of overflows that did not come again for a while."""
        over = {
            id(group): group for group in self._overflows.values() if all_of_them or now - group.quiet_since > _OVERFLOW_QUIET_S
        }
        for group in over.values():
            group.opening.close(group.newest)
            self._overflows = {handle: one for handle, one in self._overflows.items() if one is not group}
            if not all_of_them:
                self._start(self._fill(group.opening, group.newest, None, 0, 0))

    def _unreadable(self, publication: Publication) -> None:
        reject = Reject(
            f"subscription {publication.subscription}", publication.broken[:4_194_304], _BROKEN, "malformed", self._now()
        )
        self._outlet.note(lambda sink: sink.put_reject(reject))
        opening = Opening(self._outlet, "sequence_jump", self._held_until, note="a notification could not be read")
        opening.close(self._now(), publication.broken_values or None)

    def _hole(self, missing: Missing) -> None:
        self._start(self._repair(missing))

    async def _repair(self, missing: Missing) -> None:
        """Ask for notifications that did not come once more; what the server has no more is a gap."""
        link = self.link
        lost = 0
        for offset in range(missing.count):
            number = (missing.first + offset - 1) % 0xFFFFFFFF + 1
            rows = await self._again(link, missing.subscription, number) if link is not None else None
            if rows is None:
                lost += 1
            else:
                self._rows += rows
        if lost:
            skew = self.server_clock.skew_us
            opening = Opening(
                self._outlet,
                "sequence_jump",
                (missing.since or missing.until) - skew,
                note=f"{lost} notifications did not come",
            )
            opening.close(missing.until - skew)
            await self._fill(opening, missing.until - skew, None, 0, 0)

    async def _again(self, link: Link, subscription: int, number: int) -> list[Row] | None:
        """Return the rows of one notification that was sent before; None where the server has it no more."""
        try:
            message = await link.session.republish(subscription, number)
        except _LOST:
            return None
        if message.SequenceNumber != number or not message.NotificationData:
            return None  # some servers answer with an empty message instead of BadMessageNotAvailable
        return [
            as_row(item.ClientHandle, item.Value)
            for data in message.NotificationData or []
            if isinstance(data, ua.DataChangeNotification)
            for item in data.MonitoredItems
        ]

    def _ended(self, why: str) -> None:
        self._why = Trouble("tcp", "lost", Bilingual(f"연결이 끊겼어요 ({why}).", f"The connection was lost ({why})."))
        self._wake.set()

    def _lost(self, trouble: Trouble) -> None:
        """Note an interruption: its start, and a mark on every tag, so that no old value looks fresh."""
        self._flush()
        self._why = trouble
        state: ConnectionState = "needs_trust" if trouble.ask else "failed" if trouble.final else "disconnected"
        text = trouble.text
        if trouble.next_step is not None:
            text = Bilingual(f"{text.ko} {trouble.next_step.ko}", f"{text.en} {trouble.next_step.en}")
        self._say(state, text)
        if self._publisher is not None:
            self._publisher.stop()
        if self.link is not None:
            self.link.cut()
        if trouble.code != "silent" and trouble.step != "tcp":
            self.link = None
        if not self._ever or self._cut is not None:
            return
        slack = int(1000 * (self._granted.sampling + self._granted.publish))
        self._cut = Opening(self._outlet, "disconnected", (self._held_until or self._now()) - slack, note=trouble.code)
        self._mark()

    def _mark(self) -> None:
        """Write "no communication" on every tag that had a value, at the server's time as far as we know it."""
        count = len(self.items)
        handles = np.flatnonzero((self.items.newest[:count] > 0) & (self.items.marked[:count] == 0)).astype(np.int32)
        if not len(handles):
            return
        now = self._now()
        at = np.maximum(self.items.newest[handles], now + self.server_clock.skew_us)
        self.items.marked[handles] = at
        quality = np.full(len(handles), BAD_NO_COMMUNICATION, dtype=np.uint32)
        nothing = np.zeros(len(handles), dtype=np.bool_)
        self._outlet.put_columns(Columns(handles, at, np.zeros(len(handles)), nothing, (), quality, now, None))

    async def _answer_marks(self, link: Link) -> None:
        """After a resumed session, say of tags that did not change that they are back."""
        handles = np.flatnonzero(self.items.marked[: len(self.items)]).tolist()
        asked = [self.items.all[handle] for handle in handles if not self.items.all[handle].element]
        answers = await link.read_rows([item.node for item in asked])
        self.items.fresh[handles] = True
        rows: list[Row] = [(asked[row[0]].handle, *row[1:]) for row in answers]
        columns = self._columnizer.answer(rows, self._now())
        if columns is not None:
            self._outlet.put_columns(columns)

    async def _look_at_clock(self, link: Link) -> None:
        before = self._clock()
        answer = await asyncio.wait_for(link.server_clock(), self.options.timeout)
        after = self._clock()
        if answer is None:
            return
        jump = self.server_clock.asked(answer[0], before, after)
        if jump is not None:
            opening = Opening(self._outlet, "clock_jump", self._now(), note=f"the server's clock jumped by {jump:+.1f} s")
            opening.close(self._now())
        if self._ever and self._why is None:
            self._say_connected()

    async def _retry_refused(self, link: Link) -> None:
        """Try tags that the server refused once more; a renamed one may be back."""
        refused = [item for item in self.items.all if item.refused]
        if not refused or not self._granted.subscriptions:
            return
        self._granted.refused.clear()
        for begin in range(0, len(refused), link.limits.items):
            await watch(link, self._granted.subscriptions[-1], refused[begin : begin + link.limits.items], self._granted)
        for item in refused:
            if not item.refused and item.tag.name in self._refused_gaps:
                self._refused_gaps.pop(item.tag.name).close(self._now())
        self._say_connected()

    def _tell_refused(self) -> None:
        """Tags that the server does not know get its status as their value, and a gap."""
        now = self._now()
        refused = self._granted.refused
        if not refused:
            return
        handles = np.array([item.handle for item in refused], dtype=np.int32)
        quality = np.array([item.refused or BAD_NODE_UNKNOWN for item in refused], dtype=np.uint32)
        nothing = np.zeros(len(handles), dtype=np.bool_)
        at = np.full(len(handles), now, dtype=np.int64)
        self._outlet.put_columns(Columns(handles, at, np.zeros(len(handles)), nothing, (), quality, now, None))
        for item in refused:
            if item.tag.name not in self._refused_gaps:
                name = status_name(item.refused)
                self._refused_gaps[item.tag.name] = Opening(self._outlet, "bad_tag", now, tags=[item.tag.name], note=name)

    async def _switch(self, link: Link) -> None:
        parameters = ua.SetPublishingModeParameters()
        parameters.PublishingEnabled = not self._pause_wanted
        parameters.SubscriptionIds = list(self._granted.subscriptions)
        await link.session.set_publishing_mode(parameters)
        if self._pause_wanted:
            self._flush()
            self._paused = Opening(self._outlet, "paused", self._now())
            self._say("paused", None)
        elif self._paused is not None:
            now = self._now()
            paused, self._paused = self._paused, None
            paused.close(now)
            self._start(self._fill(paused, now, None, 0, 0))
            self._say_connected()

    def _say_connected(self) -> None:
        if self._paused is not None:
            return
        less = self._granted.text(self.options.publish)
        parts = [
            part for part in (self.link.chosen.text if self.link else None, less, self.server_clock.text()) if part is not None
        ]
        text = Bilingual("; ".join(part.ko for part in parts), "; ".join(part.en for part in parts))
        self._say("degraded" if self._granted.poor else "connected", text)

    def _say(self, state: ConnectionState, text: Bilingual | None) -> None:
        if self._state != (state, text):
            self._state = (state, text)
            self._outlet.note(lambda sink: sink.state(state, text))

    def _start(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._asking = False
        self._flush()
        self._quiet_overflows(0.0, all_of_them=True)
        if self._publisher is not None:
            self._publisher.stop()
        if self.link is not None:
            if self._why is None:
                await self.link.close()
            else:
                self.link.cut()
        self.link = None

    def _now(self) -> int:
        return microseconds(self._clock())


async def plan(
    link: Link, namespaces: Namespaces, options: Options, wanted: Sequence[str]
) -> tuple[list[Described], list[str]]:
    """Return the tags to follow as the server describes them, and the names among those wanted that are no nodes there."""
    if not wanted:
        found, _ = await find(link, namespaces.node(options.root), depth=options.depth, limit=options.limit)
        return await describe(link, namespaces, found), []
    chosen: dict[str, Found] = {}
    unknown = []
    for name in wanted:
        try:
            node = namespaces.node(name)
        except ValueError:
            unknown.append(name)
            continue
        chosen.setdefault(node.to_string(), Found(node))
    return await describe(link, namespaces, list(chosen.values())), unknown


def microseconds(moment: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return (moment - instant(0)) // timedelta(microseconds=1)


_UNSUPPORTED: Final = Bilingual(
    "이 태그의 자료형(구조체, 바이트 열)은 아직 담지 않아요.",
    "The data type of this tag (structure, byte string) is not taken yet.",
)
_BROKEN: Final = Bilingual("서버의 알림을 읽을 수 없어요.", "A notification of the server cannot be read.")
_SILENT: Final = Bilingual(
    "서버가 살아 있다는 신호를 보내지 않아요. 망이 반쯤 끊겼거나 서버가 멈췄어요.",
    "The server gives no sign of life. The network is half cut, or the server hangs.",
)
_CLOSED: Final = Bilingual("서버가 연결을 닫았어요.", "The server closed the connection.")
