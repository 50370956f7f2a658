"""The library of one workspace: bringing in, describing, reading, changing the mind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from madang.connect import Layout, ReadOptions, TableReader, TableSource
from madang.errors import InputError, Json
from madang.library._cards import ReadResult, VersionId
from madang.library._decide import DecisionPoint, OwnerMay
from madang.library._lock import WriterLock
from madang.library._report import IntakeReport
from madang.library._where import Form, Where

if TYPE_CHECKING:
    from madang.library._commit import Faults
    from madang.library._intake import Progress
    from madang.library._meaning import Proposer
    from madang.library._staging import TableFiles


class ConnectedFiles:
    """The tables of files, as `madang.connect` reads them."""

    def find(self, path: Path) -> Sequence[TableSource]:
        """Return the tables of one file."""
        from madang.connect import find_tables

        return list(find_tables([path]))

    def open(self, source: TableSource, options: ReadOptions, template: Layout | None) -> TableReader:
        """Open one table, by the template of an earlier one when there is one."""
        from madang.connect import open_table

        return open_table(source, options, template)


class Library:
    """Keeps datasets, knows what they mean, and decides every read.

    Make one with `Library.open`; close it, or use it as a context manager.
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Callable[[], datetime],
        zone: str,
        decide: DecisionPoint | None = None,
        files: TableFiles | None = None,
        propose: Proposer | None = None,
        shift_start: int = 6,
        faults: Faults | None = None,
    ) -> None:
        from madang.library._commit import Committer, recover
        from madang.library._lake import Lake
        from madang.library._meaning import standard_proposer
        from madang.library._read import Door
        from madang.library._state import State

        self.root = root
        self.zone = zone
        self.shift_start = shift_start
        self._clock = clock
        self._files: TableFiles = files or ConnectedFiles()
        self._propose: Proposer = propose or standard_proposer
        self._lock = WriterLock(root / ".writer.lock")
        self._lake = Lake(root / "lake")
        self._state = State(root / "state.sqlite")
        self._committer = Committer(self._lake, self._state, faults)
        self._door = Door(self._lake, self._state, decide or OwnerMay(), self._now)
        with self._lock.held(wait=False) as alone:
            if alone:
                righted = recover(self._lake, self._state)
                self._sweep()
                if righted:
                    self._describe_lake()

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        clock: Callable[[], datetime],
        zone: str,
        decide: DecisionPoint | None = None,
        files: TableFiles | None = None,
        propose: Proposer | None = None,
        shift_start: int = 6,
        faults: Faults | None = None,
    ) -> Library:
        """Open the library below a workspace folder, made when missing; what an interrupted change left is put right.

        Args:
            root: Workspace folder.
            clock: Gives the time (aware) of every record that is made.
            zone: IANA zone of local times that do not say theirs, and of shifts.
            decide: Decision point of reads; the owner may when None.
            files: Reader of files; `madang.connect` when None.
            propose: Standardiser that proposes columns' cards; the library's own when None.
            shift_start: Local hour at which the first of three shifts begins.
            faults: For tests of interrupted changes.

        Raises:
            InputError: The folder is a file, or was written by a newer Madang.
        """
        if root.exists() and not root.is_dir():
            raise InputError(
                "workspace_is_a_file",
                ko=f"‘{root}’은(는) 폴더가 아니라 파일이에요.",
                en=f"“{root}” is a file, not a folder.",
                next_ko="--workspace 로 폴더를 주세요.",
                next_en="Give a folder with --workspace.",
                where={"workspace": str(root)},
            )
        root.mkdir(parents=True, exist_ok=True)
        return cls(
            root,
            clock=clock,
            zone=zone,
            decide=decide,
            files=files,
            propose=propose,
            shift_start=shift_start,
            faults=faults,
        )

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the catalogue."""
        self._state.close()

    def _now(self) -> datetime:
        now = self._clock()
        if now.tzinfo is None:
            raise ValueError("the clock must give aware times")
        return now.astimezone(UTC)

    def _sweep(self) -> None:
        """Remove what died on the way; only called by the one writer."""
        import shutil

        shutil.rmtree(self._lake.root / "staging", ignore_errors=True)
        for draft in (self._lake.root / "objects").glob(".draft-*"):
            draft.unlink(missing_ok=True)

    def _describe_lake(self) -> None:
        """Write ``open.sql`` and the README beside the files, for those who come without Madang."""
        from madang.library._open_sql import describe_lake

        describe_lake(self._lake, self._state)

    def intake(
        self,
        paths: Sequence[Path],
        *,
        dataset: str | None = None,
        zone: str | None = None,
        strict: bool = False,
        party: str = "owner",
        progress: Progress | None = None,
    ) -> IntakeReport:
        """Bring files and folders in; one new version for each dataset that gains something.

        Args:
            paths: Files or folders.
            dataset: Name of the dataset they belong to; found out when None.
            zone: IANA zone of local times; the workspace's is assumed, and said to be assumed, when None.
            strict: Change nothing when anything is remarkable.
            party: Who brings them in.
            progress: Told what is being read and the share that is done.

        Raises:
            InputError: Nothing could be read; nothing was changed.
            CheckFailed: `strict`, and something was remarkable; nothing was changed.
        """
        from madang.library._intake import Intake
        from madang.library._mapping import decisions_of

        _known_zone(zone)
        with self._lock.held():
            with self._state.reading() as db:
                decided = decisions_of(db)
            run = Intake(
                self._lake,
                self._state,
                self._committer,
                self._files,
                now=self._now(),
                zone=zone or self.zone,
                zone_given=zone is not None,
                shift_start=self.shift_start,
                shift_zone=self.zone,
                propose=self._propose,
                decisions=decided,
                party=party,
                progress=progress,
            )
            report = run.run([Path(p) for p in paths], dataset=dataset, strict=strict)
            if report.id is not None:
                self._describe_lake()
        return report

    def read(
        self,
        dataset: str | VersionId,
        *,
        reader: str,
        purpose: str,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
        form: Form = "wide",
        units: Literal["unit", "source"] = "unit",
    ) -> ReadResult:
        """Read a version: the one way to its records.

        Args:
            dataset: ``name`` for the latest version, or ``name@number``.
            reader: Party that reads.
            purpose: What for, such as ``study``, ``export`` or ``show``.
            columns: Names of columns (of a long dataset: tags); all when None.
            where: Parts, rows or period; all when None.
            form: ``wide`` pivots a long dataset; ``stored`` gives it as kept; ``long`` gives one record per cell.
            units: Numbers in the standard unit of each column, or as the source wrote them.

        Raises:
            InputError: There is no such dataset, version or column.
            RefusedError: The decision point said no; the error names the clause.
        """
        return self._door.read(
            dataset, reader=reader, purpose=purpose, columns=columns, where=where or Where(), form=form, units=units
        )

    def decisions(self, first: int = 0) -> list[dict[str, Json]]:
        """Return the recorded answers of the decision point from an index on."""
        from madang.library._read import decision_log

        with self._state.reading() as db:
            return decision_log(db, first)


def _known_zone(zone: str | None) -> None:
    import zoneinfo

    if zone is None:
        return
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(
            "unknown_zone",
            ko=f"‘{zone}’은(는) 모르는 시간대예요.",
            en=f"“{zone}” is not a known time zone.",
            next_ko="예: --zone Asia/Seoul, --zone UTC",
            next_en="For example: --zone Asia/Seoul, --zone UTC",
            where={"zone": zone},
        ) from error
