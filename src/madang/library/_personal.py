"""Traces of persons in columns and in the lines above a table: found, counted, and never repeated.

A finding holds kinds, counts and record numbers. The values themselves stay where they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from madang.library._vocabulary import vocabulary
from madang.plant import Bilingual, split_unit

PersonalKind = Literal["name", "phone", "email", "resident_number", "vehicle_plate"]

KIND_NAMES: dict[PersonalKind, Bilingual] = {
    "name": Bilingual("이름", "names"),
    "phone": Bilingual("전화번호", "telephone numbers"),
    "email": Bilingual("이메일 주소", "e-mail addresses"),
    "resident_number": Bilingual("주민등록번호", "resident registration numbers"),
    "vehicle_plate": Bilingual("차량번호", "vehicle plates"),
}


@dataclass(frozen=True)
class PersonalFinding:
    """That a column or text holds personal data, and where."""

    kind: PersonalKind
    """The kind found most often."""
    count: int
    """How many values hold any of `kinds`."""
    records: tuple[int, ...]
    """Indexes into the values that were looked at (from 0), at most ten, in order."""
    kinds: tuple[PersonalKind, ...]
    """All kinds found, the most frequent first."""

    @property
    def message(self) -> Bilingual:
        """Say what was found, without a value."""
        ko = ", ".join(KIND_NAMES[kind].ko for kind in self.kinds)
        en = ", ".join(KIND_NAMES[kind].en for kind in self.kinds)
        return Bilingual(
            f"개인정보로 보이는 값이 {self.count}건 있어요: {ko}.", f"{self.count} values look like personal data: {en}."
        )


_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,24}){1,4}")
_PHONE = re.compile(
    r"(?<![\d.])(?:(?:\+82[-. ()]{0,2}|82-)(?:0?1[016-9]|0?2|0?[3-6]\d|0?70)[-. )]{0,2}\d{3,4}[-. ]?\d{4}"
    r"|01[016-9][-. ]?\d{3,4}[-. ]?\d{4}"
    r"|0(?:2|[3-6]\d|70)[-)] ?\d{3,4}-\d{4}"
    r"|\+(?:49|1|44|81|86)[-. ()\d]{8,18}\d)(?![\d.]*\d)"
)
_RESIDENT = re.compile(r"(?<!\d)(\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])-?([1-8])(\d{6})(?!\d)")
# Two or three digits, one of the syllables that the plate rule allows, four digits.
_PLATE = re.compile(
    r"(?<![\d가-힣])(?:(?:서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주)\s?)?"
    r"\d{2,3}\s?[가나다라마거너더러머버서어저고노도로모보소오조구누두루무부수우주아바사자배하허호]\s?\d{4}(?!\d)"
)
_SURNAMES = frozenset(
    "김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노하곽성차주우구나민진지엄채원천방공현함변염여추도소석선설마길연위표명기반"
)
_KOREAN_NAME = re.compile(r"^(?:[가-힣]{2,4}|[가-힣](?:\s[가-힣]){1,2})$")
_TITLE = "(?:님|씨|주임|대리|과장|차장|부장|반장|조장|기사|사원|팀장|계장|직장|이사|상무|연구원|책임|선임|소장|실장|공장장)"
_KOREAN_TITLED = re.compile(rf"(?<![가-힣])([가-힣]{{2,3}})\s?{_TITLE}(?![가-힣]{{2,}})")
_KOREAN_LABELLED = re.compile(
    r"(?:작업자|담당자?|작성자|검사자|확인자|승인자|책임자|보고자|출력자|조치자|연락처|성명|이름|등록자)\s*[:：=]?\s*([가-힣]{2,4})(?![가-힣])"
)
_LATIN_LABELLED = re.compile(
    r"\b(?:durch|von|by|operator|user|author|inspector|technician|bearbeiter|ersteller|prüfer|bediener|created by|exported by|"
    r"worker|engineer|mitarbeiter|ansprechpartner|contact|herr|frau|mr\.?|ms\.?|mrs\.?)\s*[:=]?\s+"
    r"((?:[A-ZÄÖÜ]\.\s?)?[A-ZÄÖÜ][a-zäöüßéèçñ]+(?:[ -][A-ZÄÖÜ][a-zäöüßéèçñ]+){0,2})",
    re.IGNORECASE,
)
_LATIN_NAME = re.compile(r"^(?:[A-ZÄÖÜ][a-zäöüßéèçñ]+|[A-ZÄÖÜ]\.)(?:[ ,-]{1,2}(?:[A-ZÄÖÜ][a-zäöüßéèçñ]+|[A-ZÄÖÜ]\.?)){0,3}$")
_ONE_WORD = re.compile(r"^[A-Za-zÄÖÜäöüß]{2,20}$")
# Capitalised words after "by" or "durch" that are no persons.
_NO_PERSONS = frozenset(
    [
        "system",
        "auto",
        "automatic",
        "automatik",
        "admin",
        "administrator",
        "server",
        "line",
        "batch",
        "shift",
        "plant",
        "machine",
        "lot",
        "the",
        "time",
        "date",
        "export",
        "report",
        "hand",
        "scada",
        "mes",
        "plc",
        "historian",
        "hour",
        "minute",
        "day",
        "week",
        "month",
        "default",
        "value",
        "average",
        "group",
        "zone",
        "process",
        "unit",
        "zeit",
        "linie",
        "maschine",
        "anlage",
        "januar",
        "januar",
        "februar",
        "april",
        "august",
        "may",
        "june",
        "july",
        "monday",
        "user",
        "operator",
    ]
)
# Words that would pass for a surname and a given name, but stand in work logs as what they are.
_NO_KOREAN_NAMES = frozenset(
    [
        "정상",
        "이상",
        "주간",
        "야간",
        "오전",
        "오후",
        "정지",
        "가동",
        "시작",
        "종료",
        "교체",
        "조치",
        "점검",
        "확인",
        "완료",
        "양품",
        "불량",
        "합격",
        "조정",
        "변경",
        "설비",
        "온도",
        "압력",
        "자동",
        "수동",
        "전체",
        "기타",
        "없음",
        "미상",
        "공정",
        "생산",
        "검사",
        "품질",
        "담당",
        "현장",
        "외주",
        "공통",
        "주임",
        "대리",
        "과장",
        "차장",
        "부장",
        "반장",
        "조장",
        "기사",
        "사원",
        "팀장",
        "계장",
        "직장",
        "이사",
        "상무",
        "책임",
        "선임",
        "소장",
        "실장",
        "연구원",
        "공장장",
        "전기",
        "정비",
        "보전",
        "관리",
        "기계",
        "안전",
        "신규",
        "현재",
        "이전",
        "다음",
        "해당",
        "고장",
        "소음",
        "진동",
        "유지",
        "도장",
        "조립",
        "성형",
        "구매",
        "영업",
        "전산",
        "전무",
        "사장",
        "우리",
        "모든",
        "이번",
        "지난",
        "원료",
        "제품",
        "하부",
        "상부",
        "유량",
        "전류",
        "전압",
        "전력",
        "주말",
        "시간",
        "서버",
        "시스템",
        "관리자",
        "작업자",
        "라인",
        "주조",
        "노즐",
        "차량",
        "배관",
        "하중",
        "오류",
        "이력",
        "반복",
        "방문",
        "전화",
        "연락",
        "연락처",
        "조치함",
        "수리함",
    ]
)


def find_personal(name: str, values: pa.Array) -> PersonalFinding | None:
    """Say whether a column holds personal data.

    Args:
        name: Name of the column; a column of operators may hold names that would pass anywhere else.
        values: Texts or numbers; nulls are passed over. Large columns are looked at through their distinct values.

    Returns:
        What was found, or None. Never a value.

    >>> found = find_personal("비고", pa.array(["정상", "010-1234-5678 로 연락"]))
    >>> found.kind, found.count, found.records
    ('phone', 1, (1,))
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_integer(values.type)):
        return None
    of_persons = _column_of_persons(name)
    distinct = pc.unique(values.cast(pa.large_string())).drop_null()
    hits: dict[str, tuple[PersonalKind, ...]] = {}
    for text in distinct.to_pylist():
        kinds = _kinds_in(text, of_persons)
        if kinds:
            hits[text] = kinds
    if not hits:
        return None
    found = pc.is_in(values.cast(pa.large_string()), value_set=pa.array(list(hits), pa.large_string()))
    records = pc.indices_nonzero(found).to_pylist()
    tally: dict[PersonalKind, int] = {}
    counted = pc.value_counts(pc.filter(values.cast(pa.large_string()), found))
    for entry in counted.to_pylist():
        for kind in hits[entry["values"]]:
            tally[kind] = tally.get(kind, 0) + entry["counts"]
    kinds = tuple(sorted(tally, key=lambda kind: (-tally[kind], kind)))
    return PersonalFinding(kinds[0], len(records), tuple(records[:10]), kinds)


def personal_in_text(text: str) -> PersonalFinding | None:
    """Say whether a line above a table, or any free text, holds personal data.

    >>> personal_in_text("Exportiert am 05.01.2019 durch Müller").kind
    'name'
    >>> personal_in_text("Gerät: Stromzähler Halle Süd") is None
    True
    """
    kinds = _kinds_in(text, of_persons=False)
    return PersonalFinding(kinds[0], 1, (0,), kinds) if kinds else None


def _column_of_persons(name: str) -> bool:
    meanings = vocabulary().read(split_unit(name)[0]).meanings
    bearing = [meaning for meaning in meanings if meaning.concept.kind is not None]
    return bool(bearing) and any(meaning.concept.id == "person" for meaning in bearing) and bearing[-1].concept.id in (
        "person", "remark", "unitless_word",
    )  # fmt: skip


def _kinds_in(text: str, of_persons: bool) -> tuple[PersonalKind, ...]:
    found: list[PersonalKind] = []
    if _EMAIL.search(text):
        found.append("email")
    if any(_valid_resident_number(match) for match in _RESIDENT.finditer(text)):
        found.append("resident_number")
    elif _PHONE.search(text):
        found.append("phone")
    if _PLATE.search(text):
        found.append("vehicle_plate")
    if _holds_name(text, of_persons):
        found.append("name")
    return tuple(found)


def _valid_resident_number(match: re.Match[str]) -> bool:
    """Check the control digit, or for numbers given since October 2020, which have none, the hyphen and a birth after 2020.

    Source: Enforcement rule of the Resident Registration Act; weights 2 to 9, then 2 to 5, modulo 11.
    """
    digits = [int(digit) for digit in match[0].replace("-", "")]
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    control = (11 - sum(weight * digit for weight, digit in zip(weights, digits[:12], strict=True)) % 11) % 10
    if control == digits[12]:
        return "-" in match[0] or (len(match.string.strip()) == 13 and not _is_barcode(digits))
    born = digits[0] * 10 + digits[1]
    return "-" in match[0] and digits[6] in (3, 4, 7, 8) and born >= 20


def _is_barcode(digits: list[int]) -> bool:
    """Whether the thirteen digits are a trade item number (EAN-13): Korean ones begin with 880, as births in 1988 may."""
    return (sum(digits[0:12:2]) + 3 * sum(digits[1:12:2]) + digits[12]) % 10 == 0


def _holds_name(text: str, of_persons: bool) -> bool:
    text = text.strip()
    if of_persons and _looks_like_name(text):
        return True
    for match in _KOREAN_LABELLED.finditer(text):
        if _korean_name(match[1].removesuffix("님")):
            return True
    for match in _KOREAN_TITLED.finditer(text):
        if _korean_name(match[1]):
            return True
    for match in _LATIN_LABELLED.finditer(text):
        first = match[1].split()[0].rstrip(".")
        if first[0].isupper() and first.casefold() not in _NO_PERSONS:
            return True
    return False


def _looks_like_name(text: str) -> bool:
    if text.casefold() in _NO_PERSONS:
        return False
    if _KOREAN_NAME.match(text):
        return _korean_name(text.replace(" ", "")) or len(text.replace(" ", "")) == 3
    return bool(_LATIN_NAME.match(text) or _ONE_WORD.match(text)) and len(text) > 1


def _korean_name(word: str) -> bool:
    if word in _NO_KOREAN_NAMES or not 2 <= len(word) <= 4:
        return False
    compound = word[:2] in ("남궁", "선우", "황보", "제갈", "사공", "독고", "서문")
    return compound or (word[0] in _SURNAMES and len(word) <= 3)
