"""What a model must not see: columns and rows that know the answer in a way that next month's rows will not.

A strong honest cause is no leak. A column is dropped only when something no cause can do is seen: it gives the target below the
resolution of the data, it equals the target of other rows, marks one rare class without exception, computes the target together
with another column, or means a result by its name and moves with it. Everything less is asked or told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from madang.errors import Json
from madang.models._frame import Availability, BoolArray, FloatArray, Frame, IntArray, Series, Task
from madang.models._leaks_rows import grouping_of, repeated_rows, told_by
from madang.models._leaks_series import Made, Windows, identities, leading, level_means, made_from_target, target_windows
from madang.models._leaks_view import Strength, View, auc_of, make_view, purity_of, strength
from madang.models._leaks_words import (
    holds_results,
    may_be_after,
    says_after,
    says_before,
    says_clock,
    says_file,
    says_future,
    says_identifier,
    says_lot,
    shares_name,
)
from madang.models._order import OrderTest, order_of
from madang.models._words import LeakCode, LeakFinding
from madang.plant import Bilingual, Kind, Role, Severity

_NEAR: Final = 0.995
"""R² (or error reduction) of one column from which it is asked whether it is known in time."""
_PARTED: Final = 0.997
"""2 AUC - 1 from which the same is asked of a class (AUC 0.9985)."""
_ELECTRIC: Final = frozenset(
    {
        Kind.ACTIVE_POWER, Kind.REACTIVE_POWER, Kind.APPARENT_POWER, Kind.ELECTRIC_ENERGY, Kind.REACTIVE_ENERGY,
        Kind.POWER_FACTOR,
    }
)  # fmt: skip
_METERED: Final = frozenset({Kind.ACTIVE_POWER, Kind.APPARENT_POWER, Kind.ELECTRIC_ENERGY})
_ORDER: Final = {"stop": 0, "warning": 1, "info": 2}


def find_leaks(
    frame: Frame, target: str, task: Task, *, horizon_rows: int, seed: int, train: IntArray | None = None
) -> tuple[LeakFinding, ...]:
    """Find the columns and rows that would let a model see what it cannot know.

    Args:
        frame: Rows in the order of their source.
        target: Column asked for.
        task: For a forecast a column of the same instant is used through its past only.
        horizon_rows: How many rows ahead a forecast looks; 0 otherwise.
        seed: Of subsamples and permutations.
        train: Rows that may be seen; all when None.

    Returns:
        Findings, the gravest first. `dropped` columns must not be used; `asked` ones are used until a person says no, and
        lower the confidence; `kept` ones are told only. A finding without a column concerns the rows.
    """
    view = make_view(frame, target, task, horizon_rows, seed, train)
    if len(view.rows) < 20 or float(np.ptp(view.y)) == 0:
        return ()
    order = order_of(view.y, bool(view.classes), seed)
    found = _columns(view, order)
    found += _families(view, found)
    found += _identities(view, found)
    found += _leads(view, found)
    found += list(_row_findings(view, order, found))
    return tuple(sorted(found, key=lambda f: (_ORDER[f.severity], f.column is None, f.column or "", f.code)))


def dropped_columns(findings: tuple[LeakFinding, ...]) -> frozenset[str]:
    """Return the columns that must not be inputs."""
    return frozenset(f.column for f in findings if f.action == "dropped" and f.column is not None)


def _columns(view: View, order: OrderTest) -> list[LeakFinding]:
    windows = target_windows(view)
    out: list[LeakFinding] = []
    for series in view.frame:
        if series.name == view.target.name or series.role is Role.TIME or series.available == "calendar":
            continue
        x = view.values(series)
        if int(np.isfinite(x).sum()) < 10:
            continue
        finding = _column(view, series, x, order, windows)
        if finding is not None:
            out.append(finding)
    return out


def _column(view: View, series: Series, x: FloatArray, order: OrderTest, windows: Windows) -> LeakFinding | None:
    """Ask the checks in the order of their certainty; the first that speaks names the column."""
    if series.available == "after_result":
        return _finding(
            series, "after_result", "warning", "dropped",
            "결과가 나온 뒤에야 채워지는 열로 표시되어 있어요", "is marked as known only after the result",
        )  # fmt: skip
    running = _running_number(view, series, x, order)
    if running is not None:
        return running
    found = strength(x, view.y, view.classes, series.categorical, np.random.default_rng(view.seed))
    if not series.categorical:
        made = made_from_target(x, view, windows)
        if made is not None and not (made.origin.startswith("past") or made.origin == "shift_past"):
            return _made(series, made)
        if made is not None:
            return None
        bundles = level_means(series.values, view.frame[view.target.name].values)
        if bundles:
            return _finding(
                series, "target_derived", "stop", "dropped",
                f"{bundles}개 값이 모두 그 행들의 목표 평균이에요(목표로 계산한 값)",
                f"has {bundles} values, each the mean of the target over its own rows: it was computed from the target",
            )  # fmt: skip
    if found is not None:
        exact = _exact(view, series, found)
        if exact is not None:
            return exact
    marked = _marked(view, series, x)
    if marked is not None:
        return marked
    if found is None:
        return None
    return _named(view, series, found) or _near(view, series, found)


def _finding(series: Series | None, code: LeakCode, severity: Severity, action: str, ko: str, en: str) -> LeakFinding:
    assert action in ("dropped", "kept", "asked")
    name = None if series is None else series.name
    evidence = Bilingual(ko=f"‘{name}’: {ko}." if name else f"{ko}.", en=f"{name}: {en}." if name else f"{en}.")
    return LeakFinding(name, code, severity, evidence, action)  # type: ignore[arg-type]


def _running_number(view: View, series: Series, x: FloatArray, order: OrderTest) -> LeakFinding | None:
    """Unique names and running numbers: they tell nothing about next month's rows."""
    known = x[np.isfinite(x)]
    n = len(known)
    distinct = len(np.unique(known))
    if n < 20 or distinct < 0.98 * n:
        return None
    if series.categorical:
        return _finding(
            series, "identifier", "info", "dropped",
            f"{n}행에 서로 다른 이름이 {distinct}개라서 행을 구별할 뿐이에요",
            f"has {distinct} different names in {n} rows, so that it only names the row",
        )  # fmt: skip
    whole = bool(np.all(known == np.round(known)))
    steps = np.diff(known)
    rising = n > 2 and bool(np.all(steps > 0) or np.all(steps < 0))
    even = rising and float(np.std(steps)) <= 0.5 * abs(float(np.mean(steps)))
    full = whole and float(np.ptp(known)) <= 1.5 * n
    named = says_identifier(series.name) or series.role is Role.IDENTIFIER or series.kind is Kind.IDENTIFIER
    measured = series.unit is not None and not named
    if measured or not (even or full or (whole and named)):
        return None
    by_value = order_of(view.y[np.isfinite(x)][np.argsort(known, kind="stable")], bool(view.classes), view.seed)
    carries = by_value.sorted or (by_value.found and by_value.statistic > 0.3)
    if carries or (rising and order.sorted):
        return _finding(
            series, "row_order", "warning", "dropped",
            f"행 번호처럼 늘어나는 수인데 목표가 그 순서를 따라요. {by_value.evidence.ko.rstrip('.')}",
            f"counts the rows, and the target follows that order. {by_value.evidence.en.rstrip('.')}",
        )  # fmt: skip
    return _finding(
        series, "identifier", "info", "dropped",
        f"{n}행에서 값이 모두 다른 일련번호예요", f"is a running number, different in each of {n} rows",
    )  # fmt: skip


def _made(series: Series, made: Made) -> LeakFinding:
    score = f"R² {made.score:.4f}"
    if made.origin == "shift_future":
        return _finding(
            series, "future_value", "stop", "dropped",
            f"{made.rows}행 뒤의 목표값과 같아요({score}, 학습 구간)",
            f"equals the target {made.rows} rows later ({score}, training rows)",
        )  # fmt: skip
    if made.origin == "sum":
        return _finding(
            series, "target_derived", "stop", "dropped",
            f"목표를 더해 온 값(누적·누적평균)이라서 한 행의 차이가 목표와 같아요({score}, 학습 구간)",
            f"is a running sum or mean of the target: its steps are the target ({score}, training rows)",
        )  # fmt: skip
    if made.origin == "shape":
        return _finding(
            series, "target_derived", "stop", "dropped",
            f"이 행의 목표나 뒤의 목표로 계산한 값(중앙값·최대·최소·산포·변화율, {made.rows}행)이에요({score}, 학습 구간)",
            f"is computed from {made.rows} rows of the target that include this row or later ones (a median, extreme, spread or "
            f"rate of change; {score}, training rows)",
        )  # fmt: skip
    return _finding(
        series, "target_derived", "stop", "dropped",
        f"이 행의 목표나 뒤의 목표가 들어간 {made.rows}행 이동평균이에요({score}, 학습 구간)",
        f"is an average of the target over {made.rows} rows that include this row or later ones ({score}, training rows)",
    )  # fmt: skip


def _metric(view: View, found: Strength) -> tuple[str, str]:
    if view.classes:
        auc = f", AUC {0.5 + abs(found.concordance) / 2:.3f}" if found.concordance else ""
        return (
            f"오분류 감소 {found.score:.2f}{auc}, 학습 구간 {found.n}행",
            f"error reduction {found.score:.2f}{auc}, {found.n} training rows",
        )
    return (
        f"R² {found.score:.4f}, 순서 일치도 {abs(found.concordance):.4f}, 학습 구간 {found.n}행",
        f"R² {found.score:.4f}, concordance {abs(found.concordance):.4f}, {found.n} training rows",
    )


def _exact(view: View, series: Series, found: Strength) -> LeakFinding | None:
    ko, en = _metric(view, found)
    copy = found.same_scale and found.score >= 0.9 and not says_before(series.name)
    if not (found.exact or copy):
        return None
    code: LeakCode = "label_copy"
    if says_file(series):
        code = "file_name"
    elif not copy and (says_after(series.name) or may_be_after(series.name) or _same_meter(view, series)):
        code = "consequence"
    if found.exact:
        return _finding(
            series, code, "stop", "dropped",
            f"이 열 하나로 목표가 데이터의 분해능까지 그대로 정해져요({ko})",
            f"alone gives the target down to the resolution of the data ({en})",
        )  # fmt: skip
    certain = found.score >= 0.97 or shares_name(series.name, view.target.name)
    return _finding(
        series, code, "warning", "dropped" if certain else "asked",
        f"목표와 평균·산포까지 같은 값이라 목표를 다시 잰 것으로 보여요({ko})",
        f"has the target's own mean and spread and looks like the target measured again ({en})",
    )  # fmt: skip


def _marked(view: View, series: Series, x: FloatArray) -> LeakFinding | None:
    """Filled only where the result exists, or a mark that only one rare class carries."""
    absent = ~np.isfinite(x)
    share = float(absent.mean())
    if 0.005 < share < 0.995:
        missing = _missing(view, series, absent, share)
        if missing is not None:
            return missing
    if not view.classes:
        return None
    known = x[~absent]
    levels, count = np.unique(known, return_counts=True)
    if len(levels) < 2 or count.max() < 0.3 * len(known):
        return None
    marks: list[BoolArray] = []
    usual = levels[count.argmax()]
    if len(levels) <= 12:
        marks = [~absent & (x == level) for level in levels]
    marks.append(~absent & (x != usual))
    for mark in marks:
        flag = purity_of(mark, view.y)
        if flag is None or not flag.sure:
            continue
        certain = (flag.purity >= 0.99 and (not series.categorical or len(levels) <= 3)) or says_after(series.name)
        if not certain and says_before(series.name):
            continue
        return _finding(
            series, "consequence", "stop" if certain else "warning", "dropped" if certain else "asked",
            f"표시가 있는 {flag.marked}행 가운데 {flag.purity:.1%}가 한 등급이에요(전체에서는 {flag.base:.1%}, 정밀도, 학습 구간)",
            f"of {flag.marked} marked rows {flag.purity:.1%} are of one class, which has {flag.base:.1%} of all rows "
            "(precision, training rows)",
        )  # fmt: skip
    return None


def _missing(view: View, series: Series, absent: BoolArray, share: float) -> LeakFinding | None:
    if view.classes:
        found = strength(absent.astype(np.float64), view.y, view.classes, True, np.random.default_rng(view.seed))
        score = 0.0 if found is None else found.score
        flag = next((f for f in (purity_of(~absent, view.y), purity_of(absent, view.y)) if f is not None and f.sure), None)
        if score < 0.6 and flag is None:
            return None
        figure_ko = f"오분류 감소 {score:.2f}" if flag is None else f"정밀도 {flag.purity:.1%}, {flag.marked}행"
        figure_en = f"error reduction {score:.2f}" if flag is None else f"precision {flag.purity:.1%}, {flag.marked} rows"
        certain = score >= 0.85 or (flag is not None and flag.purity >= 0.98)
    else:
        auc = auc_of(absent, view.y)
        strong = max(auc, 1 - auc)
        few = min(int(absent.sum()), int((~absent).sum()))
        if strong < 0.9 or few < 15:
            return None
        figure_ko = figure_en = f"AUC {strong:.3f}"
        certain = strong >= 0.97
    return _finding(
        series, "after_result", "stop" if certain else "warning", "dropped" if certain else "asked",
        f"값이 있고 없음만으로 결과를 알 수 있어요({figure_ko}, 빈칸 {share:.0%}, 학습 구간)",
        f"whether a value is there tells the result ({figure_en}, {share:.0%} empty, training rows)",
    )  # fmt: skip


def _same_meter(view: View, series: Series) -> bool:
    """Readings of the meter that measures the target, and what is computed from it."""
    if view.target.kind not in _METERED:
        return False
    lower = series.name.lower()
    return series.kind in _ELECTRIC or any(w in lower for w in ("co2", "carbon", "tco2")) or "탄소" in series.name


def _named(view: View, series: Series, found: Strength) -> LeakFinding | None:
    """Names of results, when the column also moves with the target."""
    strong = max(found.score, found.concordance**2)
    noticeable = strong > max(0.03, 12.0 / found.n)
    ko, en = _metric(view, found)
    if _same_meter(view, series) and strong > 0.05:
        action = "kept" if view.task == "forecast" else "dropped"
        return _finding(
            series, "consequence", "info" if action == "kept" else "warning", action,
            f"목표와 같은 계량기에서 같은 순간에 나오는 값이에요. {'과거 값만 써요' if action == 'kept' else '미리 알 수 없어요'}({ko})",
            f"comes from the target's own meter at the same instant; "
            f"{'only its past is used' if action == 'kept' else 'it is not known before'} ({en})",
        )  # fmt: skip
    if not noticeable:
        return None
    if says_after(series.name) or holds_results(series):
        return _finding(
            series, "consequence", "warning", "dropped",
            f"이름이나 값이 검사·처분 결과를 뜻하고 목표와 함께 움직여요({ko})",
            f"means a result or what follows from it, and moves with the target ({en})",
        )  # fmt: skip
    if says_future(series.name) and strong > 0.3:
        return _finding(
            series, "future_value", "warning", "asked",
            f"이름이 나중 값을 뜻하고 목표와 함께 움직여요({ko})", f"is named as a later value, and moves with the target ({en})",
        )  # fmt: skip
    if shares_name(series.name, view.target.name) and strong > 0.6 and not says_before(series.name):
        return _finding(
            series, "target_derived", "warning", "asked",
            f"이름이 목표에서 나왔고 목표와 함께 움직여요({ko})", f"is named after the target and moves with it ({en})",
        )  # fmt: skip
    if (may_be_after(series.name) or series.role is Role.RESULT) and strong > 0.8:
        return _finding(
            series, "consequence", "warning", "asked",
            f"결과일 수 있는 이름이고 목표와 함께 움직여요({ko})", f"may be a result by its name, and moves with the target ({en})",
        )  # fmt: skip
    return None


def _near(view: View, series: Series, found: Strength) -> LeakFinding | None:
    ko, en = _metric(view, found)
    if says_file(series) and found.score > 0.3:
        return _finding(
            series, "file_name", "warning", "dropped",
            f"파일 이름이 목표를 알려 줘요({ko})", f"is the name of a file and tells the target ({en})",
        )  # fmt: skip
    limit = (0.8 if found.coarse else 0.95) if view.classes else _NEAR
    clear = found.score >= limit or (view.classes > 0 and abs(found.concordance) >= _PARTED)
    if not clear:
        return None
    return _finding(
        series, "consequence", "warning", "asked",
        f"이 열 하나로 목표가 거의 정해져요({ko}). 예측할 때 이미 아는 값인지 확인이 필요해요",
        f"alone nearly gives the target ({en}); is it known when the prediction is made",
    )  # fmt: skip


def _families(view: View, found: list[LeakFinding]) -> list[LeakFinding]:
    """Sisters of columns that were dropped: rare marks beside them, and labels that exclude one another."""
    out: list[LeakFinding] = []
    named = {f.column for f in found}
    columns = [s for s in view.frame if s.name != view.target.name]
    binary = {s.name: _is_mark(view.values(s)) for s in columns}
    if not view.classes:
        return out
    names = [s.name for s in columns]
    dropped = {f.column for f in found if f.code == "consequence" and f.action == "dropped"}
    for run in _runs_of(names, binary):
        hit = [n for n in run if n in dropped]
        if len(hit) >= 2 and 2 * len(hit) >= len(run):
            out += [
                _finding(
                    view.frame[n], "consequence", "warning", "dropped",
                    f"결과를 그대로 표시하는 열({', '.join(hit[:3])})과 한 묶음이에요",
                    f"belongs to the same block of marks as {', '.join(hit[:3])}, which carry the result",
                )
                for n in run if n not in named
            ]  # fmt: skip
    if view.classes == 2:
        out += _one_hot(view, [n for n in names if binary[n]], named | {f.column for f in out})
    return out


def _is_mark(values: FloatArray) -> bool:
    known = values[np.isfinite(values)]
    return len(known) > 0 and bool(np.all((known == 0) | (known == 1))) and 0 < float(known.mean()) < 1


def _runs_of(names: list[str], binary: dict[str, bool]) -> Iterator[list[str]]:
    run: list[str] = []
    for name in names:
        if binary[name]:
            run.append(name)
            continue
        if len(run) > 1:
            yield run
        run = []
    if len(run) > 1:
        yield run


def _one_hot(view: View, marks: list[str], named: set[str | None]) -> list[LeakFinding]:
    positive = view.y == view.y.max()
    excluding = [n for n in marks if not np.any(positive & (view.frame[n].values[view.rows] == 1))]
    if len(excluding) < 2:
        return []
    total = positive.astype(np.float64) + sum(view.frame[n].values[view.rows] for n in excluding)
    if not np.all(total == 1):
        return []
    return [
        _finding(
            view.frame[n], "label_copy", "stop", "dropped",
            f"목표와 함께 더하면 모든 행에서 1이 되는 {len(excluding) + 1}개 등급 표시 중 하나예요",
            f"is one of {len(excluding) + 1} class marks that add up to 1 with the target in every row",
        )
        for n in excluding if n not in named
    ]  # fmt: skip


def _identities(view: View, found: list[LeakFinding]) -> list[LeakFinding]:
    if view.classes:
        return []
    skip = dropped_columns(tuple(found)) | {view.target.name}
    columns = {
        s.name: view.values(s) for s in view.frame
        if s.name not in skip and not s.categorical and s.role is not Role.TIME and s.available != "calendar"
    }  # fmt: skip
    out: list[LeakFinding] = []
    gone: set[str] = set()
    for one in identities(columns, view.y, np.random.default_rng(view.seed)):
        if one.left in gone or one.right in gone:
            continue
        derived, other, sure = _derived(view, one.left, one.right, columns)
        word_ko, word_en = ("곱이나 비", "product or ratio") if one.form == "product" else ("합이나 차", "sum or difference")
        for name, partner in ((derived, other),) if sure else ((derived, other), (other, derived)):
            gone.add(name)
            out.append(
                _finding(
                    view.frame[name], "target_derived", "stop" if name == derived else "warning",
                    "dropped" if name == derived else "asked",
                    f"‘{partner}’와의 {word_ko}로 목표가 그대로 계산돼요(R² {one.score:.4f}, 학습 구간)",
                    f"together with {partner} computes the target as a {word_en} (R² {one.score:.4f}, training rows)",
                )
            )  # fmt: skip
    return out


def _leads(view: View, found: list[LeakFinding]) -> list[LeakFinding]:
    """Readings from later rows. A lagged copy looks the same from the other side: names decide, and otherwise it is asked."""
    if not view.contiguous:
        return []
    skip = {f.column for f in found if f.action == "dropped"} | {view.target.name}
    columns = {
        s.name: view.values(s) for s in view.frame
        if s.name not in skip and not s.categorical and s.role is not Role.TIME and s.available != "calendar"
    }  # fmt: skip
    out: list[LeakFinding] = []
    told: set[str] = set()
    for one in leading(columns):
        lagged = says_before(one.of) or (shares_name(one.of, one.column) and one.of != one.column)
        if lagged or one.column in told:
            continue
        told.add(one.column)
        sure = says_future(one.column) or shares_name(one.column, one.of)
        out.append(
            _finding(
                view.frame[one.column], "future_value", "stop" if sure else "warning", "dropped" if sure else "asked",
                f"‘{one.of}’의 {one.rows}행 뒤 값과 같아요(상관 1.000, 학습 구간)",
                f"shows the value of {one.of} from {one.rows} rows later (correlation 1.000, training rows)",
            )
        )  # fmt: skip
    return out


def _derived(view: View, left: str, right: str, columns: dict[str, FloatArray]) -> tuple[str, str, bool]:
    """Which of two columns was made from the target, the other one, and whether their names settle it."""

    def words(name: str) -> float:
        return 2.0 * shares_name(name, view.target.name) + says_after(name) + 0.5 * may_be_after(name) - says_before(name)

    def tied(name: str) -> float:
        x = columns[name]
        known = np.isfinite(x)
        return abs(float(np.corrcoef(x[known], view.y[known])[0, 1])) if float(np.std(x[known])) > 0 else 0.0

    a, b = words(left), words(right)
    sure = a != b
    return (left, right, sure) if (a, tied(left)) >= (b, tied(right)) else (right, left, sure)


def _row_findings(view: View, order: OrderTest, found: list[LeakFinding]) -> Iterator[LeakFinding]:
    frame = view.frame
    if order.sorted and not (frame.time is not None and view.classes == 0):
        yield _finding(
            None, "row_order", "warning", "kept",
            f"행이 목표 순서로 정렬되어 있어 앞뒤로 나누면 다른 등급끼리 비교하게 돼요. {order.evidence.ko.rstrip('.')}",
            f"The rows are sorted by the target, so that blocks would compare different classes. {order.evidence.en.rstrip('.')}",
        )  # fmt: skip
    yield from _repeated(view, found)
    yield from _groups(view, found)
    parts = np.unique(frame.part[view.rows])
    if 2 <= len(parts) <= max(2, len(view.rows) // 10):
        told = told_by(frame.part[view.rows].astype(np.float64), view)
        if told > (0.6 if view.classes else 0.8):
            yield _finding(
                None, "file_name", "warning", "kept",
                f"어느 파일에서 왔는지가 목표를 알려 줘요({'오분류 감소' if view.classes else 'R²'} {told:.2f}, 파일 {len(parts)}개)",
                f"The source file tells the target ({'error reduction' if view.classes else 'R²'} {told:.2f}, {len(parts)} files)",
            )  # fmt: skip


def _repeated(view: View, found: list[LeakFinding]) -> Iterator[LeakFinding]:
    skip = dropped_columns(tuple(found)) | {view.target.name}
    inputs = [
        s for s in view.frame if s.name not in skip and s.role not in (Role.TIME, Role.IDENTIFIER) and not says_clock(s.name)
    ]
    repeated = repeated_rows(view, inputs)
    if repeated is None or repeated.rows < 4 or not repeated.proven or repeated.share < 0.002:
        return
    grave: Severity = "warning" if repeated.share >= 0.005 else "info"
    yield _finding(
        None, "duplicate_rows", grave, "kept",
        f"{repeated.rows}행({repeated.share:.1%})이 다른 행과 모든 입력이 같고 목표도 {repeated.equal_target:.0%}가 같아요. "
        "나눌 때 같은 쪽에 두어야 해요",
        f"{repeated.rows} rows ({repeated.share:.1%}) repeat another row in every input, and {repeated.equal_target:.0%} of them "
        "in the target; they must stay on one side of a split",
    )  # fmt: skip


def _groups(view: View, found: list[LeakFinding]) -> Iterator[LeakFinding]:
    if view.frame.group is not None:
        return
    skip = dropped_columns(tuple(found)) | {view.target.name}
    best: tuple[float, Series, str, str] | None = None
    for series in view.frame:
        if series.name in skip or series.role is Role.TIME or series.available == "calendar":
            continue
        if not (says_lot(series.name) or series.role in (Role.LOT, Role.IDENTIFIER)):
            continue
        grouping = grouping_of(view.values(series), view)
        if grouping is None or grouping.p > 0.01 or grouping.likeness < 0.1:
            continue
        if best is None or grouping.likeness > best[0]:
            best = (
                grouping.likeness, series,
                f"같은 값의 행끼리 목표가 닮아 있어요(집단 간 변동 {grouping.likeness:.0%}, 집단 {grouping.groups}개, p={grouping.p:.3f}). "
                "같은 로트의 행은 한쪽에만 두어야 해요",
                f"bundles rows with like targets (between-group share {grouping.likeness:.0%}, {grouping.groups} groups, "
                f"p={grouping.p:.3f}); rows of one lot must stay on one side",
            )  # fmt: skip
    if best is not None:
        yield _finding(best[1], "group_overlap", "warning", "asked", best[2], best[3])


def assign_availability(frame: Frame, target: str, task: Task) -> Frame:
    """Set when each column is known, where nobody said so, with the reason in ``frame.facts["availability"]``.

    Args:
        frame: Rows in the order of their source.
        target: Column asked for; it becomes ``past_only``.
        task: In a forecast every reading is known only at its own instant (``with_target``); in the other tasks readings,
            set-points and raw-material values count as known before the result.
    """
    reasons: dict[str, Json] = {}
    done: list[Series] = []
    for series in frame:
        known, reason = (series.available, None) if series.available != "unknown" else _available(frame, series, target, task)
        if reason is not None:
            reasons[series.name] = {"available": known, **reason.fields("reason")}
        done.append(series if known == series.available else replace(series, available=known))
    return replace(frame.with_series(*done), facts={**frame.facts, "availability": reasons})


@dataclass(frozen=True)
class _Reason:
    available: Availability
    text: Bilingual


def _available(frame: Frame, series: Series, target: str, task: Task) -> tuple[Availability, Bilingual]:
    found = _reason(frame, series, target, task)
    return found.available, found.text


def _reason(frame: Frame, series: Series, target: str, task: Task) -> _Reason:
    if series.name == target:
        return _Reason(
            "past_only",
            Bilingual(
                ko="목표의 과거 값은 결과가 나온 뒤부터 쓸 수 있어요.", en="The target's own past, from its result time on."
            ),
        )
    if series.role is Role.TIME or _follows_clock(frame, series):
        return _Reason("calendar", Bilingual(ko="날짜와 시각만으로 정해져요.", en="It follows from date and time alone."))
    if series.role in (Role.SET_POINT, Role.RECIPE, Role.LIMIT) or (series.role is Role.LOT and task != "forecast"):
        return _Reason("before", Bilingual(ko="작업 전에 정해지는 값이에요.", en="It is set before the work starts."))
    if task == "forecast":
        return _Reason(
            "with_target",
            Bilingual(ko="그 순간에야 아는 값이라 과거 값만 써요.", en="Known only at its own instant; its past is used."),
        )
    if series.role is Role.RESULT or (series.role is Role.TARGET_CANDIDATE and series.kind is frame[target].kind):
        return _Reason(
            "with_target", Bilingual(ko="목표와 같은 때 나오는 결과예요.", en="A result that comes with the target.")
        )
    return _Reason(
        "before",
        Bilingual(ko="결과보다 먼저 재는 공정값으로 보았어요.", en="Taken as a process reading, made before the result."),
    )


def _follows_clock(frame: Frame, series: Series) -> bool:
    """Whether the time of week fixes the value: learned on the first half of the rows, true on the second."""
    if frame.time is None or series.values.size < 200:
        return False
    known = np.isfinite(series.values) & ~np.isnat(frame.time)
    x, at = series.values[known], frame.time[known].astype("datetime64[s]").astype(np.int64)
    if len(x) < 200 or len(np.unique(x)) < 2 or len(np.unique(x)) > 2_000:
        return False
    half = len(x) // 2
    for period in (86_400, 7 * 86_400):
        keys = (at % period) // 60
        if len(np.unique(keys)) > half // 3:
            continue
        levels, first, back = np.unique(keys[:half], return_index=True, return_inverse=True)
        if not np.mean(x[:half][first][back] == x[:half]) >= 0.99:
            continue
        place = np.clip(np.searchsorted(levels, keys[half:]), 0, len(levels) - 1)
        seen = levels[place] == keys[half:]
        if seen.mean() > 0.5 and np.mean(x[:half][first][place][seen] == x[half:][seen]) >= 0.99:
            return True
    return False
