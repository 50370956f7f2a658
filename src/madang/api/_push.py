"""``POST /api/v1/push/{connection}``: a batch of samples, durable before it is answered, kept once for each key."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from madang.api._connections import FAILURES, Name
from madang.api._live_desk import LiveDesk
from madang.api._live_documents import Pushed
from madang.errors import RefusedError, UsageError

PUSH_LIMIT: Final = 64 << 20
"""Bytes of one batch at most."""
PATIENCE: Final = 60.0
"""Seconds in which a batch has to arrive."""
_FORMS: Final = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/vnd.apache.arrow.stream": "arrow",
}
_DESCRIPTION: Final = (
    "The body is JSON (one sample, a list, `{tags, samples}`, or `{time, values}`), lines of JSON, or an uncompressed Arrow stream with the columns "
    "`tag`, `time`, `value` (or `number`, `text`) and `quality`. 200 means that the samples survive a power loss. With `Idempotency-Key`, the same batch sent "
    "again is answered again and kept once, also after a restart. When a sample cannot be taken, nothing of the batch is, and 422 names each "
    "one by number and field; `rest=keep` takes the others and sets the wrong ones aside."
)


def make_push_router(live: LiveDesk) -> APIRouter:
    """Return the route for pushes over one live desk."""
    router = APIRouter(prefix="/api/v1", responses=FAILURES)

    @router.post(
        "/push/{connection}",
        tags=["push"],
        summary="Send samples",
        description=_DESCRIPTION,
        response_model=Pushed,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {form: {"schema": {}} for form in ("application/json", "application/x-ndjson", *list(_FORMS)[-1:])},
            }
        },
    )
    async def push(
        request: Request,
        connection: Name,
        key: Annotated[str | None, Header(alias="Idempotency-Key", description="A new one for each batch.")] = None,
        rest: Annotated[Literal["refuse", "keep"] | None, Query(description="As the connection says, when left out.")] = None,
    ) -> dict[str, Any]:
        form = _form(request)
        body = await _body(request)
        answer = await run_in_threadpool(live.push, connection, body, form, key, rest)
        return dict(answer.document())

    return router


def _form(request: Request) -> str:
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise UsageError(
            "compressed",
            ko="압축한 본문은 받지 않아요.",
            en="A compressed body is not taken.",
            next_ko="Content-Encoding 없이 보내 주세요.",
            next_en="Send it without Content-Encoding.",
        )
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media not in _FORMS:
        raise UsageError(
            "unknown_form",
            ko=f"본문의 종류를 몰라요. 되는 것: {', '.join(_FORMS)}",
            en=f"The form of the body is not known. Allowed: {', '.join(_FORMS)}",
            next_ko="Content-Type 을 그 가운데 하나로 적어 주세요.",
            next_en="Set Content-Type to one of them.",
            where={"allowed": [*_FORMS]},
        )
    return _FORMS[media]


async def _body(request: Request) -> bytes:
    """Read a body up to the limit; a longer one is not read to its end."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > PUSH_LIMIT:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(PATIENCE):
            async for part in request.stream():
                size += len(part)
                if size > PUSH_LIMIT:
                    raise _too_large()
                parts.append(part)
    except TimeoutError:
        raise UsageError(
            "too_slow",
            ko=f"본문이 {PATIENCE:.0f}초 안에 다 오지 않았어요. 남긴 것은 없어요.",
            en=f"The body did not arrive within {PATIENCE:.0f} s. Nothing was kept.",
            next_ko="더 작은 묶음으로 나누어 다시 보내 주세요.",
            next_en="Send it again as smaller batches.",
            retry=True,
        ) from None
    except ClientDisconnect:
        # Nobody reads this answer; it says that nothing went wrong here.
        raise UsageError(
            "broken_off",
            ko="본문이 오다가 끊겼어요. 남긴 것은 없어요.",
            en="The body broke off. Nothing was kept.",
            next_ko="같은 묶음을 다시 보내 주세요.",
            next_en="Send the same batch again.",
            retry=True,
        ) from None
    return b"".join(parts)


def _too_large() -> RefusedError:
    return RefusedError(
        "too_large",
        ko=f"한 묶음은 {PUSH_LIMIT >> 20} MB까지예요.",
        en=f"A batch may have {PUSH_LIMIT >> 20} MB.",
        next_ko="더 작은 묶음으로 나누어 보내 주세요.",
        next_en="Send it as smaller batches.",
    )
