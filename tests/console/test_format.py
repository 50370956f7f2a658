"""Numbers, money and instants as the reader expects them; figures are written by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.console._format import MINUS, NBSP, Formats

KO, EN = Formats("ko"), Formats("en")


def plain(shown: str) -> str:
    return shown.replace(NBSP, " ")


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1234.5, "kW.h", "1,234.5 kWh"),
        (-12.3, "Cel", f"{MINUS}12.3 ℃"),
        (0.036, "%", "0.036 %"),
        (2, None, "2"),
        (1e-7, None, f"1.00e{MINUS}07"),
        (12_345_678.9, None, "12,345,679"),
        (-0.0, "K", "0 K"),
        (725.25, "Cel", "725.2 ℃"),
    ],
)
def test_a_number_carries_its_unit(value: float, unit: str | None, shown: str) -> None:
    assert plain(KO.number(value, unit)) == shown
    assert plain(EN.number(value, unit)) == shown


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "12", True])
def test_what_is_not_a_number_is_said_to_be_unknown(value: object) -> None:
    assert (KO.number(value), EN.number(value)) == ("모름", "unknown")
    assert EN.count(value) == "unknown"
    assert EN.share(value) == "unknown"
    assert EN.money(value) == "unknown"


def test_money_is_said_as_people_say_it() -> None:
    assert plain(KO.money(52_750_500_000)) == "527억 5,050만 원"
    assert plain(KO.money(84_000_000)) == "8,400만 원"
    assert plain(KO.money(-300_000_000)) == f"{MINUS}3억 원"
    assert plain(KO.money(4_000)) == "4,000 원"
    assert plain(EN.money(52_750_000_000)) == "KRW 52.75 bn"
    assert plain(EN.money(84_000_000)) == "KRW 84 m"
    assert plain(EN.money(4_000)) == "KRW 4,000"


def test_an_instant_shows_weekday_and_zone() -> None:
    assert plain(KO.instant("2026-05-30T09:00:00Z")) == "2026년 5월 30일(토) 18:00 KST"
    assert plain(EN.instant("2026-05-30T09:00:00Z")) == "Sat 30 May 2026, 18:00 KST"
    assert plain(Formats("en", "Europe/Berlin").instant("2026-07-01T10:00:00Z")) == "Wed 1 Jul 2026, 12:00 CEST"
    assert EN.instant("not a time") == "unknown"


def test_age_is_told_in_the_coarsest_fitting_unit() -> None:
    now = datetime(2026, 5, 30, 12, 0, tzinfo=UTC)
    assert EN.age("2026-05-30T11:59:30Z", now) == "just now"
    assert EN.age("2026-05-30T11:48:00Z", now) == "12 minutes ago"
    assert EN.age("2026-05-30T07:00:00Z", now) == "5 hours ago"
    assert KO.age("2026-05-20T12:00:00Z", now) == "10일 전"
    assert KO.age("2018-10-01T00:00:00Z", now) == "8년 전"


def test_an_estimate_is_rounded_to_its_interval() -> None:
    assert plain(EN.score(0.0361234, 0.0335, 0.03889, "%")) == "0.0361 % (0.0335 – 0.0389)"
    assert plain(EN.score(8.6634, 8.1, 9.2)) == "8.7 (8.1 – 9.2)"
    assert plain(EN.score(12345.6, 11000, 13000)) == "12,346 (11,000 – 13,000)"
    assert EN.score(None, 1, 2) == "–"


@given(value=st.floats(), digits=st.none() | st.integers(0, 4))
def test_every_number_can_be_shown(value: float, digits: int | None) -> None:
    for formats in (KO, EN):
        shown = formats.number(value, "kW", digits)
        assert shown
        assert "nan" not in shown
        assert "-" not in shown


@given(value=st.floats(-1e15, 1e15))
def test_money_of_every_size_can_be_shown(value: float) -> None:
    assert KO.money(value).endswith("원")
    assert EN.money(value).startswith("KRW")
