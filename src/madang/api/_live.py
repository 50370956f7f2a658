"""``GET /api/v1/live``: newest values and states of connections as they change, at most four times a second."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from madang.api._connections import FAILURES, PointNames
from madang.api._live_desk import PURPOSE, LiveDesk, value_document
from madang.errors import MissingError

EVERY: Final = 0.25
"""Seconds between two looks."""
_STATES_EVERY: Final = 1.0
_WHOLE_EVERY: Final = 10.0
"""Seconds after which all values are sent again, changed or not, so that ages are seen to grow."""
_ALIVE_EVERY: Final = 15.0
_ASKED_EVERY: Final = 5.0
"""Seconds between two looks at whether the reader may still read."""
MAX_STREAMS: Final = 64


def make_stream_router(live: LiveDesk) -> APIRouter:
    """Return the route of live values over one live desk."""
    router = APIRouter(prefix="/api/v1", responses=FAILURES)
    streams = Streams(live)

    @router.get(
        "/live",
        tags=["signals"],
        summary="Live values and states, as server-sent events",
        description="`event: values` carries `{now, values}` with the values that changed (all of them at first); `event: connections` a list of "
        "`{name, state, age_seconds}`.",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def stream(
        request: Request, dataset: Annotated[str | None, Query(max_length=500)] = None, point: PointNames = None
    ) -> StreamingResponse:
        accounts = request.app.state.accounts
        begun = await streams.begin(dataset, point, partial(accounts.still, dict(request.headers), "GET /api/v1/live"))
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(begun, media_type="text/event-stream", headers=headers)

    return router


class Streams:
    """The open streams of one desk."""

    def __init__(self, live: LiveDesk) -> None:
        self._live = live
        self._open = 0

    async def begin(
        self, dataset: str | None, points: list[str] | None, still: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[str]:
        """Open a stream; refusals and unknown names are answered before it begins.

        Args:
            dataset: Dataset whose values are told; None tells states alone.
            points: Its points; all of them when None.
            still: Says whether the reader may still read; asked now and then, so that a stream ends with its session.

        Raises:
            InputError: There is no such dataset or point.
            MissingError: Too many streams are open.
        """
        if self._open >= MAX_STREAMS:
            raise MissingError(
                "too_many_streams",
                ko="살아 있는 화면이 너무 많이 열려 있어요.",
                en="Too many live screens are open.",
                next_ko="쓰지 않는 화면을 닫고 다시 하세요.",
                next_en="Close screens that are not used, then try again.",
                retry=True,
            )
        view: Any = None
        if dataset is not None:
            library = self._live.workspace.library
            view = await run_in_threadpool(library.view, dataset, points, reader=self._live.reader, purpose=PURPOSE)
        return self._events(view, dataset or "", still)

    async def _events(self, view: Any, dataset: str, still: Callable[[], bool]) -> AsyncIterator[str]:  # noqa: ANN401 (a SignalView, or None)
        self._open += 1
        sent: dict[str, tuple[object, ...]] = {}
        states: list[Any] = []
        whole = spoken = looked = 0.0
        asked = time.monotonic()
        try:
            while True:
                now = time.monotonic()
                if now - asked >= _ASKED_EVERY:
                    asked = now
                    if not await run_in_threadpool(still):
                        return
                if view is not None:
                    if now - whole >= _WHOLE_EVERY:
                        sent, whole = {}, now
                    changed = await run_in_threadpool(self._changed, view, dataset, sent)
                    if changed:
                        moment = self._live.workspace.clock().isoformat().replace("+00:00", "Z")
                        yield _event("values", {"now": moment, "values": changed})
                        spoken = now
                if now - looked >= _STATES_EVERY:
                    looked = now
                    found = await run_in_threadpool(self._states)
                    if found != states:
                        states = found
                        yield _event("connections", found)
                        spoken = now
                if now - spoken >= _ALIVE_EVERY:
                    yield ": alive\n\n"
                    spoken = now
                await asyncio.sleep(max(0.0, EVERY - (time.monotonic() - now)))
        finally:
            self._open -= 1

    def _changed(self, view: Any, dataset: str, sent: dict[str, tuple[object, ...]]) -> list[dict[str, Any]]:  # noqa: ANN401
        """The values that differ from what was sent, and remember them."""
        silent = self._live.silent(dataset)
        found = []
        for value in view.last(silent=silent):
            key = (value.time, value.received, value.value, value.text, value.quality, value.stale)
            if sent.get(value.point) != key:
                sent[value.point] = key
                found.append(value_document(value))
        return found

    def _states(self) -> list[dict[str, Any]]:
        return [
            {"name": row["name"], "state": row["state"], "age_seconds": row["age_seconds"]}
            for row in self._live.connections()["connections"]
        ]


def _event(name: str, document: object) -> str:
    return f"event: {name}\ndata: {json.dumps(document, ensure_ascii=False, allow_nan=False)}\n\n"
