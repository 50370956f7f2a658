"""What a study is worth: a distribution from ranges that a person gave, never one number.

Also the two figures of quality that a lower bound must carry: the share of lots within tolerance, and how many lots it takes
to show a share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from madang.errors import Json, UsageError
from madang.models._frame import FloatArray
from madang.models._words import Score, Worth
from madang.plant import Bilingual

ONE_SIDED_95: Final = 1.6448536269514722
"""Normal quantile of a one-sided 95 % bound."""

_DRAWS: Final = 20_000
_PAYBACK_YEARS: Final = 2.0

_RANGES: Final[Mapping[str, tuple[Bilingual, bool]]] = {
    "units_per_year": (Bilingual(ko="연간 생산 수량", en="units made per year"), False),
    "bad_share": (Bilingual(ko="지금의 불량 비율", en="share of bad units today"), True),
    "loss_per_bad": (Bilingual(ko="불량 하나의 손실", en="loss per bad unit"), False),
    "avoided_share": (Bilingual(ko="막을 수 있는 불량의 비율", en="share of the bad units that is avoided"), True),
    "saving_per_year": (Bilingual(ko="연간 절감액", en="saving per year"), False),
    "cost_once": (Bilingual(ko="처음 드는 비용", en="cost at the start"), False),
    "cost_per_year": (Bilingual(ko="해마다 드는 비용", en="cost per year"), False),
}
"""Ranges a person may give, with their names and whether they are shares between 0 and 1."""


def wilson_lower(good: int, n: int, z: float = ONE_SIDED_95) -> float:
    """Return the one-sided lower bound of a share (95 % by default).

    Args:
        good: How many of the `n` are good.
        n: How many were seen, at least 1.
        z: Normal quantile of the bound.

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22.

    >>> round(wilson_lower(92, 100), 3)
    0.864
    """
    return _wilson(good / n, n, z)


def _wilson(share: float, n: float, z: float) -> float:
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (centre - spread) / (1 + z * z / n))


def share_in_tolerance(values: FloatArray, low: float | None, high: float | None) -> tuple[float, float, int]:
    """Say which share of values lies within tolerance, and the share that is sure.

    Args:
        values: Measured results, NaN where absent (not counted), in the unit of the limits.
        low: Lower specification limit (included); None when there is none.
        high: Upper specification limit (included); None when there is none.

    Returns:
        Share [-], its one-sided 95 % lower bound (Wilson) [-], and the number of values counted.

    Raises:
        UsageError: Both limits are absent, or the lower is above the upper, or there is no value to count.
    """
    if low is None and high is None:
        raise UsageError(
            "no_tolerance",
            ko="규격한계가 하나도 없어요.",
            en="Neither specification limit was given.",
            next_ko="하한이나 상한을 적어 주세요.",
            next_en="Give a lower or an upper specification limit.",
        )
    if low is not None and high is not None and low > high:
        raise UsageError(
            "bad_tolerance",
            ko="규격 하한이 상한보다 커요.",
            en="The lower specification limit is above the upper one.",
            next_ko="두 값을 바꿔 적어 주세요.",
            next_en="Swap the two limits.",
        )
    known = values[np.isfinite(values)]
    if len(known) == 0:
        raise UsageError(
            "no_results",
            ko="규격과 비교할 측정값이 없어요.",
            en="There is no measured result to compare with the tolerance.",
            next_ko="검사 결과가 들어 있는 기간을 골라 주세요.",
            next_en="Choose a period that holds results.",
        )
    within = np.ones(len(known), dtype=bool)
    if low is not None:
        within &= known >= low
    if high is not None:
        within &= known <= high
    good, n = int(within.sum()), len(known)
    return good / n, wilson_lower(good, n), n


def lots_needed(goal: float, *, observed: float, z: float = ONE_SIDED_95) -> int:
    """Return how many lots must be seen so that an observed share shows a goal.

    Args:
        goal: Share that the lower bound must reach, between 0 and 1.
        observed: Share expected to be observed, above the goal.
        z: Normal quantile of the bound.

    Raises:
        UsageError: The observed share is not above the goal, so that no number of lots shows it.

    >>> lots_needed(0.90, observed=0.92)
    609
    >>> lots_needed(0.90, observed=0.95)
    98
    """
    if not 0.0 < goal < observed <= 1.0:
        raise UsageError(
            "goal_out_of_reach",
            ko=f"관측 비율({observed:g})이 목표({goal:g})보다 커야 보일 수 있어요.",
            en=f"An observed share of {observed:g} cannot show a goal of {goal:g}, whatever the number of lots.",
            next_ko="목표를 낮추거나 공정을 먼저 개선해 주세요.",
            next_en="Lower the goal, or improve the process first.",
        )
    n = 1
    while _wilson(observed, n, z) < goal:
        n *= 2
    low, high = n // 2, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _wilson(observed, middle, z) >= goal else (middle, high)
    return high


@dataclass(frozen=True)
class _Range:
    name: str
    low: float
    likely: float
    high: float


def estimate_worth(
    money: Mapping[str, Json], improvement: Score | None = None, *, seed: int = 0, draws: int = _DRAWS
) -> Worth | None:
    """Return the worth per year as a distribution, or None when no ranges were given.

    The gain of a year is ``units_per_year x bad_share x avoided_share x loss_per_bad`` (or ``saving_per_year``) less
    ``cost_per_year``. Each range is drawn from a triangular distribution over (low, likely, high), independently.
    The cost is back within 24 months when two years' gain reaches ``cost_once``.

    Args:
        money: ``currency`` and any of the ranges ``units_per_year`` [1/a], ``bad_share`` [-], ``loss_per_bad`` [currency],
            ``avoided_share`` [-], ``saving_per_year`` [currency/a], ``cost_once`` [currency], ``cost_per_year`` [currency/a];
            each ``[low, likely, high]`` or one number.
        improvement: Share of the bad units that acting on the study avoids [-], with its interval, from the last block.
            Used when no ``avoided_share`` was given.
        seed: Of the draws.
        draws: How many.

    Raises:
        UsageError: A range is not numbers in rising order, is negative, or a share is above 1, or a needed one is missing.

    Source:
        Variance shares: first-order sensitivity index of Sobol' (1993), estimated as the correlation ratio over 40 classes.
    """
    given = {key: value for key, value in money.items() if key != "currency"}
    if not given:
        return None
    currency = money.get("currency", "KRW")
    if not isinstance(currency, str) or not currency:
        raise _bad("currency", Bilingual(ko="통화 이름이어야 해요, 예: KRW", en="must be the name of a currency, such as KRW"))
    ranges = {name: _range(name, value) for name, value in given.items()}
    if "avoided_share" not in ranges and "saving_per_year" not in ranges:
        ranges["avoided_share"] = _from_score(improvement)
    if "saving_per_year" not in ranges:
        missing = [n for n in ("units_per_year", "bad_share", "loss_per_bad") if n not in ranges]
        if missing:
            needed = Bilingual(ko="범위가 있어야 해요: [최소, 보통, 최대]", en="a range [low, likely, high] is needed")
            raise _bad(missing[0], needed)
    generator = np.random.default_rng(seed)
    drawn = {name: _draw(ranges[name], generator, draws) for name in sorted(ranges)}
    zero = np.zeros(draws)
    if "saving_per_year" in drawn:
        gain = drawn["saving_per_year"]
    else:
        gain = drawn["units_per_year"] * drawn["bad_share"] * drawn["avoided_share"] * drawn["loss_per_bad"]
    net = gain - drawn.get("cost_per_year", zero)
    cost = drawn.get("cost_once", zero)
    p10, p50, p90 = (float(q) for q in np.quantile(net, (0.1, 0.5, 0.9)))
    back = float(np.mean((net > 0) & (net * _PAYBACK_YEARS >= cost)))
    return Worth(
        currency=currency, p10=p10, p50=p50, p90=p90, payback_24m=back,
        measure_first=_measure_first(drawn, net * _PAYBACK_YEARS - cost),
    )  # fmt: skip


def _range(name: str, value: Json) -> _Range:
    if name not in _RANGES:
        allowed = ", ".join(["currency", *_RANGES])
        unknown = Bilingual(
            ko=f"모르는 이름이에요. 쓸 수 있는 이름: {allowed}", en=f"is not a known range; allowed are {allowed}"
        )
        raise _bad(name, unknown)
    numbers = [value, value, value] if isinstance(value, int | float) and not isinstance(value, bool) else value
    triple: list[float] = []
    if isinstance(numbers, list):
        triple = [float(n) for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(triple) != 3 or not all(math.isfinite(n) for n in triple):
        raise _bad(
            name, Bilingual(ko="숫자 셋이어야 해요: [최소, 보통, 최대]", en="must be three numbers: [low, likely, high]")
        )
    low, likely, high = triple
    if not 0 <= low <= likely <= high:
        order = Bilingual(ko="0 이상이고 최소 ≤ 보통 ≤ 최대여야 해요", en="must be 0 or more, with low <= likely <= high")
        raise _bad(name, order)
    if _RANGES[name][1] and high > 1:
        raise _bad(name, Bilingual(ko="0과 1 사이의 비율이어야 해요", en="must be a share between 0 and 1"))
    return _Range(name, low, likely, high)


def _from_score(improvement: Score | None) -> _Range:
    if improvement is None or improvement.value is None:
        missing = Bilingual(
            ko="이 연구만으로는 알 수 없어요. [최소, 보통, 최대]를 적어 주세요",
            en="does not follow from this study; give it as [low, likely, high]",
        )
        raise _bad("avoided_share", missing)
    value = min(1.0, max(0.0, improvement.value))
    low = value if improvement.low is None else min(value, max(0.0, improvement.low))
    high = value if improvement.high is None else max(value, min(1.0, improvement.high))
    return _Range("avoided_share", low, value, high)


def _bad(name: str, what: Bilingual) -> UsageError:
    return UsageError(
        "bad_range",
        ko=f"경제성 범위 ‘{name}’: {what.ko}.",
        en=f"The range {name!r} of the worth {what.en}.",
        next_ko="범위를 고쳐서 다시 실행해 주세요.",
        next_en="Correct the range and run again.",
        where={"range": name},
    )


def _draw(one: _Range, generator: np.random.Generator, draws: int) -> FloatArray:
    if one.high == one.low:
        return np.full(draws, one.likely)
    return generator.triangular(one.low, one.likely, one.high, draws)


def _measure_first(drawn: Mapping[str, FloatArray], outcome: FloatArray) -> Bilingual | None:
    """Name the range that carries most of the variance of the two-year result."""
    total = float(np.var(outcome))
    if total <= 0:
        return None
    shares = {name: _correlation_ratio(values, outcome) / total for name, values in drawn.items() if float(np.ptp(values)) > 0}
    if not shares:
        return None
    name = max(shares, key=lambda n: (shares[n], n))
    title, share = _RANGES[name][0], min(1.0, shares[name])
    return Bilingual(
        ko=f"‘{title.ko}’부터 재 보세요. 2년 손익의 불확실성(분산) 가운데 {100 * share:.0f} %가 여기서 나와요.",
        en=f"Measure first: {title.en}. It carries {100 * share:.0f} % of the uncertainty (variance) of the two-year result.",
    )


def _correlation_ratio(values: FloatArray, outcome: FloatArray, classes: int = 40) -> float:
    order = np.argsort(values, kind="stable")
    means = np.array([part.mean() for part in np.array_split(outcome[order], classes)])
    return float(np.var(means))
