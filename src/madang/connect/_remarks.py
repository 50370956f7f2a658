"""The words of findings and reading steps, in both languages."""

from __future__ import annotations

from collections.abc import Sequence

from madang.connect._tables import ReadingStep
from madang.errors import Json
from madang.plant import Bilingual, Finding, Severity

_TEXTS: dict[str, tuple[Severity, str, str]] = {
    "duplicate_rows": (
        "warning",
        "모든 값이 앞의 행과 똑같은 행 {rows}개를 중복으로 보고 뺐어요.",
        "{rows} records agree with an earlier one in every field and were left out as duplicates.",
    ),
    "duplicate_kept": (
        "info",
        "앞의 행과 값이 똑같은 행이 {rows}개 있어요. 시각이나 고유 번호가 없어서 중복이라고 증명할 수 없으니 그대로 두었어요.",
        "{rows} records equal an earlier one. Without a time or identifier this does not prove a duplicate, so they were kept.",
    ),
    "duplicate_asked": (
        "info",
        "모든 값이 앞의 행과 똑같은 행이 {rows}개 있어요. 요청에 따라 그대로 두었어요.",
        "{rows} records agree with an earlier one in every field; they were kept as asked.",
    ),
    "out_of_order": (
        "warning",
        "시각 순서가 앞선 행보다 이른 행이 {rows}개 있어요. 행 순서는 바꾸지 않았어요.",
        "{rows} records are earlier than a record before them. The order of the records was not changed.",
    ),
    "clock_skew": (
        "warning",
        "시계가 뒤로 맞춰진 곳이 {rows}군데 있어요. 겹치는 구간의 시각은 확인이 필요해요.",
        "The clock was set back {rows} times; check the times where the stretches overlap.",
    ),
    "midnight_row": (
        "warning",
        "'{column}'의 00:00 행 {rows}개가 방금 끝난 날의 날짜를 달고 있어서 하루를 더했어요.",
        "{rows} rows of 00:00 in '{column}' carry the date of the day that had just ended; one day was added.",
    ),
    "daylight_saving": (
        "warning",
        "'{column}'의 시각 {rows}개는 서머타임 때문에 없거나 두 번 있는 시각이에요. 불확실로 표시했어요.",
        "{rows} times in '{column}' do not exist or exist twice because of daylight saving; they are marked uncertain.",
    ),
    "ambiguous_date": (
        "warning",
        "'{column}'의 일과 월 순서를 데이터로 확인할 수 없어요. '{word}' 순서로 읽었으니 맞는지 확인해 주세요.",
        "Nothing in the data proves the order of day and month in '{column}'. It was read as '{word}'; please check.",
    ),
    "bad_value_code": (
        "warning",
        "'{column}'의 셀 {rows}개에 값 대신 '{word}' 같은 표시가 있어서 값으로 쓰지 않았어요.",
        "{rows} cells of '{column}' hold a code such as '{word}' instead of a value; they were not used as values.",
    ),
    "bad_quality": (
        "warning",
        "'{column}'의 값 {rows}개는 품질 코드가 나쁨 또는 불확실이에요. 나쁜 값은 쓰지 않았어요.",
        "{rows} values of '{column}' have a quality code that says bad or uncertain; bad values were not used.",
    ),
    "censored_value": (
        "info",
        "'{column}'의 값 {rows}개는 '<0.01'처럼 한계값으로 적혀 있어요. 한계값을 쓰고 표시를 남겼어요.",
        "{rows} values of '{column}' are written as a bound such as '<0.01'; the bound is kept and marked.",
    ),
    "mixed_units": (
        "warning",
        "'{column}'의 값 {rows}개가 다른 단위로 적혀 있어서 '{word}'(으)로 바꾸고 표시를 남겼어요.",
        "{rows} values of '{column}' are in another unit; they were converted to '{word}' and marked.",
    ),
    "unit_here": (
        "warning",
        "이 파일의 '{column}' 머리글 단위가 틀과 달라요. 값 {rows}개를 틀의 단위 '{word}'(으)로 바꾸고 표시를 남겼어요.",
        "The header gives '{column}' another unit than the template; {rows} values were converted to '{word}' and marked.",
    ),
    "unit_change": (
        "warning",
        "'{column}'의 값이 어느 행부터 {word}배로 뛰어서 단위가 바뀐 것 같아요. 그 뒤의 값 {rows}개를 불확실로 표시했으니 단위를 확인해 주세요.",
        "From one record on the level of '{column}' jumps by {word}, as a change of unit would; {rows} values are marked uncertain.",
    ),
    "unit_lost": (
        "warning",
        "이 파일의 '{column}' 머리글 단위는 틀의 단위 '{word}'(으)로 바꿀 수 없어요. 값 {rows}개를 쓰지 않았어요.",
        "The unit that the header gives '{column}' cannot be converted to '{word}' of the template; {rows} values were not used.",
    ),
    "unknown_units": (
        "warning",
        "'{column}'의 셀 {rows}개에만 단위가 적혀 있는데 열의 단위를 알 수 없어요. 값으로 쓰지 않고 원문을 남겼어요.",
        "{rows} cells of '{column}' carry a unit while the unit of the column is not known; they were not used, their text is kept.",
    ),
    "mixed_decimal": (
        "warning",
        "'{column}'의 값 {rows}개는 다른 소수점 기호로 적혀 있어요. 읽기는 했지만 불확실로 표시했어요.",
        "{rows} values of '{column}' use the other decimal mark; they were read and marked uncertain.",
    ),
    "formula_cell": (
        "warning",
        "'{column}'의 셀 {rows}개에 수식 글자가 있어요. 계산하지 않았어요.",
        "{rows} cells of '{column}' hold the text of a formula; it was not evaluated.",
    ),
    "type_change": (
        "warning",
        "'{column}'의 셀 {rows}개는 이 열의 형식과 달라요. 값으로 쓰지 않고 원문을 남겼어요.",
        "{rows} cells of '{column}' do not fit the type of the column; they were not used and their text is kept.",
    ),
    "bad_time": (
        "warning",
        "'{column}'의 셀 {rows}개는 시각으로 읽을 수 없어요. 원문을 남겼어요.",
        "{rows} cells of '{column}' cannot be read as a time; their text is kept.",
    ),
    "format_change": (
        "info",
        "'{column}'의 날짜 표기가 파일 안에서 바뀌어요({word}). 표기마다 알맞게 읽었어요.",
        "The way dates are written in '{column}' changes inside the file ({word}); each was read in its own way.",
    ),
    "stuck_values": (
        "warning",
        "'{column}'의 값이 평소보다 훨씬 오래 그대로예요({rows}행). 센서가 멈췄는지 확인해 주세요.",
        "'{column}' shows the same value far longer than it usually does ({rows} records); check whether the sensor stands still.",
    ),
    "counter_rollover": (
        "info",
        "'{column}'의 적산값이 한계에 닿아 0부터 다시 시작한 곳이 {rows}군데 있어요.",
        "The counter '{column}' reached the end of its register and began again {rows} times.",
    ),
    "shifted_columns": (
        "warning",
        "값이 한 칸 밀린 행 {rows}개를 바로잡았어요. 원문을 남겼어요.",
        "{rows} records had their fields shifted by one and were put right; the original text is kept.",
    ),
    "shifted_apart": (
        "warning",
        "값이 한 칸 밀리면서 끝 값이 없어진 행 {rows}개를 격리했어요.",
        "{rows} records had their fields shifted by one and lost the last; they wait in quarantine.",
    ),
    "unreadable_rows": (
        "warning",
        "읽을 수 없는 행 {rows}개를 격리했어요. 원문과 까닭을 남겼어요.",
        "{rows} records could not be read and wait in quarantine with their text and the reason.",
    ),
    "repeated_header": (
        "info",
        "머리글 줄이 파일 안에서 {rows}번 더 나와요. 데이터 행으로 세지 않았어요.",
        "The header line stands {rows} more times inside the file; it does not count as a record.",
    ),
    "totals_row": (
        "info",
        "합계나 평균 행 {rows}개를 데이터에서 빼고 격리했어요.",
        "{rows} rows of totals or averages were kept out of the data and wait in quarantine.",
    ),
    "truncated": (
        "warning",
        "파일이 마지막 행 중간에서 끊겼어요. 그 행은 격리했어요.",
        "The file ends in the middle of its last record; that record waits in quarantine.",
    ),
    "mixed_encoding": (
        "warning",
        "파일 인코딩과 다른 인코딩({word})으로 적힌 줄이 {rows}개 있어요. 줄마다 알맞게 읽었어요.",
        "{rows} lines are in another encoding ({word}) than the file; each was read in its own.",
    ),
    "transposed": (
        "warning",
        "행과 열이 뒤바뀐 표예요. 한 행이 한 변수라서({word}) 돌려서 읽었어요.",
        "The table lies on its side: each row holds one quantity ({word}). It was turned.",
    ),
    "added_column": (
        "info",
        "틀에 없던 열 '{column}'이(가) 있어요. 이번에는 읽지 않았어요.",
        "Column '{column}' is not in the template; it was not read.",
    ),
    "renamed_column": (
        "warning",
        "틀의 열 '{word}'이(가) '{column}'(으)로 바뀐 것 같아요.",
        "Column '{word}' of the template seems to be named '{column}' now.",
    ),
}

_CODES = {
    "duplicate_kept": "duplicate_rows", "duplicate_asked": "duplicate_rows", "bad_quality": "bad_value_code",
    "unit_here": "unit_change", "unit_lost": "unit_change", "mixed_decimal": "bad_value_code", "unknown_units": "mixed_units", "bad_time": "bad_value_code", "format_change": "type_change",
    "repeated_header": "unreadable_rows", "shifted_apart": "shifted_columns", "added_column": "renamed_column",
}  # fmt: skip


def finding(
    kind: str,
    rows: int,
    examples: Sequence[int] = (),
    column: str | None = None,
    word: str = "",
    undo: str | None = None,
    facts: dict[str, Json] | None = None,
) -> Finding:
    """Return a finding of one kind with its message in both languages."""
    severity, ko, en = _TEXTS[kind]
    names = {"rows": rows, "column": column or "", "word": word}
    return Finding(
        code=_CODES.get(kind, kind),
        severity=severity,
        rows=rows,
        message=Bilingual(ko.format(**names), en.format(**names)),
        examples=tuple(examples)[:10],
        column=column,
        undo=undo,
        facts=facts or {},
    )


_STEPS: dict[str, tuple[str, str]] = {
    "midnight_row": (
        "00:00 행이 앞날의 날짜를 달고 있고, 하루를 더하면 간격이 고르게 돼요.",
        "Rows of 00:00 carry the date of the day before; with one day added the steps are even.",
    ),
    "duplicate_rows": (
        "시각이나 고유 번호까지 모든 값이 같은 행은 같은 기록이 두 번 내보내진 것이에요.",
        "Records equal in every field, time or identifier included, are one record exported twice.",
    ),
    "date_order": (
        "일과 월의 순서를 열 전체와 시계열의 흐름에서 정했어요.",
        "The order of day and month was settled from the whole column and the course of the series.",
    ),
    "date_and_clock": (
        "날짜 열과 시각 열이 따로 있어서 하나로 합쳤어요.",
        "Date and time of day stand in two columns; they were put together.",
    ),
    "bad_codes": (
        "다른 값과 뚝 떨어져서 똑같이 되풀이되는 수는 값이 아니라 불량 표시예요.",
        "A number far from all others that repeats exactly is a code for a bad value, not a value.",
    ),
    "transposed": (
        "행 하나가 변수 하나라서 행과 열을 바꿨어요.",
        "Each row holds one quantity, so rows and columns were exchanged.",
    ),
    "quality": (
        "품질 코드 열이 있어서, 나쁨으로 표시된 값은 쓰지 않아요.",
        "A column of quality codes is there; values it calls bad are withheld.",
    ),
    "zone": (
        "시각에 시간대가 적혀 있지 않아 {word}(으)로 보았어요.",
        "The times do not say their zone; {word} was assumed.",
    ),
}


def step(kind: str, column: str | None = None, word: str = "", reversible: bool = True) -> ReadingStep:
    """Return a reading step; its id names the kind and the column it concerns."""
    ko, en = _STEPS[kind]
    return ReadingStep(
        f"{kind}:{column}" if column is not None else kind, Bilingual(ko.format(word=word), en.format(word=word)), reversible
    )
