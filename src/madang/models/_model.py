"""A saved study: everything needed to predict again, as JSON, arrays and LightGBM's text in one archive. No pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from madang.connect import Layout
from madang.errors import InputError, Json
from madang.library import ColumnCard
from madang.models._candidates import Learner, State, learner_from, learner_state
from madang.models._features import Feature, Recipe
from madang.models._feedback import Feedback, Inputs
from madang.models._frame import FloatArray, Frame, Series
from madang.models._history import Timing
from madang.models._intervals import Band
from madang.models._span import Span
from madang.models._words import StudyRequest
from madang.plant import Bilingual, Kind, Role

SCHEMA = "model/1"
_STAMP = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class ModelColumn:
    """A column as the study knew it, so that a later file is read into the same frame."""

    name: str
    source_name: str
    role: Role
    kind: Kind
    unit: str | None
    unit_source: str | None
    type: str
    categories: tuple[str, ...] | None = None

    def card(self) -> ColumnCard:
        """Return the column as a card of the library."""
        return ColumnCard(
            self.source_name, self.name, self.role, self.kind, self.unit_source, self.unit,
            Bilingual("저장한 연구에서 정한 대로예요.", "As the saved study has it."), 1.0, "accepted", self.type,  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass(frozen=True)
class SavedModel:
    """What a study learned, ready to predict."""

    name: str
    task: str
    target: str
    unit: str | None
    classes: tuple[str, ...]
    positive: int | None
    family: tuple[str, ...]
    """Indicator columns that together are the target, when it was spread over them."""
    candidate: str
    timing: Timing | None
    recipe: Recipe
    watched: Recipe
    learner: Learner
    feedback: Feedback
    inputs: Inputs
    band: Band | None
    weights: FloatArray
    """Weights of the classes in the decision: the class with the largest weight x probability is called."""
    calibration: FloatArray
    """Slope and offset of the log odds (two classes)."""
    set_threshold: float
    tail: Frame | None
    """Last learned rows: what predictions look back at when a file continues where learning ended."""
    tail_residual: FloatArray
    columns: tuple[ModelColumn, ...]
    layouts: tuple[Layout, ...]
    request: StudyRequest
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Seed, rows learned from, version of the data, metric: for the card."""

    def to_bytes(self) -> bytes:
        """Return the model as one archive; the same model gives the same bytes."""
        arrays: dict[str, np.typing.NDArray[Any]] = {}
        document: dict[str, Any] = {
            "schema": SCHEMA, "name": self.name, "task": self.task, "target": self.target, "unit": self.unit, "classes": list(self.classes),
            "positive": self.positive, "family": list(self.family), "candidate": self.candidate,
            "timing": None if self.timing is None else _timing_json(self.timing),
            "recipe": [f.to_json() for f in self.recipe], "watched": [f.to_json() for f in self.watched],
            "learner": _pack(learner_state(self.learner), arrays), "feedback": _pack(self.feedback.state(), arrays),
            "inputs": _pack(self.inputs.state(), arrays), "band": None if self.band is None else _pack(self.band.state(), arrays),
            "weights": _pack({"w": self.weights, "c": self.calibration, "r": self.tail_residual}, arrays), "set_threshold": self.set_threshold,
            "tail": None if self.tail is None else _pack_frame(self.tail, arrays),
            "columns": [{**vars(c), "categories": None if c.categories is None else list(c.categories)} for c in self.columns],
            "layouts": [layout.to_json() for layout in self.layouts], "request": _request_json(self.request), "facts": dict(self.facts),
        }  # fmt: skip
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            _write(archive, "model.json", json.dumps(document, ensure_ascii=False, sort_keys=True).encode())
            for name in sorted(arrays):
                raw = io.BytesIO()
                np.lib.format.write_array(raw, np.ascontiguousarray(arrays[name]), allow_pickle=False)
                _write(archive, f"arrays/{name}.npy", raw.getvalue())
        return packed.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> SavedModel:
        """Make a model from `to_bytes`'s archive.

        Raises:
            InputError: The bytes are not a saved model, or of a later form.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                document = json.loads(archive.read("model.json"))
                arrays = {
                    n[len("arrays/") : -len(".npy")]: np.lib.format.read_array(io.BytesIO(archive.read(n)), allow_pickle=False)
                    for n in archive.namelist()
                    if n.startswith("arrays/")
                }
            if document.get("schema") != SCHEMA:
                raise KeyError("schema")
            return _model_of(document, arrays)
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as reason:
            raise InputError(
                "not_a_model",
                ko="저장한 모델 파일이 아니거나 손상됐어요.",
                en="This is not a saved model, or it is damaged.",
                next_ko="study --save 로 다시 저장해 주세요.",
                next_en="Save it again with study --save.",
            ) from reason


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _STAMP)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def _pack(state: State, arrays: dict[str, np.typing.NDArray[Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, dict):
            made[key] = _pack(value, arrays)
        elif isinstance(value, np.ndarray):
            name = f"a{len(arrays):05d}"
            arrays[name] = value
            made[key] = {"$array": name}
        elif isinstance(value, float):
            made[key] = {"$float": value.hex()}
        else:
            made[key] = value
    return made


def _unpack(packed: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in packed.items():
        if isinstance(value, dict) and "$array" in value:
            made[key] = arrays[value["$array"]]
        elif isinstance(value, dict) and "$float" in value:
            made[key] = float.fromhex(value["$float"])
        elif isinstance(value, dict):
            made[key] = _unpack(value, arrays)
        else:
            made[key] = value
    return made


def _timing_json(timing: Timing) -> dict[str, Any]:
    def span(value: Span | None) -> dict[str, Any] | None:
        return None if value is None else {"seconds": value.seconds, "rows": value.rows}

    return {
        "timed": timing.timed, "step": timing.step, "horizon": span(timing.horizon), "delay": span(timing.delay), "by_group": timing.by_group,
        "origin": timing.origin,
    }  # fmt: skip


def _timing_of(document: Mapping[str, Any]) -> Timing:
    made = dict(document)
    made["horizon"] = Span(**made["horizon"])
    made["delay"] = None if made["delay"] is None else Span(**made["delay"])
    return Timing(**made)


def _request_json(request: StudyRequest) -> dict[str, Any]:
    return {
        **vars(request),
        "group": list(request.group),
        "exclude": list(request.exclude),
        "train_rows": list(request.train_rows or ()),
    }


def _request_of(document: Mapping[str, Any]) -> StudyRequest:
    made = dict(document)
    made["group"], made["exclude"] = tuple(made["group"]), tuple(made["exclude"])
    made["train_rows"] = (made["train_rows"][0], made["train_rows"][1]) if made["train_rows"] else None
    return StudyRequest(**made)


def _pack_frame(frame: Frame, arrays: dict[str, np.typing.NDArray[Any]]) -> dict[str, Any]:
    whole: State = {"part": frame.part, "row": frame.row}
    if frame.time is not None:
        whole["time"] = frame.time.astype("datetime64[us]").astype(np.int64)
    if frame.result_time is not None:
        whole["result_time"] = frame.result_time.astype("datetime64[us]").astype(np.int64)
    if frame.group is not None:
        whole["group"] = frame.group.astype(np.str_)
    series = [
        {
            "name": s.name, "categories": None if s.categories is None else list(s.categories), "available": s.available,
            "values": _pack({"v": s.values}, arrays)["v"],
        }
        for s in frame
    ]  # fmt: skip
    return {"whole": _pack(whole, arrays), "series": series}


def _frame_of(document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Frame:
    whole = _unpack(document["whole"], arrays)
    series = {
        s["name"]: Series(
            s["name"],
            _unpack({"v": s["values"]}, arrays)["v"],
            None if s["categories"] is None else tuple(s["categories"]),
            available=s["available"],
        )
        for s in document["series"]
    }
    return Frame(
        series,
        whole["part"],
        whole["row"],
        time=whole["time"].astype("datetime64[us]") if "time" in whole else None,
        result_time=whole["result_time"].astype("datetime64[us]") if "result_time" in whole else None,
        group=whole.get("group"),
    )


def _model_of(document: dict[str, Any], arrays: Mapping[str, Any]) -> SavedModel:
    inputs = Inputs()
    inputs.restore(_unpack(document["inputs"], arrays))
    numbers = _unpack(document["weights"], arrays)
    return SavedModel(
        name=document["name"], task=document["task"], target=document["target"], unit=document["unit"], classes=tuple(document["classes"]),
        positive=document["positive"], family=tuple(document["family"]), candidate=document["candidate"],
        timing=None if document["timing"] is None else _timing_of(document["timing"]),
        recipe=tuple(Feature.from_json(f) for f in document["recipe"]), watched=tuple(Feature.from_json(f) for f in document["watched"]),
        learner=learner_from(_unpack(document["learner"], arrays)), feedback=Feedback.restore(_unpack(document["feedback"], arrays)),
        inputs=inputs, band=None if document["band"] is None else Band.restore(_unpack(document["band"], arrays)),
        weights=numbers["w"], calibration=numbers["c"], tail_residual=numbers["r"], set_threshold=document["set_threshold"],
        tail=None if document["tail"] is None else _frame_of(document["tail"], arrays),
        columns=tuple(_column_of(c) for c in document["columns"]),
        layouts=tuple(Layout.from_json(layout) for layout in document["layouts"]),
        request=_request_of(document["request"]), facts=document["facts"],
    )  # fmt: skip


def _column_of(document: dict[str, Any]) -> ModelColumn:
    column = ModelColumn(**{**document, "role": Role(document["role"]), "kind": Kind(document["kind"])})
    return replace(column, categories=None if column.categories is None else tuple(column.categories))
