"""What a study is about, found out or given: target, task, clock, groups, order, and which columns may be inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from madang.errors import InputError, Json, UsageError
from madang.models._frame import FloatArray, Frame, IntArray, Series, Task
from madang.models._history import Timing, timing_of
from madang.models._span import NOTHING, Span, parse_span
from madang.models._words import StudyRequest
from madang.plant import Bilingual, Role

OFFERED: tuple[Task, ...] = ("regression", "classification", "forecast")
MOST_CLASSES = 20
TARGET_OF_FAMILY = "class"
"""Name of a target that was spread over indicator columns."""


@dataclass(frozen=True)
class Setting:
    """Everything that was decided before anything is learned."""

    task: Task
    target: str
    classes: tuple[str, ...]
    """Names of the classes of a classification, in the order of their codes."""
    positive: int | None
    """Code of the class that is looked for (the rarer of two); None otherwise."""
    timing: Timing | None
    """Clock; None when rows have no order that means something."""
    by_group: bool
    grouped: bool
    """Whether rows of one group must stay on one side."""
    unit: str | None
    order_reason: Bilingual
    assumptions: tuple[Bilingual, ...] = ()
    family: tuple[str, ...] = ()
    """Indicator columns that together are the target."""

    @property
    def ordered(self) -> bool:
        """Whether a later row really is later."""
        return self.timing is not None


def one_hot_families(frame: Frame) -> list[tuple[str, ...]]:
    """Return sets of at least three neighbouring 0/1 columns of which exactly one is 1 in every row, largest first."""
    names = list(frame.series)
    binary = {n: _is_binary(frame[n].values) for n in names}
    found = []
    place = 0
    while place < len(names):
        if not binary[names[place]]:
            place += 1
            continue
        end = place
        while end < len(names) and binary[names[end]]:
            end += 1
        block = names[place:end]
        # A block of indicators may hold several families side by side: take the longest that adds up to one, from the left.
        start = 0
        while start < len(block):
            length = next(
                (
                    n
                    for n in range(len(block) - start, 2, -1)
                    if np.all(sum(frame[c].values for c in block[start : start + n]) == 1.0)
                ),
                0,
            )
            if length:
                found.append(tuple(block[start : start + length]))
            start += max(length, 1)
        place = end
    return sorted(found, key=lambda f: -len(f))


def _is_binary(values: FloatArray) -> bool:
    return bool(np.all((values == 0.0) | (values == 1.0)) and values.min() < values.max()) if len(values) else False


def joined_family(frame: Frame, family: Sequence[str]) -> Frame:
    """Replace indicator columns by one class column named `TARGET_OF_FAMILY` (absent where not exactly one is 1)."""
    indicators = np.column_stack([frame[n].values for n in family])
    sure = np.nansum(indicators, axis=1) == 1.0
    codes = np.where(sure, np.nanargmax(np.where(np.isfinite(indicators), indicators, -1.0), axis=1), np.nan)
    made = Series(TARGET_OF_FAMILY, codes, tuple(family), role=Role.TARGET_CANDIDATE, origin=", ".join(family))
    return frame.without(*family).with_series(made)


def settle(frame: Frame, request: StudyRequest, family: tuple[str, ...] = ()) -> tuple[Frame, Setting]:
    """Decide what the study is about, and put the rows into its order.

    Args:
        frame: Rows in the order of their source.
        request: What a person asked.
        family: Indicator columns the person named as the target together.

    Returns:
        The frame in the order of the study (rows without a place in that order left out), and the setting.

    Raises:
        InputError: There is nothing to learn from, or no target can be found.
        UsageError: A request contradicts itself.
    """
    if len(frame) == 0:
        raise _nothing(Bilingual("읽은 행이 하나도 없어요.", "There is not a single row to learn from."))
    assumptions: list[Bilingual] = []
    if family:
        frame, target = joined_family(frame, family), TARGET_OF_FAMILY
    else:
        frame, target, family = _target(frame, request, assumptions)
    task = _task(frame[target], request, assumptions)
    horizon = parse_span(request.horizon, "--horizon")
    delay = parse_span(request.lab_delay, "--lab-delay")
    frame, order_reason = _ordered(frame, request, target, task, horizon, delay)
    by_group = _by_group(frame)
    timing: Timing | None = None
    if order_reason is not None:
        if task == "forecast":
            horizon, delay = horizon or Span(rows=1), delay or NOTHING
        elif delay is None and frame.result_time is not None:
            delay = NOTHING
        timing = timing_of(frame, horizon=horizon or NOTHING, delay=delay, by_group=by_group)
    elif task == "forecast" or horizon is not None:
        raise UsageError(
            "no_order",
            ko="예보에는 시각이나 순서 열이 필요해요.",
            en="A forecast needs a time column or an order.",
            next_ko="--time 또는 --order 로 열을 정해 주세요.",
            next_en="Name the column with --time or --order.",
        )
    frame, classes, positive = _classes(frame, target, task)
    series = frame[target]
    return frame, Setting(
        task=task,
        target=target,
        classes=classes,
        positive=positive,
        timing=timing,
        by_group=by_group,
        grouped=_grouped(frame),
        unit=series.unit,
        order_reason=order_reason
        or Bilingual(
            "시각, 로트, 실행 번호처럼 순서를 말해 주는 열이 없어서 행을 섞어 나눴어요.",
            "No time, lot or run column says in which order the rows were made, so the rows were shuffled into folds.",
        ),
        assumptions=tuple(assumptions),
        family=family,
    )


def _nothing(what: Bilingual) -> InputError:
    return InputError(
        "nothing_to_learn",
        ko=what.ko,
        en=what.en,
        next_ko="데이터가 들어 있는 파일을 주거나, intake 보고서에서 격리된 행의 까닭을 봐 주세요.",
        next_en="Give a file that holds data, or look in the intake report why rows are in quarantine.",
    )


def _target(frame: Frame, request: StudyRequest, assumptions: list[Bilingual]) -> tuple[Frame, str, tuple[str, ...]]:
    named = frame.facts.get("target")
    if isinstance(named, str) and named in frame.series:
        return frame, named, ()
    if request.target is not None and request.target in frame.series:
        return frame, request.target, ()
    if request.target is not None:
        raise InputError(
            "unusable_target",
            ko=f"목표 열 '{request.target}'은(는) 숫자나 범주로 읽히지 않아요.",
            en=f"The target column '{request.target}' is neither numbers nor categories.",
            next_ko="다른 열을 --target 으로 정해 주세요.",
            next_en="Name another column with --target.",
            where={"column": request.target},
        )
    candidates = [s.name for s in frame if s.role is Role.TARGET_CANDIDATE]
    families = one_hot_families(frame)
    if families and (not candidates or set(candidates) <= set(families[0])):
        assumptions.append(
            Bilingual(
                f"하나만 1인 열 {len(families[0])}개를 한 목표의 종류로 보았어요: {', '.join(families[0])}. 다르면 --target 으로 정해 주세요.",
                f"{len(families[0])} columns of which exactly one is 1 are taken as the classes of one target: {', '.join(families[0])}."
                " If that is wrong, name it with --target.",
            )
        )
        return joined_family(frame, families[0]), TARGET_OF_FAMILY, families[0]
    results = candidates or [s.name for s in frame if s.role is Role.RESULT]
    if not results:
        raise InputError(
            "no_target",
            ko="무엇을 알고 싶은지 찾지 못했어요.",
            en="No column looks like the result to explain.",
            next_ko=f"--target 으로 정해 주세요. 열: {', '.join(list(frame.series)[:20])}",
            next_en=f"Name it with --target. Columns: {', '.join(list(frame.series)[:20])}",
        )
    assumptions.append(
        Bilingual(
            f"'{results[0]}'을(를) 목표로 보았어요. 다르면 --target 으로 정해 주세요.",
            f"'{results[0]}' is taken as the target. If that is wrong, name it with --target.",
        )
    )
    return frame, results[0], ()


def _task(series: Series, request: StudyRequest, assumptions: list[Bilingual]) -> Task:
    if request.task != "auto":
        if request.task not in OFFERED:
            raise UsageError(
                "task_not_there_yet",
                ko=f"{request.task}: 이 판에는 아직 없어요.",
                en=f"{request.task}: not in this release yet.",
                next_ko="지금은 regression, classification, forecast를 쓸 수 있어요.",
                next_en="Today there are regression, classification and forecast.",
            )
        return request.task
    values = series.values[np.isfinite(series.values)]
    levels = np.unique(values[:100_000])
    few = len(levels) <= 2 or (len(levels) <= 6 and len(values) > 100 and bool(np.all(levels == np.round(levels))))
    found: Task = "classification" if series.categorical or few else "forecast" if request.horizon else "regression"
    says = {
        "classification": ("종류를 맞히는 일(분류)", "classification"),
        "forecast": ("앞날을 내다보는 일(예보)", "a forecast"),
    }
    ko, en = says.get(found, ("값을 맞히는 일(회귀)", "regression"))
    assumptions.append(
        Bilingual(f"{ko}로 보았어요. 다르면 --task 로 정해 주세요.", f"Taken as {en}. If that is wrong, use --task.")
    )
    return found


def _classes(frame: Frame, target: str, task: Task) -> tuple[Frame, tuple[str, ...], int | None]:
    series = frame[target]
    if task != "classification":
        if series.categorical:
            raise UsageError(
                "text_target",
                ko=f"목표 '{target}'은(는) 글자라서 값으로 예측할 수 없어요.",
                en=f"The target '{target}' holds texts and cannot be predicted as a number.",
                next_ko="--task classification 을 쓰거나 다른 목표를 정해 주세요.",
                next_en="Use --task classification or name another target.",
                where={"column": target},
            )
        return frame, (), None
    known = np.isfinite(series.values)
    levels = np.unique(series.values[known])
    if len(levels) > MOST_CLASSES:
        raise UsageError(
            "too_many_classes",
            ko=f"목표 '{target}'의 종류가 {len(levels)}가지라서 분류할 수 없어요(최대 {MOST_CLASSES}).",
            en=f"The target '{target}' has {len(levels)} different values, too many for a classification (at most {MOST_CLASSES}).",
            next_ko="--task regression 을 쓰거나 다른 목표를 정해 주세요.",
            next_en="Use --task regression or name another target.",
            where={"column": target},
        )
    names = tuple(series.categories[int(v)] if series.categories is not None else f"{v:g}" for v in levels)
    codes = np.where(known, np.searchsorted(levels, series.values), np.nan)
    frame = frame.with_series(replace(series, values=codes.astype(np.float64), categories=names))
    counts = np.bincount(codes[known].astype(np.int64), minlength=len(levels))
    positive = int(np.argmin(counts)) if len(levels) == 2 and counts[0] != counts[1] else 1 if len(levels) == 2 else None
    return frame, names, positive


def _ordered(
    frame: Frame, request: StudyRequest, target: str, task: Task, horizon: Span | None, delay: Span | None
) -> tuple[Frame, Bilingual | None]:
    """Put the rows in the order of the study; None as reason when no order means anything."""
    rows = np.arange(len(frame))
    named = frame.facts.get("order")
    if isinstance(named, str) and named in frame.series:
        by = frame[named].values
        keep = rows[np.isfinite(by)]
        keep = keep[np.lexsort((keep, by[keep]))]
        return replace(frame.take(keep), time=None), Bilingual(
            f"'{named}' 열의 순서대로 보았어요.", f"In the order of column '{named}'."
        )
    if frame.time is not None and not np.isnat(frame.time).all():
        keep = rows[~np.isnat(frame.time)]
        keep = keep[np.lexsort((keep, frame.time[keep]))]
        return frame.take(keep), Bilingual(
            "시각 순서대로 앞에서 배우고 뒤에서 시험했어요.", "In the order of time: learned before, judged after."
        )
    stated = [
        option
        for option, given in (
            ("--train-rows", request.train_rows is not None),
            ("--lab-delay", delay is not None),
            ("--horizon", horizon is not None),
            ("--task forecast", task == "forecast"),
        )
        if given
    ]
    if stated:
        return frame, Bilingual(
            f"{', '.join(stated)}이(가) 행의 순서를 뜻하므로 파일에 적힌 순서대로 보았어요.",
            f"{', '.join(stated)} means that the order of the rows counts: taken in the order of the file.",
        )
    serial = _serial(frame, target)
    if serial is not None:
        return frame, Bilingual(
            f"'{serial}' 번호가 행마다 커지므로 만든 순서로 보았어요.",
            f"The number '{serial}' rises from row to row: taken as the order of making.",
        )
    if _grouped(frame):
        return frame, Bilingual("로트(실행)가 나온 순서대로 보았어요.", "In the order in which the lots (runs) appear.")
    return frame, None


def _serial(frame: Frame, target: str) -> str | None:
    """A whole number that rises with every row of a file: a running number of what was made."""
    if len(frame) < 30:
        return None
    same = np.diff(frame.part) == 0
    for series in frame:
        if series.name == target or series.categorical:
            continue
        steps = np.diff(series.values)[same]
        if len(steps) and np.all(steps > 0) and np.all(series.values == np.round(series.values)):
            return series.name
    return None


def _by_group(frame: Frame) -> bool:
    """Whether every group is a history of its own: several rows each, and their stretches overlap or restart."""
    if frame.group is None:
        return False
    _, counts = np.unique(frame.group, return_counts=True)
    return bool(len(counts) > 1 and np.median(counts) >= 5)


def _grouped(frame: Frame) -> bool:
    if frame.group is None:
        return False
    _, counts = np.unique(frame.group, return_counts=True)
    return bool(len(counts) >= 4 and counts.max() > 1 and np.mean(counts > 1) > 0.2)


def inputs_of(frame: Frame, setting: Setting, dropped: frozenset[str]) -> tuple[list[Series], list[Series]]:
    """Return the columns known when a prediction is issued, and those whose past alone may be used.

    Args:
        frame: Rows with their availability assigned.
        setting: The study.
        dropped: Columns that leak.
    """
    own: list[Series] = []
    past: list[Series] = []
    never = {Role.IDENTIFIER, Role.TIME}
    for series in frame:
        if series.name == setting.target or series.name in dropped or series.role in never or _empty(series):
            continue
        if series.available == "after_result" or (series.role is Role.TEXT and not series.categorical):
            continue
        if series.role is Role.LOT and (series.categories is None or len(series.categories) > 50):
            continue
        known = series.available in ("before", "calendar") or (series.available == "unknown" and setting.task != "forecast")
        if known and _wanders(series):
            continue
        if known:
            own.append(series)
        elif setting.ordered and setting.task == "forecast":
            past.append(series)
    return own, past


def _empty(series: Series) -> bool:
    known = series.values[np.isfinite(series.values)]
    return len(known) < 5 or bool(known.min() == known.max())


def _wanders(series: Series) -> bool:
    """Whether a number only ever rises, so that a later row always lies outside what was learned."""
    known = series.values[np.isfinite(series.values)]
    steps = np.diff(known)
    return not series.categorical and len(known) > 30 and bool(np.all(steps > 0))


def training_rows(frame: Frame, request: StudyRequest) -> tuple[IntArray, IntArray] | None:
    """Return the rows that may be learned from and those after them, when a person fixed them per file.

    Raises:
        InputError: No row lies inside, or none after.
    """
    if request.train_rows is None:
        return None
    first, last = request.train_rows
    place = np.arange(len(frame), dtype=np.int64)
    inside, after = place[(frame.row >= first) & (frame.row <= last)], place[frame.row > last]
    if len(inside) < 10 or len(after) == 0:
        what = (
            Bilingual(f"{first}~{last}번 데이터 행이 10개보다 적어요.", f"Fewer than 10 data rows lie in {first} to {last}.")
            if len(inside) < 10
            else Bilingual(f"{last}번 뒤에 시험할 데이터 행이 없어요.", f"No data row lies after {last} to judge on.")
        )
        raise InputError(
            "train_rows_do_not_fit", ko=what.ko, en=what.en,
            next_ko="--train-rows A:B 에서 B를 파일의 데이터 행 수보다 작게 정해 주세요.",
            next_en="Choose --train-rows A:B with B below the number of data rows of the file.",
            where={"rows": f"{first}:{last}"},
        )  # fmt: skip
    return inside, after


def said(assumptions: Sequence[Bilingual]) -> list[Json]:
    """Return texts as a list of fields."""
    return [{"text_ko": a.ko, "text_en": a.en} for a in assumptions]
