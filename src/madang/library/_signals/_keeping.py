"""Keeping signals over the years: re-sort, retention, removal of what no kept version needs, and the forecast."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from madang.errors import InputError, Json
from madang.library._catalogue import Dataset
from madang.library._commit import Faults
from madang.library._lake import Lake
from madang.library._signals._archive import Restored, bring_back
from madang.library._signals._columns import ROWS_SCHEMA
from madang.library._signals._commit import LiveTable
from madang.library._signals._layout import TABLE_SCHEMA
from madang.library._signals._points import live_datasets, signals_datasets
from madang.library._signals._resort import Resorted, resort
from madang.library._signals._retention import Rule, apply_rules, forecast
from madang.library._signals._rules import rules_of
from madang.library._signals._times import micros
from madang.library._signals._vacuum import KEEP, vacuum

if TYPE_CHECKING:
    from madang.library._state import State


class Keeping:
    """The signals datasets of a lake, as what has to be kept.

    Args:
        lake: The table store.
        state: The catalogue.
        faults: For tests of interrupted commits.
    """

    def __init__(self, lake: Lake, state: State, faults: Faults | None = None) -> None:
        self._lake = lake
        self._state = state
        self._faults = faults
        self._tables: dict[str, LiveTable] = {}

    def find(self, name: str) -> Dataset | None:
        """Return a signals dataset by name."""
        with self._state.reading() as db:
            return next((d for d in signals_datasets(db) if d.name == name), None)

    def _known(self, name: str | None) -> list[Dataset]:
        with self._state.reading() as db:
            found = [d for d in signals_datasets(db) if name is None or d.name == name]
        if name is not None and not found:
            raise InputError(
                "no_such_signals",
                ko=f"‘{name}’이라는 신호 데이터셋이 없어요.",
                en=f"There is no signals dataset “{name}”.",
                next_ko="madang library list 로 이름을 확인하세요.",
                next_en="See the names with: madang library list",
                where={"dataset": name},
            )
        return [d for d in found if (self._lake.folder(d.table("signals")) / "_delta_log").is_dir()]

    def _table(self, dataset: Dataset) -> LiveTable:
        if dataset.folder not in self._tables:
            self._tables[dataset.folder] = LiveTable(self._lake, dataset.table("signals"), TABLE_SCHEMA, self._faults)
        return self._tables[dataset.folder]

    def resort(
        self, now: datetime, name: str | None = None, *, everything: bool = False, share: float = 1.0
    ) -> dict[str, Resorted]:
        """Gather what is due of one or all datasets; see `resort`."""
        return {d.name: resort(self._table(d), now, everything=everything, share=share) for d in self._known(name)}

    def compact(self, name: str, now: datetime) -> dict[str, Json] | None:
        """Gather all files of a signals dataset; None where it is none. The document of ``compact/1``."""
        if self.find(name) is None:
            return None
        before = len(self._table(self._known(name)[0]).live())
        self.resort(now, name, everything=True)
        table = self._table(self._known(name)[0])
        return {
            "dataset": name,
            "version": max(1, table.log.version),
            "files_before": before,
            "files_after": len(table.live()),
        }

    def retain(
        self,
        now: datetime,
        name: str | None = None,
        *,
        rules: Sequence[Rule] | None = None,
        keep: timedelta = KEEP,
        dry_run: bool = True,
    ) -> list[Json]:
        """Apply the rules of retention, then remove files that no kept version needs; returns what happened to each dataset.

        The rules are those of the workspace's ``retention.toml`` unless others are handed in.
        """
        rules = rules_of(self._lake.root.parent) if rules is None else rules
        done: list[Json] = []
        for dataset in self._known(name):
            table = self._table(dataset)
            said = dataset.facts.get("importance")
            importance = str(said) if said is not None else None
            kept = apply_rules(self._lake, table, dataset.name, importance, now, rules, dry_run=dry_run, faults=self._faults)
            gone = vacuum(table, now, keep=keep, dry_run=dry_run)
            done.append(
                {
                    "dataset": dataset.name,
                    "importance": importance or "unclassified",
                    "thinned_files": kept.thinned_files,
                    "thinned_samples": kept.thinned_samples,
                    "kept_samples": None if kept.kept_samples < 0 else kept.kept_samples,
                    "archived_files": kept.archived_files,
                    "archived_bytes": kept.archived_bytes,
                    "removed_files": gone.files,
                    "removed_bytes": gone.bytes,
                    "oldest_version": gone.oldest,
                }
            )
        if name is None and not dry_run:
            self._vacuum_rows(now, keep)
        return done

    def restore(
        self, now: datetime, name: str, start: datetime | None = None, end: datetime | None = None, *, dry_run: bool = False
    ) -> dict[str, Json]:
        """Bring archived files of a dataset back; see `bring_back`. The document of ``restore/1``."""
        found = Restored()
        for dataset in self._known(name):
            first, beyond = (None if t is None else micros(t) for t in (start, end))
            table, faults = self._table(dataset), self._faults or Faults()
            found = bring_back(self._lake, table, first, beyond, now, faults, dry_run=dry_run)
        return {"dataset": name, "files": found.files, "samples": found.samples, "bytes": found.bytes, "dry_run": dry_run}

    def _vacuum_rows(self, now: datetime, keep: timedelta) -> None:
        """Thin out the logs of followed tables; none of their entries is ever replaced."""
        with self._state.reading() as db:
            tables = live_datasets(db, "rows")
        for dataset in tables:
            if (self._lake.folder(dataset.table("rows")) / "_delta_log").is_dir():
                vacuum(LiveTable(self._lake, dataset.table("rows"), ROWS_SCHEMA, self._faults), now, keep=keep)

    def forecast(self, raw_tb_per_month: float) -> dict[str, Json]:
        """Say what a stream of raw samples will take, from the bytes per sample that are measured here.

        Raises:
            InputError: There is no sample to measure on.
        """
        found = forecast([self._table(d) for d in self._known(None)], raw_tb_per_month)
        if found is None:
            raise InputError(
                "nothing_to_measure",
                ko="라이브러리에 신호가 아직 없어서 값 하나에 몇 바이트가 드는지 잴 수 없어요.",
                en="The library holds no signals yet, so the bytes per sample cannot be measured.",
                next_ko="madang connect run 으로 값을 받은 뒤 다시 하세요.",
                next_en="Try again when values have come in with: madang connect run",
            )
        lasting = found.sorted_bytes_per_sample
        return {
            "samples_measured": found.samples,
            "bytes_per_sample": round(found.bytes_per_sample, 4),
            "sorted_bytes_per_sample": None if lasting is None else round(lasting, 4),
            "raw_bytes_per_sample": 16,
            "raw_tb_per_month": found.raw_tb_per_month,
            "samples_per_month": round(found.samples_per_month),
            "samples_per_second": round(found.samples_per_second, 1),
            "stored_tb_per_month": round(found.stored_tb_per_month, 4),
            "stored_tb_per_year": round(found.stored_tb_per_month * 365 / 30, 3),
            "rules": [
                {
                    "importance": r.importance,
                    "after_days": r.after.days,
                    "then": r.then,
                    "every_seconds": r.every.total_seconds() if r.then == "thinned" else None,
                }
                for r in rules_of(self._lake.root.parent)
            ],
        }
