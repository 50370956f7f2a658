"""The API below ``/api/v1``: each route turns text into typed arguments, calls one function and returns one document."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, UploadFile
from fastapi import Path as InPath

from madang import __version__
from madang.api._desk import Desk, version_number
from madang.api._documents import (
    About,
    Accept,
    CardDocument,
    Changed,
    Datasets,
    Failure,
    IntakeDocument,
    MappingDocument,
    Mappings,
    Quarantine,
    Replay,
    StudyChoices,
    StudyDocument,
    StudyList,
    StudyState,
    TrendDocument,
    Undo,
)
from madang.api._studies import Draft, Studies, safe_name
from madang.api._trend import MAX_WIDTH
from madang.errors import InputError, UsageError

_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": text}
    for status, text in (
        (403, "Refused: the request comes from another site, or an agreement says no."),
        (404, "There is no such thing."),
        (413, "The upload is too large."),
        (422, "A value of the request does not fit."),
        (500, "A fault of Madang."),
    )
}
Name = Annotated[str, InPath(max_length=500, description="Name of a dataset.")]
StudyId = Annotated[str, InPath(pattern="^[0-9a-f]{12}$", description="Id of a study.")]
_CHUNK = 1 << 20


def make_router(desk: Desk, studies: Studies) -> APIRouter:
    """Return the routes of the API over one desk."""
    router = APIRouter(prefix="/api/v1", responses=_FAILURES)

    @router.get("/datasets", tags=["library"], summary="List or search the datasets", response_model=Datasets)
    def list_datasets(q: Annotated[str, Query(max_length=500, description="Words, Korean or English.")] = "") -> dict[str, Any]:
        return {"query": q, "datasets": desk.datasets(q)}

    @router.get("/datasets/{name}", tags=["library"], summary="The card of a dataset", response_model=CardDocument)
    def get_card(name: Name, version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None) -> dict[str, Any]:
        return desk.card(name, version)

    @router.get(
        "/datasets/{name}/trend", tags=["library"], summary="A column, thinned for a chart", response_model=TrendDocument
    )
    def get_trend(
        name: Name,
        column: Annotated[str, Query(max_length=1000)],
        version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
        start: Annotated[datetime | None, Query(alias="from", description="First instant wanted.")] = None,
        end: Annotated[datetime | None, Query(alias="to", description="Last instant wanted.")] = None,
        width: Annotated[int, Query(ge=1, le=MAX_WIDTH, description="Buckets at most; twice the pixels is enough.")] = 2000,
    ) -> dict[str, Any]:
        for moment in (start, end):
            if moment is not None and moment.tzinfo is None:
                raise UsageError(
                    "no_zone",
                    ko="시각에 시간대가 없어요.",
                    en="The instant does not say its zone.",
                    next_ko="2026-05-30T18:00:00Z 처럼 적어 주세요.",
                    next_en="Write it as 2026-05-30T18:00:00Z.",
                )
        trend = desk.trend(name, version, column, start, end, width)
        unit = next((c["unit"] for c in desk.card(name, version)["columns"] if c["name"] == column), None)
        return {"column": column, "unit": unit, **trend.document()}

    @router.get("/quarantine", tags=["library"], summary="Rows that could not be read", response_model=Quarantine)
    def get_quarantine(
        dataset: Annotated[str | None, Query(max_length=500)] = None, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000
    ) -> dict[str, Any]:
        rows = desk.quarantine(dataset)
        return {"all": len(rows), "rows": rows[:limit]}

    @router.post("/replay", tags=["library"], summary="Read quarantined rows again", response_model=Changed)
    def replay(body: Replay) -> dict[str, Any]:
        return _changed(desk.replay(body.dataset))

    @router.post("/undo", tags=["library"], summary="Undo a reading decision", response_model=Changed)
    def undo(body: Undo) -> dict[str, Any]:
        return _changed(desk.undo(body.id))

    @router.post("/redo", tags=["library"], summary="Make an undone decision again", response_model=Changed)
    def redo(body: Undo) -> dict[str, Any]:
        return _changed(desk.redo(body.id))

    @router.put("/datasets/{name}/about", tags=["library"], summary="Say what a dataset is about", response_model=CardDocument)
    def describe(name: Name, body: About) -> dict[str, Any]:
        desk.describe(name, body.model_dump(exclude_unset=True))
        return desk.card(name)

    @router.get("/mappings", tags=["library"], summary="Columns whose meaning can be confirmed", response_model=Mappings)
    def get_mappings(
        dataset: Annotated[str | None, Query(max_length=500)] = None,
        show: Annotated[str, Query(pattern="^(ask|proposed|accepted|all)$")] = "ask",
    ) -> dict[str, Any]:
        return {"columns": desk.mappings(dataset, show)}

    @router.post("/mappings", tags=["library"], summary="Confirm or change a meaning", response_model=MappingDocument)
    def accept(body: Accept) -> dict[str, Any]:
        return desk.accept(body.dataset, body.column, role=body.role, kind=body.kind, unit=body.unit)

    @router.post("/intake", tags=["library"], summary="Read files into the library", response_model=IntakeDocument)
    def intake(
        files: Annotated[list[UploadFile], File(description="One file or more.")],
        zone: Annotated[str | None, Form(max_length=60, description="IANA zone of times that do not say theirs.")] = None,
        dataset: Annotated[str | None, Form(max_length=500, description="Dataset to put them in.")] = None,
    ) -> dict[str, Any]:
        began = time.perf_counter()
        with TemporaryDirectory(prefix="madang-") as folder:
            paths = keep_uploads(files, Path(folder))
            document = desk.intake(paths, zone=zone or None, dataset=dataset or None)
        return {"schema": "intake/1", "madang": __version__, "seconds": round(time.perf_counter() - began, 3), **document}

    @router.get("/studies", tags=["studies"], summary="List the studies", response_model=StudyList)
    def list_studies() -> dict[str, Any]:
        return {"studies": [state_document(studies, draft) for draft in studies.all()]}

    @router.post(
        "/studies", tags=["studies"], summary="Begin a study: hand over files", status_code=201, response_model=StudyState
    )
    def new_study(
        files: Annotated[list[UploadFile], File(description="One file or more.")],
        zone: Annotated[str | None, Form(max_length=60)] = None,
    ) -> dict[str, Any]:
        return state_document(studies, begin(studies, files, zone or None))

    @router.get("/studies/{study}", tags=["studies"], summary="How far a study is", response_model=StudyState)
    def get_study(study: StudyId) -> dict[str, Any]:
        return state_document(studies, studies.get(study))

    @router.post("/studies/{study}/run", tags=["studies"], summary="Compute the study", response_model=StudyState)
    def run_study(study: StudyId, choices: StudyChoices) -> dict[str, Any]:
        return state_document(studies, choose_and_run(studies, study, choices))

    @router.post("/studies/{study}/cancel", tags=["studies"], summary="Stop the work", response_model=StudyState)
    def cancel_study(study: StudyId) -> dict[str, Any]:
        return state_document(studies, studies.cancel(study))

    @router.get("/studies/{study}/intake", tags=["studies"], summary="What was read", response_model=IntakeDocument)
    def get_intake(study: StudyId) -> dict[str, Any]:
        studies.get(study)
        return _ready(studies.intake(study))

    @router.get("/studies/{study}/report", tags=["studies"], summary="The result", response_model=StudyDocument)
    def get_report(study: StudyId) -> dict[str, Any]:
        studies.get(study)
        return _ready(studies.document(study))

    return router


def begin(studies: Studies, files: list[UploadFile], zone: str | None) -> Draft:
    """Begin a study with uploaded files and start reading them."""
    draft = studies.new()
    return add_files(studies, draft, files, zone)


def add_files(studies: Studies, draft: Draft, files: list[UploadFile], zone: str | None) -> Draft:
    """Add uploaded files to a study and read all of them."""
    folder = studies.upload_folder(draft.id)
    kept = keep_uploads(files, folder, {item["name"] for item in draft.files})
    draft.files += [{"name": path.name, "size": path.stat().st_size} for path in kept]
    draft.zone = zone or draft.zone
    return studies.start(draft, "reading")


def choose_and_run(studies: Studies, study: str, choices: StudyChoices) -> Draft:
    """Keep a person's choices and compute the study.

    Raises:
        InputError: The files have not been read yet.
    """
    draft = studies.get(study)
    _ready(studies.intake(study))
    for name in ("target", "task", "exclude", "horizon", "lab_delay", "goal", "budget", "seed"):
        setattr(draft, name, getattr(choices, name) if getattr(choices, name) != "" else None)
    draft.money = dict(choices.money)
    if draft.state not in ("reading", "running"):
        studies.save(draft)
    return studies.start(draft, "running")


def keep_uploads(files: list[UploadFile], folder: Path, taken: set[str] | None = None) -> list[Path]:
    """Write uploaded files into a folder under safe names, in the order they came.

    Raises:
        UsageError: No file has a name, so none was chosen.
    """
    names = set(taken or ())
    kept: list[Path] = []
    for upload in files:
        if not upload.filename:
            continue
        name = safe_name(upload.filename, names)
        names.add(name)
        path = folder / name
        with path.open("wb") as out:
            while block := upload.file.read(_CHUNK):
                out.write(block)
        kept.append(path)
    if not kept:
        raise UsageError(
            "no_files",
            ko="파일이 오지 않았어요.",
            en="No file arrived.",
            next_ko="파일을 하나 이상 골라 주세요.",
            next_en="Choose at least one file.",
        )
    return kept


def state_document(studies: Studies, draft: Draft) -> dict[str, Any]:
    """Return how far a study is."""
    done = draft.state == "done"
    return {
        "id": draft.id,
        "created": draft.created,
        "state": draft.state,
        "files": draft.files,
        "target": draft.target,
        "task": draft.task,
        "seconds": round(studies.seconds(draft), 1) if draft.state in ("reading", "running") else 0.0,
        "trying": studies.progress(draft.id),
        "error": studies.error(draft.id) if draft.state == "failed" else None,
        "report": f"/api/v1/studies/{draft.id}/report" if done else None,
    }


def _changed(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "version": version_number(document.get("version", 1))}


def _ready(document: dict[str, Any] | None) -> dict[str, Any]:
    if document is None:
        raise InputError(
            "not_ready",
            ko="아직 준비되지 않았어요.",
            en="It is not ready yet.",
            next_ko="읽기나 계산이 끝난 뒤에 다시 불러 주세요.",
            next_en="Ask again when reading or computing has ended.",
            retry=True,
        )
    return document
