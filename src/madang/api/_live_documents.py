"""The documents of living data. Each may carry more fields than named here; readers ignore what they do not know."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from madang.api._documents import Open

State = Literal["starting", "connected", "degraded", "disconnected", "needs_trust", "failed", "paused", "stopped"]


class TroubleDocument(Open):
    """Why a connection does not run as it should, and what to do next."""

    message_ko: str
    message_en: str
    next_ko: str
    next_en: str


class ConnectionRow(Open):
    """One connection and how it is."""

    name: str
    kind: str
    title_ko: str
    title_en: str
    url: str = Field(description="Without any secret.")
    dataset: str
    state: State
    wanted: Literal["running", "paused"]
    text_ko: str
    text_en: str
    last_good: str | None = Field(description="Source time of the newest good sample, UTC.")
    age_seconds: float | None = Field(description="Age of it; null = there is none.")
    newest: str | None = Field(description="When anything was received last, good or not.")
    rate: float | None = Field(description="Samples a second over the last 10 s.")
    received: int
    durable: int
    committed: int
    duplicates_dropped: int
    overflowed: int
    rejected: int
    spool_bytes: int
    hours_to_full: float | None
    oldest_uncommitted: str | None
    gaps_open: int
    gaps_24h: int
    error: TroubleDocument | None
    clock_skew_seconds: float | None
    capabilities: list[str]


class RunnerDocument(Open):
    """Who runs the connections."""

    running: bool
    here: bool = Field(description="Whether it is this process.")
    pid: int | None = None
    since: str | None = None


class ConnectionList(Open):
    """All connections."""

    connections: list[ConnectionRow]
    runner: RunnerDocument


class GapDocument(Open):
    """One interval that was not got."""

    id: str
    connection: str
    from_: str = Field(alias="from")
    to: str | None = Field(description="null = it goes on.")
    seconds: float
    open: bool
    cause: str
    cause_ko: str
    cause_en: str
    points: list[str] | None = Field(description="Tags concerned; null = all of the connection.")
    samples: int | None
    backfilled: Literal["no", "part", "yes", "impossible"]
    filled: int
    note: str
    next_ko: str
    next_en: str


class ConnectionDocument(ConnectionRow):
    """One connection with its settings, what it brought, and its newest gaps."""

    options: dict[str, str]
    secrets: list[str] = Field(description="Names only.")
    chosen: list[str] = Field(description="Tags taken; empty = all.")
    tags: list[dict[str, Any]] = Field(description="Points that it has brought.")
    policy: dict[str, Any]
    gaps: list[GapDocument]


class Policy(BaseModel):
    """What happens when a spool is full."""

    model_config = ConfigDict(extra="forbid")
    overflow: Literal["block", "drop_oldest", "thin"] = "block"
    max_bytes: int = Field(0, ge=0, description="Bytes the spool may take; 0 = its own limit.")


class UnsavedConnection(BaseModel):
    """Settings to try before they are kept."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field("test", max_length=200)
    kind: str = Field(max_length=40)
    url: str = Field("", max_length=4000)
    options: dict[str, str] = Field(default_factory=dict, max_length=500)
    secrets: dict[str, str] = Field(default_factory=dict, max_length=50, description="Or references: env:NAME, file:PATH.")
    tags: list[str] = Field(default_factory=list, max_length=200_000)


class NewConnection(UnsavedConnection):
    """A connection to make. It is paused until it is started, unless `wanted` says otherwise."""

    name: str = Field(max_length=200)
    dataset: str | None = Field(None, max_length=500)
    wanted: Literal["running", "paused"] = "paused"
    policy: Policy | None = None


class ChosenTags(BaseModel):
    """Tags that a connection takes."""

    model_config = ConfigDict(extra="forbid")
    tags: list[str] = Field(max_length=200_000, description="Empty = all.")


class Thumbprint(BaseModel):
    """The certificate to trust."""

    model_config = ConfigDict(extra="forbid")
    thumbprint: str = Field(min_length=1, max_length=200)


class TestStepDocument(Open):
    """One step of a test."""

    name: Literal["name", "tcp", "trust", "login", "browse", "value"]
    state: Literal["ok", "failed", "skipped", "ask"]
    text_ko: str
    text_en: str
    next_ko: str
    next_en: str
    seconds: float
    facts: dict[str, str]


class TestDocument(Open):
    """A connection tried step by step."""

    passed: bool
    steps: list[TestStepDocument]


class Trusted(Open):
    """A certificate that is trusted now."""

    name: str
    thumbprint: str
    trusted: bool


class Removed(Open):
    """A connection that was removed, and what stays of it."""

    name: str
    dataset: str
    kept: list[str]


class Tags(Open):
    """Tags of a peer."""

    under: str
    tags: list[dict[str, Any]]


class Preview(Open):
    """A few samples, with quality in words."""

    samples: list[dict[str, Any]]


class Described(Preview):
    """What a pasted message would be taken for."""

    problem_ko: str
    problem_en: str


class KindDocument(Open):
    """One kind of connection."""

    kind: str
    title_ko: str
    title_en: str
    capabilities: list[str]
    options: dict[str, dict[str, str]]
    secrets: list[str]
    extra: str | None
    installed: bool
    url_example: str


class Kinds(Open):
    """The kinds of connections."""

    kinds: list[KindDocument]


class SignalsRow(Open):
    """One dataset of samples."""

    dataset: str
    points: int
    samples: int
    time_first: str | None
    time_last: str | None


class SignalsList(Open):
    """The datasets that living connections fill with samples."""

    signals: list[SignalsRow]


class PointDocument(Open):
    """One point."""

    point: str = Field(description="Its lasting name in queries.")
    id: int
    tag: str
    connection: str
    label_ko: str
    label_en: str
    unit: str | None
    kind_of_quantity: str
    data_type: str
    low: float | None
    high: float | None
    status: Literal["proposed", "accepted", "ask"]


class Points(Open):
    """The points of a dataset."""

    dataset: str
    points: list[PointDocument]


class LastValueDocument(Open):
    """The newest sample of one point, as old as it is."""

    point: str
    value: float | None
    text: str | None
    time: str
    received: str | None
    quality: int = Field(description="OPC UA status code.")
    quality_class: Literal["good", "uncertain", "bad"]
    quality_ko: str
    quality_en: str
    age_seconds: float
    stale: bool = Field(
        description="It may have changed since: its connection is not connected and it is older than 10 s, or it is older than"
        " 60 s and ten of the point's own mean steps (never so for set points, states and recipes)."
    )
    unit: str | None


class LastValues(Open):
    """Newest samples."""

    now: str
    values: list[LastValueDocument]


class RangeDocument(Open):
    """Samples of one point."""

    dataset: str
    point: str
    unit: str | None
    cut: bool = Field(description="Whether there are more than the limit.")
    time: list[str]
    value: list[float | None]
    quality: list[int]
    text: list[str | None] | None


class TrendPoint(Open):
    """One point thinned to buckets."""

    point: str
    unit: str | None
    label_ko: str
    label_en: str
    at: list[float] = Field(description="Start of each bucket [s since 1970].")
    low: list[float | None]
    high: list[float | None]
    worst: list[int] = Field(description="0 good, 1 uncertain, 2 bad, 3 nothing came.")
    count: list[int]


class SignalTrend(Open):
    """Points thinned for the eye, with what happened in the span."""

    dataset: str
    from_: str = Field(alias="from")
    to: str
    points: list[TrendPoint]
    gaps: list[dict[str, Any]]
    lots: list[dict[str, Any]]
    shifts: list[dict[str, Any]]


class GapList(Open):
    """Gaps, newest first."""

    gaps: list[GapDocument]
    total: int = Field(description="How many fit, shown or not.")
    open: int
    causes: dict[str, int]


class Filled(Open):
    """What filling a gap brought."""

    gap: str
    samples: int


class QuarantineCounts(Open):
    """How much waits in quarantine, by connection."""

    all: int
    quarantine: list[dict[str, Any]]


class Pushed(Open):
    """What was taken of a pushed batch; durable when this is read."""

    accepted: int
    rejected: int
    again: bool = Field(description="The batch had been taken before under the same key.")
    problems: list[dict[str, Any]]


class Conditions(Open):
    """Saved conditions."""

    conditions: list[dict[str, Any]]


class NewCondition(BaseModel):
    """A condition to save."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    name: str = Field(min_length=1, max_length=80)
    dataset: str = Field(min_length=1, max_length=500)
    point: str = Field(min_length=1, max_length=1000)
    op: Literal["<", ">"]
    value: float
    lasting_seconds: float = Field(0.0, ge=0, le=604_800)
