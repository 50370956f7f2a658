"""Routes of living data: connections, kinds, points, trends and gaps."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi import Path as InPath
from fastapi.responses import Response

from madang.api._documents import Failure
from madang.api._live_desk import MAX_BUCKETS, LiveDesk
from madang.api._live_documents import (
    ChosenTags,
    Conditions,
    ConnectionDocument,
    ConnectionList,
    Described,
    Filled,
    GapList,
    Kinds,
    LastValues,
    NewCondition,
    NewConnection,
    Points,
    Preview,
    QuarantineCounts,
    RangeDocument,
    Removed,
    SignalsList,
    SignalTrend,
    Tags,
    TestDocument,
    Thumbprint,
    Trusted,
    UnsavedConnection,
)
from madang.errors import UsageError

FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": text}
    for status, text in (
        (401, "Nobody is logged in, and accounts exist."),
        (403, "Refused: the request comes from another site, or the role is not enough."),
        (404, "There is no such thing."),
        (413, "The body is too large."),
        (422, "A value of the request does not fit."),
        (500, "A fault of Madang."),
        (503, "Something needed does not run; the answer says what to do."),
    )
}
Name = Annotated[str, InPath(max_length=200, description="Name of a connection.")]
Dataset = Annotated[str, InPath(max_length=500, description="Name of a dataset of samples.")]
PointNames = Annotated[list[str] | None, Query(alias="point", max_length=200, description="Points; may be repeated.")]
ARROW = "application/vnd.apache.arrow.stream"


def make_live_router(live: LiveDesk) -> APIRouter:
    """Return the routes over one live desk."""
    router = APIRouter(prefix="/api/v1", responses=FAILURES)
    _add_connections(router, live)
    _add_signals(router, live)
    _add_gaps(router, live)
    return router


def _add_connections(router: APIRouter, live: LiveDesk) -> None:
    @router.get("/kinds", tags=["connections"], summary="Kinds of connections", response_model=Kinds)
    def kinds() -> dict[str, Any]:
        return live.kinds()

    @router.get("/connections", tags=["connections"], summary="All connections", response_model=ConnectionList)
    def connections() -> dict[str, Any]:
        return live.connections()

    @router.post(
        "/connections",
        tags=["connections"],
        summary="Make a connection",
        status_code=201,
        response_model=ConnectionDocument,
    )
    def add(body: NewConnection) -> dict[str, Any]:
        return live.add(body.model_dump())

    @router.post("/connections/test", tags=["connections"], summary="Try settings", response_model=TestDocument)
    def test_unsaved(body: UnsavedConnection) -> dict[str, Any]:
        return live.test(body.model_dump())

    @router.post(
        "/connections/describe-payload",
        tags=["connections"],
        summary="Say what a pasted message would be taken for",
        response_model=Described,
    )
    def describe(
        payload: Annotated[bytes, Body(media_type="application/octet-stream", max_length=1_000_000)],
        topic: Annotated[str, Query(max_length=1000)] = "line/sample",
    ) -> dict[str, Any]:
        return live.describe_payload(payload, topic)

    @router.get("/connections/{name}", tags=["connections"], summary="One connection", response_model=ConnectionDocument)
    def connection(name: Name) -> dict[str, Any]:
        return live.connection(name)

    @router.delete("/connections/{name}", tags=["connections"], summary="Remove a connection", response_model=Removed)
    def remove(name: Name) -> dict[str, Any]:
        return live.remove(name)

    @router.post("/connections/{name}/start", tags=["connections"], summary="Start", response_model=ConnectionDocument)
    def start(name: Name) -> dict[str, Any]:
        return live.change(name, "running")

    @router.post("/connections/{name}/pause", tags=["connections"], summary="Pause", response_model=ConnectionDocument)
    def pause(name: Name) -> dict[str, Any]:
        return live.change(name, "paused")

    @router.put("/connections/{name}/tags", tags=["connections"], summary="Choose tags", response_model=ConnectionDocument)
    def choose(name: Name, body: ChosenTags) -> dict[str, Any]:
        return live.choose_tags(name, body.tags)

    @router.post("/connections/{name}/test", tags=["connections"], summary="Try it", response_model=TestDocument)
    def test(name: Name) -> dict[str, Any]:
        return live.test(name)

    @router.post("/connections/{name}/trust", tags=["connections"], summary="Trust a certificate", response_model=Trusted)
    def trust(name: Name, body: Thumbprint) -> dict[str, Any]:
        return live.trust(name, body.thumbprint)

    @router.get("/connections/{name}/browse", tags=["connections"], summary="Tags of the peer", response_model=Tags)
    def browse(
        name: Name,
        under: Annotated[str, Query(max_length=4000)] = "",
        limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
    ) -> dict[str, Any]:
        return live.browse(name, under, limit)

    @router.get("/connections/{name}/preview", tags=["connections"], summary="A few samples", response_model=Preview)
    def preview(
        name: Name,
        tags: Annotated[list[str] | None, Query(max_length=1000)] = None,
        n: Annotated[int, Query(ge=1, le=200)] = 20,
    ) -> dict[str, Any]:
        return live.preview(name, tags or (), n)


def _add_signals(router: APIRouter, live: LiveDesk) -> None:
    @router.get("/signals", tags=["signals"], summary="Datasets of samples", response_model=SignalsList)
    def signals() -> dict[str, Any]:
        return live.signals()

    @router.get("/signals/{dataset}/points", tags=["signals"], summary="Points of a dataset", response_model=Points)
    def points(dataset: Dataset, q: Annotated[str, Query(max_length=500)] = "") -> dict[str, Any]:
        return live.points(dataset, q)

    @router.get("/signals/{dataset}/last", tags=["signals"], summary="Newest samples", response_model=LastValues)
    def last(dataset: Dataset, point: PointNames = None) -> dict[str, Any]:
        return live.last(dataset, point)

    @router.get("/signals/{dataset}/range", tags=["signals"], summary="Samples of a point", response_model=RangeDocument)
    def range_(
        dataset: Dataset,
        point: Annotated[str, Query(max_length=1000)],
        start: Annotated[datetime | None, Query(alias="from")] = None,
        end: Annotated[datetime | None, Query(alias="to")] = None,
        limit: Annotated[int, Query(ge=1, le=1_000_000)] = 100_000,
    ) -> dict[str, Any]:
        return live.range(dataset, point, aware(start), aware(end), limit)

    @router.get(
        "/signals/{dataset}/trend",
        tags=["signals"],
        summary="Points thinned for a chart",
        description=f"With `Accept: {ARROW}` the buckets come as one Arrow stream instead.",
        response_model=SignalTrend,
    )
    def trend(
        request: Request,
        dataset: Dataset,
        start: Annotated[datetime, Query(alias="from", description="First instant.")],
        end: Annotated[datetime, Query(alias="to", description="First instant not wanted any more.")],
        point: PointNames = None,
        buckets: Annotated[int, Query(ge=1, le=MAX_BUCKETS)] = 1000,
        lots: Annotated[
            str | None, Query(max_length=500, description="Dataset with a record per lot, its start and end.")
        ] = None,
    ) -> Any:  # noqa: ANN401 (a document or a stream)
        first, last = aware(start), aware(end)
        assert first is not None and last is not None
        if ARROW in request.headers.get("accept", ""):
            stream = bucket_stream(live.buckets(dataset, point or [], first, last, buckets))
            return Response(stream, media_type=ARROW)
        return live.trend(dataset, point or [], first, last, buckets, lots)


def _add_gaps(router: APIRouter, live: LiveDesk) -> None:
    @router.get("/gaps", tags=["gaps"], summary="Intervals that were not got", response_model=GapList)
    def gaps(
        connection: Annotated[str | None, Query(max_length=200)] = None,
        cause: Annotated[str | None, Query(max_length=40)] = None,
        open: Annotated[bool, Query(description="Only those that go on.")] = False,
        start: Annotated[datetime | None, Query(alias="from")] = None,
        end: Annotated[datetime | None, Query(alias="to")] = None,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    ) -> dict[str, Any]:
        return live.gaps(connection, cause, open, aware(start), aware(end), page)

    @router.post("/gaps/{gap}/backfill", tags=["gaps"], summary="Fill a gap from its peer", response_model=Filled)
    def backfill(gap: Annotated[str, InPath(max_length=240)]) -> dict[str, Any]:
        return live.backfill(gap)

    @router.get("/quarantine/counts", tags=["gaps"], summary="What waits in quarantine", response_model=QuarantineCounts)
    def counts() -> dict[str, Any]:
        return live.quarantine_counts()

    @router.get("/conditions", tags=["signals"], summary="Saved conditions", response_model=Conditions)
    def conditions(dataset: Annotated[str, Query(max_length=500)]) -> dict[str, Any]:
        return live.conditions(dataset)

    @router.post("/conditions", tags=["signals"], summary="Save a condition", status_code=201, response_model=Conditions)
    def keep(body: NewCondition) -> dict[str, Any]:
        return live.keep_condition(**body.model_dump())


def aware(moment: datetime | None) -> datetime | None:
    """Return an instant that says its zone, within the years of which there are data.

    Raises:
        UsageError: It does not, or lies outside.
    """
    if moment is not None and not 1900 <= moment.year <= 2200:
        raise UsageError(
            "out_of_range",
            ko="시각은 1900년부터 2200년까지예요.",
            en="An instant lies between the years 1900 and 2200.",
            next_ko="from 과 to 를 확인하세요.",
            next_en="Check from and to.",
        )
    if moment is not None and moment.tzinfo is None:
        raise UsageError(
            "no_zone",
            ko="시각에 시간대가 없어요.",
            en="The instant does not say its zone.",
            next_ko="2026-05-30T18:00:00Z 처럼 적어 주세요.",
            next_en="Write it as 2026-05-30T18:00:00Z.",
        )
    return moment


def bucket_stream(found: dict[str, Any]) -> bytes:
    """Return buckets as one Arrow stream: point, at [us], low, high, worst (status code), count, broken."""
    import numpy as np
    import pyarrow as pa

    schema = pa.schema(
        [
            pa.field("point", pa.dictionary(pa.int32(), pa.string())),
            pa.field("at", pa.timestamp("us", tz="UTC")),
            pa.field("low", pa.float64()),
            pa.field("high", pa.float64()),
            pa.field("worst", pa.uint32()),
            pa.field("count", pa.int64()),
            pa.field("broken", pa.bool_()),
        ]
    )
    names = pa.array([*found], pa.string())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for place, thinned in enumerate(found.values()):
            at = thinned.start.astype("datetime64[us]").view(np.int64) if thinned.start.dtype.kind == "M" else thinned.start
            columns = [
                pa.DictionaryArray.from_arrays(pa.array(np.full(len(at), place, np.int32)), names),
                pa.array(at).cast(pa.timestamp("us", tz="UTC")),
                pa.array(thinned.minimum, pa.float64()),
                pa.array(thinned.maximum, pa.float64()),
                pa.array(thinned.worst.astype(np.uint32)),
                pa.array(thinned.count.astype(np.int64)),
                pa.array(thinned.broken),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    return bytes(sink.getvalue())
