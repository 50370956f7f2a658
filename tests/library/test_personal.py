"""Personal data: found in names, free text and preamble lines, and never repeated."""

from __future__ import annotations

import doctest
import random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madang.library import _personal
from madang.library._personal import find_personal, personal_in_text


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(_personal).failed == 0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("연락처 010-1234-5678", "phone"),
        ("01012345678", "phone"),
        ("+82-10-1234-5678 로 전화", "phone"),
        ("+82 10 1234 5678", "phone"),
        ("02-123-4567 공무팀", "phone"),
        ("kim.cs@hanbit.example.com", "email"),
        ("900101-1234568", "resident_number"),
        ("211005-3999999", "resident_number"),
        ("납품차량 12가 3456 입차", "vehicle_plate"),
        ("서울 123허4567", "vehicle_plate"),
        ("김철수 반장 조치", "name"),
        ("작업자: 이영희", "name"),
        ("담당 박민수", "name"),
        ("Exportiert am 05.01.2019 durch Müller", "name"),
        ("exported by J. Smith", "name"),
        ("Operator: Hans Huber", "name"),
    ],
)
def test_a_trace_of_a_person_is_found_in_free_text(text: str, kind: str) -> None:
    found = personal_in_text(text)
    assert found is not None
    assert kind in found.kinds
    column = find_personal("비고", pa.array(["정상 가동", text, None]))
    assert column is not None
    assert column.records == (1,)


@pytest.mark.parametrize(
    "text",
    [
        "Gerät: Stromzähler Halle Süd",
        "측정기: 전력계 3호",
        "2018-01-01 00:15:00",
        "20180101001500",
        "온도 상승으로 버너 교체, 정상 가동",
        "LOT 2401-0012-3456",
        "8801234567893",
        "1234.5678",
        "3170.25",
        "담당 공정 변경",
        "Light_Load",
        "9001011234567",
        "controlled by PLC",
        "1514992500000",
        "품번 12A3456",
        "average by Group",
        "0.0123456789",
        "압력 02.123.4567",
    ],
)
def test_ordinary_texts_of_a_plant_are_left_alone(text: str) -> None:
    assert personal_in_text(text) is None
    assert find_personal("비고", pa.array([text] * 5)) is None


@pytest.mark.parametrize("name", ["작업자", "Operator", "담당자 성명", "Bediener", "검사자", "created_by"])
def test_names_in_a_column_of_persons_are_found(name: str) -> None:
    values = pa.array(["김철수", "이영희", None, "Huber", "박 민 수"])
    found = find_personal(name, values)
    assert found is not None
    assert (found.kind, found.count, found.records) == ("name", 4, (0, 1, 3, 4))


def test_the_same_words_in_another_column_are_no_names() -> None:
    assert find_personal("제품명", pa.array(["Huber", "한빛", "대성"])) is None


def test_shifts_and_automatic_entries_in_a_column_of_persons_are_no_names() -> None:
    assert find_personal("작업자", pa.array(["SYSTEM", "자동", "주간", "기타", "-", "12"])) is None


def test_a_resident_number_needs_its_control_digit() -> None:
    assert personal_in_text("900101-1234568") is not None
    assert personal_in_text("900101-1234567") is None


def test_numbers_are_looked_at_only_where_they_could_be_telephone_numbers() -> None:
    assert find_personal("온도", pa.array([20.5, 21.0])) is None
    assert find_personal("값", pa.array([100, 200, 300])) is None


def test_a_finding_never_holds_a_value() -> None:
    secrets = ["010-9876-5432", "홍길동 과장", "gildong@hanbit.example.com", "33나 4821"]
    found = find_personal("특이사항", pa.array(secrets))
    assert found is not None
    shown = repr(found) + found.message.ko + found.message.en
    for secret in ("9876", "길동", "gildong", "4821"):
        assert secret not in shown
    assert found.count == 4


def test_a_million_repeated_values_are_counted_right() -> None:
    values = pa.array(["정상", "김철수 반장 확인"] * 200_000)
    found = find_personal("비고", values)
    assert found is not None
    assert found.count == 200_000
    assert found.records == tuple(range(1, 21, 2))


@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=20), st.text(max_size=20))
def test_any_texts_are_looked_at_without_failing(values: list[str | None], name: str) -> None:
    found = find_personal(name, pa.array(values, pa.string()))
    assert found is None or 0 < found.count <= len(values)


def test_measured_values_give_no_false_alarm() -> None:
    random_ = random.Random(7)
    texts = [f"{random_.uniform(0, 1e6):.4f}" for _ in range(5000)] + [str(random_.randint(0, 10**9)) for _ in range(5000)]
    assert find_personal("값", pa.array(texts)) is None
