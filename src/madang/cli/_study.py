"""What ``study`` and ``predict`` do: text becomes a request, one call, sentences and the document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from madang.cli._data import names
from madang.cli._face import Face, write_whole
from madang.errors import Json, MissingError, UsageError
from madang.plant import Bilingual

if TYPE_CHECKING:
    from madang.models import StudyRequest

_LATER_TASKS = ("fault", "life", "inspect", "energy")


@dataclass(frozen=True)
class StudyArguments:
    """The options of ``study`` as they were typed."""

    task: Literal["auto", "regression", "classification", "forecast", "fault", "life", "inspect", "energy"] = "auto"
    target: str | None = None
    time: str | None = None
    group: str | None = None
    lot: str | None = None
    order: str | None = None
    exclude: str | None = None
    horizon: str | None = None
    lab_delay: str | None = None
    train_rows: str | None = None
    goal: str | None = None
    money: tuple[str, ...] = ()
    budget: str = "1m"
    seed: int = 0
    save: str | None = None
    normal: Path | None = None
    calibrate: Path | None = None
    labels: Path | None = None

    def request(self) -> StudyRequest:
        """Return the typed request.

        Raises:
            UsageError: A text is not of its form.
            MissingError: The task is not there yet.
        """
        from madang.models import StudyRequest

        later = [f"--{word}" for word in ("normal", "calibrate", "labels") if getattr(self, word) is not None]
        if self.task in _LATER_TASKS or later:
            what = self.task if self.task in _LATER_TASKS else ", ".join(later)
            raise MissingError(
                "task_not_there_yet",
                ko=f"{what}: 이 판에는 아직 없어요.",
                en=f"{what}: not in this release yet.",
                next_ko="지금은 regression, classification, forecast를 쓸 수 있어요.",
                next_en="Today there are regression, classification and forecast.",
                where={"option": what},
            )
        return StudyRequest(
            task=self.task,
            target=self.target,
            time=self.time,
            group=tuple(names(self.group) or ()),
            lot=self.lot,
            order=self.order,
            exclude=tuple(names(self.exclude) or ()),
            horizon=self.horizon,
            lab_delay=self.lab_delay,
            train_rows=row_range(self.train_rows),
            goal=self.goal,
            budget_seconds=seconds(self.budget),
            seed=self.seed,
            name=self.save,
            money=money_ranges(self.money),
        )


def row_range(text: str | None) -> tuple[int, int] | None:
    """Read ``A:B`` (1-based, ends included).

    >>> row_range("1:400")
    (1, 400)
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise _not_of_form("--train-rows", text, "A:B, 1 <= A <= B", "1:400")
    return int(match[1]), int(match[2])


def seconds(text: str) -> float:
    """Read a length of time such as ``30s``, ``1m``, ``1.5h``.

    >>> seconds("1.5m")
    90.0
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)?\s*", text)
    if match is None or float(match[1]) <= 0:
        raise _not_of_form("--budget", text, "30s, 1m, 1h", "1m")
    return float(match[1]) * {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, None: 1}[match[2]]


def money_ranges(texts: Sequence[str]) -> dict[str, Json]:
    """Read ``NAME=LOW:LIKELY:HIGH``, ``NAME=VALUE`` and ``currency=KRW``.

    >>> money_ranges(["currency=KRW", "cost=1000:2000:3000"])
    {'currency': 'KRW', 'cost': [1000.0, 2000.0, 3000.0]}
    """
    found: dict[str, Json] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise _not_of_form("--money", text, "NAME=LOW:LIKELY:HIGH", "cost=5000000:8000000:12000000")
        if name.strip() == "currency":
            found["currency"] = value.strip()
            continue
        try:
            numbers = [float(part.replace(",", "").replace("_", "")) for part in value.split(":")]
        except ValueError:
            raise _not_of_form("--money", text, "NAME=LOW:LIKELY:HIGH", "cost=5000000:8000000:12000000") from None
        if len(numbers) not in (1, 3) or numbers != sorted(numbers):
            raise _not_of_form("--money", text, "LOW <= LIKELY <= HIGH", "cost=5000000:8000000:12000000")
        found[name.strip()] = list(numbers) if len(numbers) == 3 else [numbers[0]] * 3
    return found


def _not_of_form(option: str, got: str, allowed: str, example: str) -> UsageError:
    return UsageError(
        "not_of_form",
        ko=f"{option} {got}: 형식은 {allowed} 이에요.",
        en=f"{option} {got}: the form is {allowed}.",
        next_ko=f"보기: {option} {example}",
        next_en=f"For example: {option} {example}",
        where={"option": option},
    )


def run_study(face: Face, paths: Sequence[Path], arguments: StudyArguments, *, zone: str | None, html: Path | None) -> None:
    """Read the files, study them, and say the verdict."""
    request = arguments.request()
    from madang.workspace import Workspace

    with Workspace.open(face.workspace) as workspace:
        document = workspace.study(paths, request, zone=zone, progress=face.progress).document()
    face.document("study/1", document)
    if html is not None:
        from madang.console import report_html

        write_whole(html, report_html(document, face.language).encode())
    show_verdict(face, document)


def show_verdict(face: Face, document: Mapping[str, Any]) -> None:
    """Say the verdict, how sure it is, what it rests on, what to check by hand, what it is worth, and the next step."""
    verdict = document["verdict"]
    sure = {"high": Bilingual("높음", "high"), "medium": Bilingual("보통", "medium"), "low": Bilingual("낮음", "low")}
    confidence = sure[verdict["confidence"]]
    face.say("", face.text(verdict["sentence_ko"], verdict["sentence_en"]))
    face.say(Bilingual(f"확신: {confidence.ko}", f"Confidence: {confidence.en}"))
    causes = document["causes"][:3]
    if causes:
        face.say("", Bilingual("원인으로 보이는 것:", "What seems to drive it:"))
    for number, cause in enumerate(causes, start=1):
        lag = face.text(cause["facts"].get("lag_ko", ""), cause["facts"].get("lag_en", ""))
        face.say(
            f"  {number}. {cause['column']}{f' ({lag})' if lag else ''}",
            f"     {face.text(cause['evidence_ko'], cause['evidence_en'])}",
        )
    drift = document.get("drift") or {}
    if drift.get("matters"):
        face.say("", face.text(drift["text_ko"], drift["text_en"]))
    by_hand = [named for named in (_place(face, row) for row in document.get("look_at", ())[:3]) if named]
    if by_hand:
        listed = ", ".join(by_hand)
        face.say("", Bilingual(f"손으로 확인할 것: {listed}", f"Check by hand: {listed}"))
    worth = document.get("worth")
    if worth:
        face.say("", _worth(worth))
    face.say("", face.text(f"다음 할 일: {verdict['next_ko']}", f"Next step: {verdict['next_en']}"))


def _place(face: Face, row: Mapping[str, Any]) -> str:
    """Name a lot, a time or a record that a person should look at."""
    from madang.console import Formats

    if row.get("group"):
        return str(row["group"])
    if row.get("time"):
        return Formats("ko" if face.language == "ko" else "en").instant(row["time"])
    return face.text(f"{row['row']:,}행", f"record {row['row']:,}") if row.get("row") else ""


def _worth(worth: Mapping[str, Any]) -> Bilingual:
    from madang.console import Formats

    def money(lang: Literal["ko", "en"], part: str) -> str:
        return Formats(lang).money(worth[part], worth["currency"])

    back = f"{worth['payback_24m']:.2f}"
    return Bilingual(
        f"1년 값어치(주신 범위에서): 가운데 {money('ko', 'p50')}, 열에 여덟은 {money('ko', 'p10')} ~ {money('ko', 'p90')}."
        f" 24개월 안에 회수할 확률은 {back}이에요.",
        f"Worth a year (from the ranges given): middle {money('en', 'p50')}, eight times in ten {money('en', 'p10')} to"
        f" {money('en', 'p90')}. The probability of payback within 24 months is {back}.",
    )


def run_predict(face: Face, name: str, paths: Sequence[Path], *, out: Path, boxes: Path | None) -> None:
    """Answer every record of new files."""
    if boxes is not None:
        raise MissingError(
            "task_not_there_yet",
            ko="--boxes: 그림 검사는 이 판에 아직 없어요.",
            en="--boxes: inspection of images is not in this release yet.",
            next_ko="--boxes 없이 실행해 주세요.",
            next_en="Run it without --boxes.",
            where={"option": "--boxes"},
        )
    from madang.workspace import Workspace

    with Workspace.open(face.workspace) as workspace:
        document: Mapping[str, Any] = workspace.predict(name, paths, out, progress=face.progress).document()
    face.document("predict/1", document)
    face.say(
        Bilingual(
            f"{document['rows']:,}행에 답했어요 → {out}  (정상 {document['flags'].get('ok', 0):,})",
            f"{document['rows']:,} records answered → {out}  (ok {document['flags'].get('ok', 0):,})",
        )
    )
