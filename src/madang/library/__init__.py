"""Keeps what was brought in, knows what it means, and decides every read.

Bring files in, look at what they are, and read them through the one door:

    with Library.open(folder, clock=lambda: datetime.now(UTC), zone="Asia/Seoul") as library:
        report = library.intake([Path("meter.csv")])
        library.card(report.tables[0].dataset)
        library.read(report.tables[0].dataset, reader="owner", purpose="show").table

A dataset is a list of immutable versions (``meter@1``, ``meter@2``); a version is a list of parts, each one source table that was
read. Nothing is changed in place: a correction, an undo or a mapping makes a new version, and the older ones keep their bytes.
"""

from __future__ import annotations

from madang.library._cards import (
    PART,
    ColumnCard,
    ColumnStats,
    Decision,
    MappingStatus,
    PartCard,
    ReadResult,
    VersionId,
)
from madang.library._clocks import ClockOffset, no_offset, offset_of_events, offset_of_samples, offset_of_signals
from madang.library._decide import Answer, DecisionPoint, OwnerMay, Request
from madang.library._join import (
    AmbiguousRow,
    JoinResult,
    join_datasets,
    join_tables,
    lot_events,
    match_tables,
    notes_of,
    signal_numbers,
    view_of,
)
from madang.library._join_match import AMBIGUOUS, Matched, Outcome
from madang.library._join_times import Instants, Phase, RowTimes, TableView, instants_of, is_instant, phases, row_times
from madang.library._kernels import (
    ALL_FEATURES,
    Buckets,
    Feature,
    as_of,
    downsample,
    rolling_mean_std,
)
from madang.library._keys import SURE, KeyCandidate, find_keys, text_keys
from madang.library._library import Library
from madang.library._report import IntakeReport, TableReport
from madang.library._signals._cards import LastValue, PointCard
from madang.library._signals._conditions import All, AnyOf, Compare, Condition, Lasting, condition_of
from madang.library._signals._events import SavedCondition
from madang.library._signals._slices import Samples
from madang.library._signals._table import SignalView
from madang.library._where import Form, Where
from madang.library._windows import WindowFeatures, features_by_tag, window_features

__all__ = [
    "ALL_FEATURES",
    "AMBIGUOUS",
    "PART",
    "SURE",
    "All",
    "AmbiguousRow",
    "Answer",
    "AnyOf",
    "Buckets",
    "ClockOffset",
    "ColumnCard",
    "ColumnStats",
    "Compare",
    "Condition",
    "Decision",
    "DecisionPoint",
    "Feature",
    "Form",
    "Instants",
    "IntakeReport",
    "JoinResult",
    "KeyCandidate",
    "LastValue",
    "Lasting",
    "Library",
    "MappingStatus",
    "Matched",
    "Outcome",
    "OwnerMay",
    "PartCard",
    "Phase",
    "PointCard",
    "ReadResult",
    "Request",
    "RowTimes",
    "Samples",
    "SavedCondition",
    "SignalView",
    "TableReport",
    "TableView",
    "VersionId",
    "Where",
    "WindowFeatures",
    "as_of",
    "condition_of",
    "downsample",
    "features_by_tag",
    "find_keys",
    "instants_of",
    "is_instant",
    "join_datasets",
    "join_tables",
    "lot_events",
    "match_tables",
    "no_offset",
    "notes_of",
    "offset_of_events",
    "offset_of_samples",
    "offset_of_signals",
    "phases",
    "rolling_mean_std",
    "row_times",
    "signal_numbers",
    "text_keys",
    "view_of",
    "window_features",
]
