"""Figures of the study on public data, each with its goal beside it.

    MADANG_SHARED=... nice .venv/bin/python bench/study.py [steel15 steel24 gas gas_blind secom plates ai4i size]

Choices come from the rows that may be learned from; nothing here or in the package is fitted to these files by name.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from madang.models import StudyRequest, study
from madang.models._assemble import read_of

SHARED = Path(os.environ.get("MADANG_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
YEARS = {2011: 7411, 2012: 7628, 2013: 7152}
"""Rows of each year in the gas turbine file."""


def report(name: str, goal: str, table: pa.Table, request: StudyRequest) -> dict[str, Any]:
    """Run a study and print its figures."""
    begun = time.perf_counter()
    document: dict[str, Any] = study([read_of(table, dataset=name)], request).document()
    json.dumps(document, allow_nan=False)
    chosen = next(c for c in document["candidates"] if c["name"] == document["chosen"])
    print(f"\n== {name}   goal: {goal}   ({time.perf_counter() - begun:.0f} s)")
    for candidate in document["candidates"]:
        mark = "*" if candidate is chosen else " "
        folds, last = candidate["folds"]["value"], candidate["last_block"]["value"]
        print(
            f" {mark} {candidate['name']:24s} folds {folds:8.4f}  last {last:8.4f}  {'' if candidate['offered'] else 'not offered'}"
        )
    last = chosen["last_block"]
    print(
        f"   {document['metric']['name']} {last['value']:.4f} [{last['low']:.4f}, {last['high']:.4f}]",
        {
            k: [round(v[e], 4) for e in ("value", "low", "high") if v[e] is not None]
            for k, v in chosen["scores"]["last_block"].items()
        },
    )
    print("   leak", document["leak"]["score"], "interval", document["interval"]["coverage"], document["interval"]["text_en"])
    print("   drift", document["drift"]["text_en"], document["drift"]["folds_outside"])
    print("  ", document["verdict"]["code"], document["verdict"]["confidence"], document["verdict"]["sentence_en"], flush=True)
    return document


def steel(horizon: str, goal: str) -> None:
    """Forecast of the load, learned on January to June, judged on July to September."""
    table = pc.read_csv(SHARED / "steel_energy" / "Steel_industry_data_2018_01_09.csv")
    stamps = []
    for text in table["date"].to_pylist():
        stamp = dt.datetime.strptime(text, "%d/%m/%Y %H:%M").replace(tzinfo=dt.UTC)
        midnight = stamp.hour == 0 and stamp.minute == 0
        stamps.append(stamp + dt.timedelta(days=1 if midnight else 0) - dt.timedelta(hours=9))
    table = table.set_column(0, "date", pa.array(stamps, pa.timestamp("us", "UTC")))
    learned = sum(s <= dt.datetime(2018, 6, 30, 15, tzinfo=dt.UTC) for s in stamps)
    request = StudyRequest(task="forecast", target="Usage_kWh", horizon=horizon, train_rows=(1, learned))
    report(f"steel_energy {horizon}", goal, table, request)


def gas(delay: str | None, goals: tuple[float, float, float]) -> None:
    """NOx of a gas turbine, years apart."""
    table = pc.read_csv(SHARED / "gas_turbine_emissions" / "gt_2011_2013.csv").drop_columns(["Carbon monoxide"])
    edges = np.cumsum([0, *YEARS.values()])
    year = {y: np.arange(edges[k], edges[k + 1]) for k, y in enumerate(YEARS)}
    for (learned, judged), goal in zip((((2011,), 2012), ((2011,), 2013), ((2011, 2012), 2013)), goals, strict=True):
        rows = np.concatenate([*(year[y] for y in learned), year[judged]])
        fixed = (1, sum(len(year[y]) for y in learned))
        request = StudyRequest(task="regression", target="Nitrogen oxides", lab_delay=delay, train_rows=fixed)
        report(
            f"gas_turbine NOx {learned} -> {judged}, labels {delay or 'none'}",
            f"MAE <= {goal}",
            table.take(pa.array(rows)),
            request,
        )


def secom() -> None:
    """Fails of wafers: honest, and weak."""
    table = pc.read_csv(SHARED / "secom_reduced" / "secom_reduced_visible.csv")
    report("secom", "honest AUC with interval, says weak", table, StudyRequest(target="y"))


def plates() -> None:
    """Surface faults, the target spread over seven columns."""
    table = pc.read_csv(SHARED / "steel_plates_faults" / "SteelPlatesFaults_Clean.csv")
    report("steel_plates", "macro F1 >= 0.82", table, StudyRequest())


def ai4i() -> None:
    """Machine failures without the flags that name them."""
    where = SHARED / "ai4i2020" / "ai4i2020_visible.csv"
    table = pc.read_csv(where, parse_options=pc.ParseOptions(delimiter="\t"))
    report("ai4i", "F1 >= 0.80 without flags, forward", table, StudyRequest(target="Machine failure"))


def size(budget: float = 60.0) -> None:
    """A hundred thousand rows by fifty columns, at a budget [s]."""
    rng = np.random.default_rng(0)
    rows, columns = 100_000, 50
    inputs = rng.normal(size=(rows, columns)).cumsum(axis=0) * 0.05 + rng.normal(size=(rows, columns))
    result = inputs[:, 0] * 2 - inputs[:, 1] + np.sin(inputs[:, 2]) + rng.normal(size=rows)
    start = np.datetime64("2024-01-01T00:00:00", "us")
    table = pa.table(
        {"time": pa.array(start + np.arange(rows) * np.timedelta64(60, "s"), pa.timestamp("us", "UTC"))}
        | {f"tag{k:02d}": inputs[:, k] for k in range(columns)}
        | {"quality": result}
    )
    report("100k x 50", f"<= {budget:g} s, < 2 GB", table, StudyRequest(target="quality", budget_seconds=budget))
    print("   peak memory [MB]", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


JOBS: dict[str, Callable[[], None]] = {
    "steel15": lambda: steel("15min", "RMSE <= 8.5"),
    "steel24": lambda: steel("24h", "RMSE <= 18.4"),
    "gas": lambda: gas("24rows", (3.74, 4.91, 4.56)),
    "gas_blind": lambda: gas(None, (float("inf"),) * 3),
    "secom": secom,
    "plates": plates,
    "ai4i": ai4i,
    "size": size,
    "size20": lambda: size(20.0),
}


def main(arguments: list[str]) -> int:
    """Run the named jobs, all without a name; 2 when a name is none of them."""
    unknown = [a for a in arguments if a not in JOBS]
    if unknown:
        print(f"No job {', '.join(unknown)}; there are: {', '.join(JOBS)}", file=sys.stderr)
        return 2
    for job in arguments or list(JOBS):
        JOBS[job]()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
