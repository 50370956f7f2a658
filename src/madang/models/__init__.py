"""Learns from library data under protocols that cannot leak the future, says how sure it is, and predicts new files.

A study takes what the library read and a request, and returns a report and a model:

    >>> from madang.models import StudyRequest, parse_span
    >>> StudyRequest(target="quality", lab_delay="24rows").lab_delay
    '24rows'
    >>> parse_span("15min", "--horizon")
    Span(seconds=900.0, rows=None)

`study` finds out what was not said (task, target, order of the rows), keeps an untouched last block, races the candidates over blocked
folds, and ends in a `Verdict`. `SavedModel.to_bytes` keeps the model; `predict` answers every record of new files, each from what was
known before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from madang.models._frame import Availability, Frame, Series, Task
from madang.models._span import Span, parse_span
from madang.models._words import (
    CandidateResult,
    Cause,
    Drift,
    LeakFinding,
    Metric,
    Score,
    StudyRequest,
    Verdict,
    Worth,
)

if TYPE_CHECKING:
    from madang.models._assemble import frame_from_arrow, frame_of
    from madang.models._model import SavedModel
    from madang.models._predict import Predicted, predict
    from madang.models._study import Study, study

_LATE = {
    "study": "_study",
    "Study": "_study",
    "SavedModel": "_model",
    "Predicted": "_predict",
    "predict": "_predict",
    "frame_of": "_assemble",
    "frame_from_arrow": "_assemble",
}
"""Loaded when first asked for: they bring numerical libraries with them."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module attribute is of any type
    """Load a late name of the front door."""
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(f"madang.models.{_LATE[name]}"), name)
    raise AttributeError(f"module 'madang.models' has no attribute {name!r}")


__all__ = [
    "Availability", "CandidateResult", "Cause", "Drift", "Frame", "LeakFinding", "Metric", "Predicted", "SavedModel", "Score", "Series", "Span", "Study",
    "StudyRequest", "Task", "Verdict", "Worth", "frame_from_arrow", "frame_of", "parse_span", "predict", "study",
]  # fmt: skip
