"""The documents of the API. Each may carry more fields than named here; readers ignore what they do not know."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat


class Open(BaseModel):
    """A document that may carry more fields than its schema names."""

    model_config = ConfigDict(extra="allow")


class Failure(Open):
    """What went wrong, where, and what to do next (``error/1``)."""

    schema_: Literal["error/1"] = Field("error/1", alias="schema")
    code: str = Field(description="Short stable word a program can branch on.")
    message_ko: str
    message_en: str
    where: dict[str, Any] = Field(default_factory=dict, description="Names, never measured values.")
    next_ko: str = ""
    next_en: str = ""


class Health(Open):
    """Whether the server answers, and which workspace it serves."""

    status: Literal["ok"] = "ok"
    madang: str = Field(description="Version of Madang.")
    workspace: str = Field(description="Name of the workspace's folder.")


class Stats(Open):
    """Sums over the good values of a column, in its unit."""

    n: int
    sum: float | None = None
    min: float | None = None
    max: float | None = None


class FindingDocument(Open):
    """Something an intake noticed."""

    code: str
    severity: Literal["info", "warning", "stop"]
    rows: int
    examples: list[int] = Field(default_factory=list, description="Record numbers, from 1.")
    column: str | None = None
    message_ko: str
    message_en: str
    undo: str | None = Field(None, description="Id to undo the reading decision with, where it can be undone.")


class DatasetRow(Open):
    """One dataset of the library, at its newest version."""

    dataset: str
    version: int
    rows: int | None
    columns: int | None
    time_first: str | None
    time_last: str | None
    quality: float | None = Field(None, description="From 0 to 1; null = unknown.")
    asks: int = Field(description="Columns that wait for a person.")
    quarantined: int = Field(description="Rows in quarantine.")
    taken: str | None = Field(None, description="When it came in, UTC.")
    sources: list[str]


class Datasets(Open):
    """The datasets of the library, or those that fit a query."""

    query: str
    datasets: list[DatasetRow]


class ColumnDocument(Open):
    """What is known about one column."""

    name: str
    source_name: str
    role: str
    kind_of_quantity: str
    unit_source: str | None = None
    unit: str | None = Field(None, description="UCUM code; null = unknown.")
    unit_reason_ko: str = ""
    unit_reason_en: str = ""
    confidence: float = Field(ge=0, le=1)
    status: Literal["proposed", "accepted", "ask"]
    type: str
    missing: int
    bad: int
    stuck: int
    stats: Stats | None = None
    quality: float | None = None


class MappingDocument(ColumnDocument):
    """A column with the dataset it belongs to."""

    dataset: str


class Mappings(Open):
    """Columns whose meaning can be confirmed."""

    columns: list[MappingDocument]


class PartDocument(Open):
    """One source table inside a version."""

    source: str
    sha256: str | None
    format: str | None
    rows_read: int
    rows_kept: int
    rows_quarantined: int
    rows_duplicate: int
    findings: list[FindingDocument]


class VersionDocument(Open):
    """One version of a dataset."""

    version: int
    taken: str | None
    rows: int | None
    reason: str
    sources: list[str]


class StepDocument(Open):
    """One decision that was made about a dataset."""

    id: str
    kind: str
    step: str | None
    time: str | None
    undone: str | None = Field(description="When it was undone, UTC; null = it holds.")
    reversible: bool
    reason_ko: str
    reason_en: str


class CardDocument(Open):
    """The card of a dataset (``card/1``)."""

    dataset: str
    version: int
    rows: int
    time_column: str | None
    time_first: str | None
    time_last: str | None
    zone: str | None
    zone_assumed: bool
    quality: float | None
    quarantined: int
    columns: list[ColumnDocument]
    parts: list[PartDocument]
    versions: list[VersionDocument]
    said: dict[str, str | None] = Field(description="What people said about it; null = nobody has said it yet.")
    steps: list[StepDocument] = Field(description="Decisions behind the dataset, oldest first.")


class QuarantinedRow(Open):
    """A row that could not be read."""

    dataset: str
    source: str
    row: int = Field(description="Record number in the source, from 1.")
    reason: str
    text: str


class Quarantine(Open):
    """Rows that wait in quarantine."""

    all: int = Field(description="How many wait, shown or not.")
    rows: list[QuarantinedRow]


class TrendDocument(Open):
    """A column thinned to buckets: extremes and worst quality, so that nothing is lost from sight."""

    column: str
    unit: str | None
    timed: bool = Field(description="Whether `at` is seconds since 1970 (UTC); else row numbers from 1.")
    at: list[float]
    low: list[float | None]
    high: list[float | None]
    worst: list[int] = Field(description="0 good, 1 uncertain, 2 bad or missing, 3 no reading in this span.")
    readings: int


class IntakeDocument(Open):
    """What was read, and how (``intake/1``)."""

    schema_: Literal["intake/1"] = Field("intake/1", alias="schema")
    madang: str
    seconds: float
    tables: list[dict[str, Any]]


class Changed(Open):
    """A new version that a change made."""

    dataset: str
    version: int


class Undo(BaseModel):
    """The reading decision to undo."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(min_length=1, max_length=200, description="`undo` of a finding.")


class About(BaseModel):
    """What people say about a dataset; null takes a field back, what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    description: str | None = Field(None, max_length=4000)
    process: str | None = Field(None, max_length=400)
    equipment: str | None = Field(None, max_length=400)
    owner: str | None = Field(None, max_length=400)
    licence: str | None = Field(None, max_length=400)
    importance: Literal["open", "member", "agreement", "restricted", "core"] | None = None


class Replay(BaseModel):
    """The dataset whose quarantined rows to read again."""

    model_config = ConfigDict(extra="forbid")
    dataset: str = Field(min_length=1, max_length=500)


class Accept(BaseModel):
    """The meaning of a column, as a person confirms it; what is left out stays as proposed."""

    model_config = ConfigDict(extra="forbid")
    dataset: str = Field(min_length=1, max_length=500)
    column: str = Field(min_length=1, max_length=1000)
    role: str | None = Field(None, max_length=40)
    kind: str | None = Field(None, max_length=40, description="Kind of quantity.")
    unit: str | None = Field(None, max_length=60, description="UCUM code.")


Task = Literal["auto", "regression", "classification", "forecast"]


class StudyChoices(BaseModel):
    """What a person chose for a study; what is left out is found out."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    target: str | None = Field(None, max_length=1000)
    task: Task = "auto"
    exclude: list[str] = Field(default_factory=list, max_length=100_000)
    horizon: str | None = Field(None, max_length=40, description="`1h`, `15min`, `3rows`.")
    lab_delay: str | None = Field(None, max_length=40, description="`8h`, `24rows`.")
    goal: str | None = Field(None, max_length=2000)
    budget: int = Field(60, ge=5, le=3600, description="Seconds to spend.")
    seed: int = Field(0, ge=0, le=2**31 - 1)
    money: dict[str, list[FiniteFloat] | str] = Field(
        default_factory=dict, description="Ranges [low, likely, high] for the worth, and `currency`."
    )


class StudyState(Open):
    """How far a guided study is."""

    id: str
    created: str
    state: Literal["reading", "ready", "running", "done", "failed", "cancelled"]
    files: list[dict[str, Any]]
    target: str | None
    task: str
    seconds: float = Field(description="How long the running work has taken so far.")
    trying: list[dict[str, Any]] = Field(description="The latest things that were tried, oldest first.")
    error: Failure | None = None
    report: str | None = Field(None, description="Address of the `study/1` document, once there is one.")


class StudyList(Open):
    """The guided studies of the workspace, newest first."""

    studies: list[StudyState]


class StudyDocument(Open):
    """The result of a study (``study/1``)."""

    schema_: Literal["study/1"] = Field("study/1", alias="schema")
    madang: str
    seconds: float
    task: str
    target: str | None
    verdict: dict[str, Any]
    candidates: list[dict[str, Any]]
    causes: list[dict[str, Any]]
