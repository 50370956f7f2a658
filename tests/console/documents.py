"""A pretend workspace with documents of the published shapes: every state a page can show, without reading a file."""

from __future__ import annotations

import builtins
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from madang.connect import kinds
from madang.errors import InputError
from madang.workspace._connections import Connections
from madang.workspace._gaps import Gaps
from madang.workspace._runner import Runner, RunnerState
from madang.workspace._secrets import Secrets

Document = dict[str, Any]


def column(name: str, **more: Any) -> Document:  # noqa: ANN401
    """One column as an intake reports it."""
    plain: Document = {
        "source_name": name, "name": name, "role": "actual", "kind_of_quantity": "temperature", "unit_source": "℃", "unit": "Cel",
        "unit_reason_ko": "머리글의 ‘℃’에서 읽었어요.", "unit_reason_en": "Read from “℃” in the header.", "confidence": 0.97,
        "status": "proposed", "type": "number", "missing": 0, "bad": 0, "stuck": 0,
        "stats": {"n": 1440, "sum": 1_044_000.0, "min": 701.2, "max": 748.9}, "quality": 0.99,
    }  # fmt: skip
    return {**plain, **more}


def finding(code: str, severity: str, rows: int, ko: str, en: str, **more: Any) -> Document:  # noqa: ANN401
    """One finding as an intake reports it."""
    return {
        "code": code, "severity": severity, "rows": rows, "examples": [14, 15, 88], "message_ko": ko, "message_en": en,
        "undo": None, "column": None, **more,
    }  # fmt: skip


FINDINGS = [
    finding(
        "midnight_row", "info", 30, "자정 행 30개가 하루 앞 날짜로 적혀 있어 다음 날로 옮겼어요.",
        "30 midnight rows carried the date of the day before and were moved to the next day.", undo="u12",
    ),
    finding(
        "bad_value_code", "warning", 12, "‘9999’는 값이 아니라 불량 표시로 보고 비웠어요.",
        "“9999” stands for a bad value and was left empty.", column="배기 온도", undo="u13",
    ),
    finding(
        "personal_data", "stop", 3, "비고에 전화번호로 보이는 글이 있어요. 내보내기 전에 확인해 주세요.",
        "The remarks hold what looks like phone numbers. Check them before anything is shared.", column="비고",
    ),
]  # fmt: skip

COLUMNS = [
    column("일시", role="time", kind_of_quantity="time", unit=None, type="time", stats=None, unit_source=None),
    column("1구역 온도"),
    column("배기 온도", bad=12, quality=0.62, confidence=0.91),
    column("송풍 압력", kind_of_quantity="pressure", unit="kPa", unit_source="kPa", stuck=96, quality=0.78),
    column(
        "PV_07", kind_of_quantity="unknown", unit=None, unit_source=None, confidence=0.41, status="ask", unit_reason_ko="이름과 값으로는 알 수 없어요.",
        unit_reason_en="Neither the name nor the values say.",
    ),
    column("산소 농도", kind_of_quantity="concentration", unit="%", role="actual", status="ask", confidence=0.66),
    column("로트", role="lot", kind_of_quantity="identifier", unit=None, type="text", stats=None, unit_source=None),
    column("잔류 리튬", role="target_candidate", kind_of_quantity="concentration", unit="%", stats={"n": 640, "sum": 512.0, "min": 0.61, "max": 1.12}),
    column("비고", role="text", kind_of_quantity="text", unit=None, type="text", stats=None, unit_source=None),
]  # fmt: skip


def table(source: str, dataset: str) -> Document:
    """One table as an intake reports it."""
    return {
        "source": source, "dataset": dataset, "version": 1, "sha256": "5f2c" * 16, "format": "csv", "encoding": "cp949", "separator": ",",
        "decimal": ".", "thousands": None, "preamble_lines": 3, "header_rows": 2, "units_row": True, "layout": "wide", "time_column": "일시",
        "time_format": "%Y-%m-%d %H:%M", "zone": "Asia/Seoul", "zone_assumed": True, "time_first": "2026-04-30T15:00:00Z",
        "time_last": "2026-05-30T14:45:00Z", "rows_read": 1462, "rows_kept": 1440, "rows_quarantined": 12, "rows_duplicate": 10,
        "columns": COLUMNS, "findings": FINDINGS,
    }  # fmt: skip


INTAKE: Document = {
    "schema": "intake/1", "madang": "0.1.0", "seconds": 1.2, "errors": [],
    "tables": [table("소성로_5월.csv", "소성로"), table("품질_LIMS.xlsx#결과", "품질 결과")],
}  # fmt: skip


def bilingual(stem: str, ko: str, en: str) -> Document:
    """Both languages of one text."""
    return {f"{stem}_ko": ko, f"{stem}_en": en}


def score(value: float) -> Document:
    """A score with its interval."""
    return {"value": value, "low": value * 0.93, "high": value * 1.08}


def study_document() -> Document:
    """A result with every part filled."""
    n = 160
    truth = [0.82 + 0.08 * math.sin(i / 9) + 0.02 * math.sin(i * 1.7) for i in range(n)]
    guess = [0.82 + 0.075 * math.sin(i / 9) for i in range(n)]
    minutes = [f"2026-05-{20 + i // 24:02d}T{i % 24:02d}:00:00Z" for i in range(n)]
    return {
        "schema": "study/1", "madang": "0.1.0", "seconds": 42.7, "name": "잔류 리튬 5월", "task": "regression", "seed": 0,
        "target": "잔류 리튬", "unit": "%", "data": [{"dataset": "소성로", "version": 1}, {"dataset": "품질 결과", "version": 1}],
        "rows": {"used": 640, "train": 470, "gap": 10, "last_block": 160},
        "protocol": {
            "kind": "forward", "gap": 10, "opened_once": True, "last_block": [481, 640],
            "folds": [{"train": [1, 160], "test": [171, 260]}, {"train": [1, 260], "test": [271, 360]}, {"train": [1, 360], "test": [371, 470]}],
            **bilingual("reason", "로트 시각이 있어 앞을 학습하고 뒤를 맞혔습니다.", "Lots carry times, so the past was learned from and what followed was predicted."),
        },
        "metric": {"name": "rmse", "unit": "%", "better": "lower"},
        "candidates": [
            {"name": "constant", "family": "constant", "folds": score(0.083), "last_block": score(0.081), "offered": True, "fit_seconds": 0.0, **bilingual("why_not", "", "")},
            {"name": "persistence", "family": "persistence", "folds": score(0.061), "last_block": score(0.06), "offered": True, "fit_seconds": 0.0},
            {"name": "linear+median", "family": "linear_lags", "folds": score(0.034), "last_block": score(0.036), "offered": True, "fit_seconds": 0.8},
            {"name": "pls", "family": "pls", "folds": score(0.037), "last_block": score(0.038), "offered": True, "fit_seconds": 1.1},
            {"name": "trees", "family": "trees", "folds": score(0.031), "last_block": score(0.044), "offered": False, "fit_seconds": 6.3,
             **bilingual("why_not", "달라진 뒤에 크게 나빠져서 권하지 않습니다.", "It fails under the drift, so it is not offered.")},
        ],
        "assumptions": [bilingual("text", "목표를 ‘잔류 리튬’으로 보았어요.", "“잔류 리튬” was taken as the target.")],
        "chosen": "linear+median",
        "frame": {"join": {
            "joins": [{"table": "품질 결과", "left_column": "로트", "right_column": "LOT", "rows": 660, "joined": 640, "unmatched": 18, "ambiguous": 2, "superseded": 5}],
            "offsets": {"소성로": {"minutes": -15.02, "low": -16.0, "high": -14.0, "supported": True, "events": 612,
                                 **bilingual("evidence", "투입 612건이 -15.0분 차이로 만나요.", "612 charges meet at -15.0 min.")}},
            "unused": [bilingual("reason", "보정이력은 이을 열이 없어 쓰지 않았어요.", "The calibration log has no key and was not used.")],
        }},
        "leak": {
            "score": 0.012, "random_split": 0.024, "blocked": 0.036,
            "findings": [
                {"column": "폐기 수량", "code": "after_result", "severity": "stop", "action": "dropped",
                 **bilingual("evidence", "검사 결과가 나온 뒤에 적는 값이에요.", "It is written after the result.")},
                {"column": "PV_07", "code": "consequence", "severity": "warning", "action": "asked",
                 **bilingual("evidence", "같은 순간의 결과와 거의 같이 움직여요.", "It moves almost as the result does, at the same instant.")},
            ],
        },
        "interval": {"nominal": 0.9, "coverage": 0.887, "mean_width": 0.14},
        "drift": {"found": True, "columns": ["배기 온도", "송풍 압력"], "matters": False,
                  **bilingual("text", "5월 22일부터 배기 온도가 4 ℃ 높습니다. 예측 오차는 커지지 않았습니다.", "Exhaust temperature has been 4 ℃ higher since 22 May; the error did not grow.")},
        "causes": [
            {"column": "3구역 온도", "lag": "mean over soak", "direction": "down", "share": 0.46,
             **bilingual("evidence", "유지 구간 평균이 5 ℃ 오르면 0.03 낮아지고, 네 구간에서 모두 같았습니다.", "5 ℃ more over the soak lowers it by 0.03, in all four blocks."),
             **bilingual("prove", "3구역을 3 ℃ 올린 로트 여섯 개에서 0.02 낮아집니다.", "Six lots with zone 3 raised by 3 ℃ come out 0.02 lower."),
             **bilingual("refute", "올려도 그대로면 버너 편차가 진짜 원인입니다.", "If nothing changes, burner drift is the real cause.")},
            {"column": "산소 농도", "lag": "40 min", "direction": "down", "share": 0.27,
             **bilingual("evidence", "산소가 낮은 로트에서 높습니다.", "It is higher in lots with little oxygen."),
             **bilingual("prove", "산소를 1 %p 올리면 낮아집니다.", "One point more oxygen lowers it."),
             **bilingual("refute", "유량만 달라지면 계측 문제입니다.", "If only the flow changes, it is the instrument.")},
        ],
        "look_at": [{"source": "소성로_5월.csv", "row": 512, "time": "2026-05-21T07:00:00Z", "group": "L-0521-07", **bilingual("reason", "결과가 예측구간에서 멀리 벗어났어요.", "The result lies far outside its interval.")}],
        "worth": {"currency": "KRW", "p10": 21_000_000, "p50": 84_000_000, "p90": 195_000_000, "payback_24m": 0.71,
                  **bilingual("measure_first", "불량 하나의 손실을 먼저 재 보세요.", "Measure the loss per bad unit first.")},
        "verdict": {
            "code": "use_model", "confidence": "medium", "rule": None,
            **bilingual("sentence", "3구역 온도와 산소로 잔류 리튬을 결과가 나오기 전에 ±0.07 % 안에서 알 수 있습니다.", "Zone-3 temperature and oxygen tell the residual lithium within ±0.07 % before the laboratory does."),
            **bilingual("next", "다음 여섯 로트에서 3구역을 3 ℃ 올려 확인해 주세요.", "Raise zone 3 by 3 ℃ for the next six lots and compare."),
        },
        "series": {"time": minutes, "row": list(range(481, 641)), "actual": truth, "prediction": guess, "lower": [g - 0.07 for g in guess], "upper": [g + 0.07 for g in guess]},
    }  # fmt: skip


@dataclass
class PretendReport:
    """What an intake returns."""

    fields: Document

    def document(self) -> Document:
        """The fields of the document."""
        return self.fields


@dataclass
class PretendObject:
    """A kept study."""

    name: str
    version: int = 1
    created: str = "2026-05-29T00:00:00Z"
    inputs: tuple[str, ...] = ("소성로@1",)


@dataclass
class PretendRead:
    """What a read returns."""

    table: pa.Table


class PretendPeople:
    """Nobody has an account."""

    def has_accounts(self) -> bool:
        """Say so."""
        return False


@dataclass
class PretendLibrary:
    """A library that holds two datasets, or none."""

    empty: bool = False
    undone: list[str] = field(default_factory=list)
    accepted: list[tuple[str, str, str | None, str | None, str | None]] = field(default_factory=list)
    replayed: list[str] = field(default_factory=list)
    said: dict[str, str | None] = field(default_factory=dict)
    kept: dict[str, Document] = field(default_factory=dict)
    people: PretendPeople = field(default_factory=PretendPeople)

    def stamp(self) -> object:
        """Something new each time: nothing that was read is kept."""
        return object()

    def _names(self) -> list[str]:
        return [] if self.empty else ["소성로", "품질 결과"]

    def list(self) -> Document:
        """Both datasets."""
        return {
            "datasets": [
                {
                    "dataset": name, "version": 2, "rows": 1440, "columns": len(COLUMNS), "time_first": "2026-04-30T15:00:00Z",
                    "time_last": "2026-05-30T14:45:00Z", "quality": 0.93 if name == "소성로" else None, "asks": self._asks(name),
                    "rows_quarantined": 12 if name == "소성로" else 0, "taken": "2026-05-30T15:02:00Z", "sources": [f"{name}_5월.csv"],
                }
                for name in self._names()
            ]
        }  # fmt: skip

    def _asks(self, name: str) -> int:
        done = {c for d, c, *_ in self.accepted if d == name}
        return sum(c["status"] == "ask" and c["name"] not in done for c in COLUMNS)

    def search(self, words: str) -> builtins.list[Document]:
        """Columns and datasets whose name holds the words."""
        return [
            {"dataset": d, "version": 2, "column": c["name"], "kind_of_quantity": c["kind_of_quantity"], "unit": c["unit"]}
            for d in self._names()
            for c in COLUMNS
            if words in c["name"] or words == c["kind_of_quantity"]
        ]

    def card(self, dataset: str) -> Document:
        """The card of one of the two."""
        name = dataset.partition("@")[0]
        if name not in self._names():
            raise InputError("no_such_dataset", ko=f"‘{name}’이라는 데이터셋이 없어요.", en=f"There is no dataset “{name}”.")
        decided = {c: (r, k, u) for d, c, r, k, u in self.accepted if d == name}
        columns = [
            {**c, "status": "accepted", "role": decided[c["name"]][0] or c["role"], "kind_of_quantity": decided[c["name"]][1] or c["kind_of_quantity"],
             "unit": decided[c["name"]][2]} if c["name"] in decided else c
            for c in COLUMNS
        ]  # fmt: skip
        shifts = [
            {
                "start": "", "local": f"2026-05-{1 + i // 3:02d} {6 + 8 * (i % 3):02d}:00", "records": 32, "expected": 32.0, "complete": 1.0,
                "missing": 0, "bad": i % 5, "stuck": 0, "score": 1.0 if i % 11 else 0.3 + 0.1 * (i % 6),
            }
            for i in range(90)
        ]  # fmt: skip
        return {
            "dataset": name, "version": 2, "rows": 1440, "time_first": "2026-04-30T15:00:00Z", "time_last": "2026-05-30T14:45:00Z",
            "time_column": "일시", "zone": "Asia/Seoul", "zone_assumed": True, "quality": 0.93, "columns": columns,
            "parts": [table(f"{name}_5월.csv", name)],
            "versions": [
                {"version": 1, "created": "2026-05-29T01:00:00Z", "rows": 1400, "reason": "intake", "sources": [f"{name}_5월.csv"]},
                {"version": 2, "created": "2026-05-30T15:02:00Z", "rows": 1440, "reason": "correction", "sources": [f"{name}_5월.csv"]},
            ],
            "shifts": shifts, "process": self.said.get("process"), "importance": self.said.get("importance", "unclassified"),
            "lineage": {"steps": [
                {"id": "u11", "kind": "intake", "step": f"{name}_5월.csv", "party": "owner", "time": "2026-05-30T15:02:00Z", "undone": None},
                {"id": "u12", "kind": "reading", "step": "midnight_row:date", "party": "owner", "time": "2026-05-30T15:02:00Z",
                 "undone": "2026-05-30T15:10:00Z" if "u12" in self.undone else None,
                 **bilingual("reason", "자정 행을 다음 날로 옮겼어요.", "Midnight rows were moved to the next day.")},
            ]},
        }  # fmt: skip

    def read(self, name: str, *, columns: Sequence[str], reader: str, purpose: str) -> PretendRead:
        """A month of quarter hours with a gap, a spike and bad values."""
        n = 2880
        minutes = np.arange(n, dtype="int64") * 15 + (np.arange(n) > 1500) * 2880
        time = np.datetime64("2026-04-30T15:00:00", "us") + minutes.astype("timedelta64[m]")
        value = 725 + 12 * np.sin(np.arange(n) / 60)
        value[700] = 790.0
        value[2000:2040] = np.nan
        arrays: dict[str, Any] = {c: pa.array(value, from_pandas=True) for c in columns}
        if "일시" in columns:
            arrays["일시"] = pa.array(time).cast(pa.timestamp("us", tz="UTC"))
        return PretendRead(pa.table(arrays))

    def intake(self, paths: Sequence[Path], **_: object) -> PretendReport:
        """The same document whatever is dropped."""
        if any(p.suffix == ".exe" for p in paths):
            raise InputError("unreadable_file", ko="읽을 수 있는 표가 아니에요.", en="It is not a table that can be read.", next_ko="CSV나 엑셀로 내보내 주세요.", next_en="Export it as CSV or Excel.")  # fmt: skip
        return PretendReport({k: v for k, v in INTAKE.items() if k in ("tables", "errors")})

    def undo(self, step: str) -> Document:
        """Note what was undone."""
        if not step.startswith("u"):
            raise InputError("no_such_step", ko="그런 결정이 없어요.", en="There is no such decision.")
        self.undone.append(step)
        return {"dataset": "소성로", "version": 3}

    def objects(self, kind: str) -> builtins.list[PretendObject]:
        """The kept studies."""
        return [PretendObject(name) for name in self.kept]

    def get_object(self, kind: str, name: str) -> tuple[bytes, PretendObject]:
        """One kept study."""
        if name not in self.kept:
            raise InputError("no_such_object", ko="그런 스터디가 없어요.", en="There is no such study.")
        return json.dumps(self.kept[name]).encode(), PretendObject(name)

    def redo(self, step: str) -> Document:
        """Take the undoing back."""
        self.undone.remove(step)
        return {"dataset": "소성로", "version": 4}

    def describe(self, dataset: str, **said: str | None) -> None:
        """Keep what was said."""
        self.card(dataset)
        self.said.update(said)

    def originals(self, dataset: str, folder: Path) -> builtins.list[Path]:
        """One file."""
        path = folder / f"{dataset}.csv"
        path.write_text("a,b\n1,2\n", encoding="utf-8")
        return [path]

    def replay(self, dataset: str) -> Document:
        """Note what was read again."""
        self.replayed.append(dataset)
        return {"dataset": dataset, "version": 3}

    def quarantine(self, dataset: str) -> builtins.list[Document]:
        """Twelve rows of the first dataset."""
        if dataset != "소성로":
            return []
        reason = bilingual("reason", "열이 9개인데 8개만 있어요.", "There are 8 fields where 9 are needed.")
        return [
            {
                "source": "소성로_5월.csv",
                "row": 100 + i,
                "reason": "fields",
                **reason,
                "text": "2026-05-03 10:15,71,<b>x</b>",
            }
            for i in range(12)
        ]

    def accept(self, dataset: str, name: str, *, role: str | None, kind: str | None, unit: str | None, author: str) -> Document:
        """Note what was confirmed; `furlong` stands for a unit nobody knows."""
        if unit == "furlong":
            raise InputError("unknown_unit", ko="모르는 단위예요.", en="That unit is not known.")
        self.accepted.append((dataset, name, role, kind, unit))
        return {"dataset": dataset, "column": name}


@dataclass
class Settings:
    """Settings of the pretend workspace."""

    zone: str = "Asia/Seoul"


@dataclass
class PretendWorkspace:
    """A workspace whose library is pretend."""

    root: Path
    library: PretendLibrary = field(default_factory=PretendLibrary)
    settings: Settings = field(default_factory=Settings)

    def clock(self) -> datetime:
        """The present."""
        return datetime.now(UTC)

    @cached_property
    def connections(self) -> Connections:
        """True connections of this folder, none of which is run."""
        return Connections(self.root, self.clock, Secrets(self.root), kinds=kinds)

    @cached_property
    def gaps(self) -> Gaps:
        """Their gaps."""
        return Gaps(self.connections, self.clock)

    @cached_property
    def runner(self) -> Runner:
        """A runner that nobody starts."""
        return Runner(self.root, self.library, self.connections, clock=self.clock)  # type: ignore[arg-type]

    @cached_property
    def runner_state(self) -> RunnerState:
        """What no runner says."""
        return RunnerState(self.root, self.clock)
