"""Whether a study of the built-in line names the planted causes, and none where none was planted.

    python -m bench.kiln [--seeds 20] [--first 1000] [--lots 3200] [--full] [--joined] [--budget 30] [--json F]

For every seed two plants are run: one with two or three planted causes, one with none. The whole path is taken: exports of a
plant -> intake -> library -> join -> study -> causes. By default the exports are lean (a history of two minutes instead of one,
no fast recordings); ``--full`` writes everything. ``--joined`` skips files, intake and join and hands the study a table that was
joined with the truth's clock: it shows what is lost on the way.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from madang.factory.twin import KilnRun, load_pack, simulate_kiln, write_exports
from madang.models import StudyRequest

SAME_QUANTITY = {
    # The time a lot spends in the kiln is its length over the belt speed: naming it names the belt speed.
    "belt_speed": ("투입일시 → 배출일시", "duration", "체류"),
}


@dataclass
class Plant:
    """What the study said about one plant."""

    seed: int
    planted: list[list[str]]
    named: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    hit: bool = False
    coverage: float | None = None
    nominal: float | None = None
    chosen: str | None = None
    verdict: str | None = None
    share_good: float | None = None
    share_low: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    fault: str | None = None


def joined_table(run: KilnRun) -> pa.Table:
    """Return one row per lot: readings as means over the soak and at the discharge, lots, raw lots and results."""
    seconds = run.time.astype("datetime64[s]").astype(np.int64)
    start, end, out = (run.lots[k].astype("datetime64[s]").astype(np.int64) for k in ("soak_start", "soak_end", "discharge"))
    columns: dict[str, Any] = {
        "채취일시": pa.array(run.lab["sampled"].astype("datetime64[us]"), pa.timestamp("us", "UTC")),
        "결과일시": pa.array(run.lab["resulted"].astype("datetime64[us]"), pa.timestamp("us", "UTC")),
    }
    for tag in run.tags:
        total = np.concatenate([[0.0], np.cumsum(run.values[tag.name])])
        a, b = np.searchsorted(seconds, start), np.searchsorted(seconds, end)
        columns[tag.name] = (total[b] - total[a]) / (b - a)
        if tag.name == "포장실 습도":
            columns[tag.name] = np.interp(out, seconds, run.values[tag.name])
    raw = run.lots["raw"]
    columns |= {
        "레인": [str(x) for x in run.lots["lane"]], "단": [str(x) for x in run.lots["layer"]],
        "작업조": [str(x) for x in run.lots["shift"]], "공급사": [str(x) for x in run.raw["supplier"][raw]],
        "투입량": run.lots["mass"], "Li/Me비": run.raw["ratio"][raw], "원료수분": run.raw["moisture"][raw],
        "원료BET": run.raw["bet"][raw], "잔류리튬 / 합계": run.lab["residual"],
    }  # fmt: skip
    return pa.table(columns)


def study_joined(run: KilnRun, request: StudyRequest, plant: Plant) -> dict[str, Any]:
    from madang.models import study
    from madang.models._assemble import read_of

    begun = time.perf_counter()
    document = study([read_of(joined_table(run))], request).document()
    plant.seconds["study"] = time.perf_counter() - begun
    return dict(document)


def study_exports(run: KilnRun, request: StudyRequest, plant: Plant, full: bool) -> dict[str, Any]:
    from madang.workspace import Workspace

    with TemporaryDirectory() as folder:
        begun = time.perf_counter()
        exports = Path(folder) / "exports"
        write_exports(run, exports, lean=not full)
        plant.seconds["write"] = time.perf_counter() - begun
        begun = time.perf_counter()
        with Workspace.open(Path(folder) / "workspace") as workspace:
            document = workspace.study([exports], request).document()  # type: ignore[attr-defined, unused-ignore]
        plant.seconds["intake and study"] = time.perf_counter() - begun
    return dict(document)


def names_cause(column: str, cause: Sequence[str]) -> bool:
    """Return whether a named column is one of a cause's columns, whatever window or lag it bears."""

    def plain(text: str) -> str:
        return "".join(ch for ch in text if ch not in " _.-").casefold()

    return any(plain(base) in plain(column) for base in cause)


def look(run: KilnRun, request: StudyRequest, mode: str) -> Plant:
    plant = Plant(run.seed, [[*c.columns, *SAME_QUANTITY.get(c.code, ())] for c in run.truth.causes])
    last = np.sort(np.argsort(run.lab["sampled"], kind="stable")[-(len(run.lots["lot"]) // 5) :])
    share = load_pack("cathode_firing").quality.share(run.lab["residual"][last].astype(np.float64))
    plant.share_good, plant.share_low = share.share, share.low
    try:
        document = study_joined(run, request, plant) if mode == "joined" else study_exports(run, request, plant, mode == "full")
    except Exception:
        plant.fault = traceback.format_exc(limit=-3)
        return plant
    causes = document["causes"]
    plant.named = [c["column"] for c in causes]
    plant.shares = [round(float(c["share"]), 3) for c in causes]
    plant.coverage = (document.get("interval") or {}).get("coverage")
    plant.nominal = (document.get("interval") or {}).get("nominal")
    plant.chosen, plant.verdict = document["chosen"], document["verdict"]["code"]
    if plant.planted:
        plant.hit = all(any(names_cause(name, cause) for name in plant.named[:3]) for cause in plant.planted)
    else:
        plant.hit = not plant.named
    return plant


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--lots", type=int, default=3200)
    parser.add_argument("--budget", type=float, default=30.0)
    parser.add_argument("--only", choices=("planted", "none"))
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--joined", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    mode = "joined" if args.joined else "full" if args.full else "lean"
    plants: dict[str, list[Plant]] = {"planted": [], "none": []}
    for seed in range(args.first, args.first + args.seeds):
        for kind in ("planted", "none"):
            if args.only and kind != args.only:
                continue
            run = simulate_kiln(seed, lots=args.lots, causes="planted" if kind == "planted" else "none")
            target = load_pack("cathode_firing").quality.column
            plant = look(run, StudyRequest(target=target, seed=seed, budget_seconds=args.budget), mode)
            plants[kind].append(plant)
            mark = "FAULT" if plant.fault else "ok" if plant.hit else "MISS"
            print(
                f"{seed} {kind:7s} {mark:5s} planted {[c[0] for c in plant.planted]} named {list(zip(plant.named, plant.shares, strict=True))} "
                f"coverage {plant.coverage} chosen {plant.chosen} verdict {plant.verdict} "
                f"in tolerance {plant.share_good:.3f} (>= {plant.share_low:.3f}) { ({k: round(v, 1) for k, v in plant.seconds.items()}) }",
                flush=True,
            )
            if plant.fault:
                print(plant.fault)
    for kind, found in plants.items():
        if found:
            right = sum(p.hit for p in found)
            cover = [p.coverage - p.nominal for p in found if p.coverage is not None and p.nominal is not None]
            within = sum(abs(c) <= 0.02 for c in cover)
            print(
                f"{kind}: right in {right} of {len(found)}; interval coverage minus nominal: "
                + (f"mean {np.mean(cover):+.3f}, within 2 points in {within} of {len(cover)}" if cover else "none")
            )
    if args.json:
        args.json.write_text(
            json.dumps(
                {"mode": mode, "lots": args.lots, **{k: [asdict(p) for p in v] for k, v in plants.items()}}, ensure_ascii=False
            ),
            encoding="utf-8",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
