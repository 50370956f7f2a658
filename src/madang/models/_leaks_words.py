"""What the names of columns and categories say about when a value is known: the plant's vocabulary in Korean and English.

A name alone never drops a column: it lowers the evidence that is asked for. Names that say "before" (incoming, previous,
set point) outweigh those that say "after".
"""

from __future__ import annotations

import re
from typing import Final

from madang.models._frame import Series


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_AFTER_EN: Final = _words(
    "scrap scrapped scraps disposition dispo rework reworked reject rejected rejects rejection defect defects "
    "defective nonconforming ncr verdict judgement judgment judge decision claim claims returned rma downgrade "
    "downgraded ng nok failcode failurecode faultcode defectcode failmode repair repaired penalty"
)
_AFTER_KO: Final = (
    "불량", "폐기", "재작업", "판정", "처분", "불합격", "합부", "클레임", "반품", "등외", "격하", "부적합", "수리", "고장", "양품",
)  # fmt: skip
_MAYBE_EN: Final = _words(
    "result results label class pass passed fail failed failure fault grade quality inspection inspect yield score "
    "predicted prediction pred yhat estimate corrected final outcome status loss downtime alarm ok good co2 emission "
    "emissions carbon cost kpi"
)
_MAYBE_KO: Final = (
    "결과",
    "등급",
    "라벨",
    "합격",
    "수율",
    "최종",
    "예측",
    "보정",
    "손실",
    "비가동",
    "알람",
    "배출",
    "탄소",
    "원가",
    "품질",
)
_BEFORE_EN: Final = _words(
    "prev previous last lag lagged prior before incoming inlet raw supplier upstream set setpoint sp recipe limit "
    "spec usl lsl ucl lcl planned plan preset ordered"
)
_BEFORE_KO: Final = ("이전", "직전", "전로트", "전일", "입고", "원료", "전공정", "투입", "설정", "목표", "계획", "규격", "공급")
_FUTURE_EN: Final = _words("next lead future fwd forward tomorrow following")
_FUTURE_KO: Final = ("다음", "익일", "차기", "미래")
_FILE_EN: Final = _words("file filename filepath path folder source src image img")
_FILE_KO: Final = ("파일", "폴더", "출처")
_LOT_EN: Final = _words(
    "lot lots batch batchid heat coil engine ingot wafer cassette campaign melt roll reel pallet mold cavity unit "
    "lotno lotid specimen slab billet saggar tray"
)
_LOT_KO: Final = ("로트", "배치", "코일", "히트", "차지", "호기", "잉곳", "웨이퍼", "금형", "시편", "롤번호")
_ID_EN: Final = _words("id uid udi uuid serial sn no nr num number idx index seq sequence barcode key rowid record")
_ID_KO: Final = ("번호", "일련", "순번", "바코드", "시리얼", "식별")
_CLOCK_EN: Final = _words(
    "hour minute weekday weekstatus dayofweek dow month season quarter shift nsm holiday weekend day calendar"
)
_CLOCK_KO: Final = ("요일", "교대", "근무조", "휴일", "시각", "월별", "계절", "주말")

RESULT_VALUES: Final = _words(
    "ok ng nok pass fail passed failed good bad accept reject scrap rework 양품 불량 합격 불합격 적합 부적합 폐기 재작업 정상 이상"
)
"""Names of categories that only a finished inspection can give."""


def tokens(name: str) -> frozenset[str]:
    """Split a column name into lower-case Latin words.

    >>> sorted(tokens("ScrapQty_kg 2"))
    ['kg', 'qty', 'scrap']
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return frozenset(re.findall(r"[a-z]+[0-9]?(?![a-z])|[a-z]+", spaced.lower()))


def _says(name: str, latin: frozenset[str], korean: tuple[str, ...]) -> bool:
    return bool(tokens(name) & latin) or any(word in name for word in korean)


def says_before(name: str) -> bool:
    """Whether a name says that the value is older than the result."""
    return _says(name, _BEFORE_EN, _BEFORE_KO) or bool(re.search(r"t\s*-\s*\d", name.lower()))


def says_after(name: str) -> bool:
    """Whether a name means something that exists only once the result does."""
    return _says(name, _AFTER_EN, _AFTER_KO) and not says_before(name)


def may_be_after(name: str) -> bool:
    """Whether a name may mean a result or what follows from it."""
    return _says(name, _MAYBE_EN, _MAYBE_KO) and not says_before(name)


def says_future(name: str) -> bool:
    """Whether a name says that the value comes from later rows."""
    return _says(name, _FUTURE_EN, _FUTURE_KO) or bool(re.search(r"t\s*\+\s*\d", name.lower()))


def says_file(series: Series) -> bool:
    """Whether a column holds names of files."""
    if series.categories and any(
        re.search(r"\.(csv|xlsx?|txt|png|jpe?g|bmp|tiff?|parquet|json)$", c.lower()) for c in series.categories
    ):
        return True
    return _says(series.name, _FILE_EN, _FILE_KO)


def says_lot(name: str) -> bool:
    """Whether a name means a lot, coil, heat, engine or another group of rows that belong together."""
    return _says(name, _LOT_EN, _LOT_KO)


def says_identifier(name: str) -> bool:
    """Whether a name means a number that only names a row."""
    return _says(name, _ID_EN, _ID_KO)


def says_clock(name: str) -> bool:
    """Whether a name means a time of day, a day of week or a shift."""
    return _says(name, _CLOCK_EN, _CLOCK_KO)


def holds_results(series: Series) -> bool:
    """Whether the categories of a column are words of an inspection's outcome."""
    if not series.categories:
        return False
    words = {c.strip().lower() for c in series.categories}
    return len(words) <= 8 and len(words & RESULT_VALUES) >= min(2, len(words))


def shares_name(name: str, target: str) -> bool:
    """Whether a column is named after the target (``residual_li_ma5`` and ``residual_li``)."""
    plain, wanted = (re.sub(r"[^0-9a-z가-힣]", "", text.lower()) for text in (name, target))
    return len(wanted) >= 3 and wanted in plain
