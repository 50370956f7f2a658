"""From files to a new version: read each table aside, see where it belongs, then change everything at once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from madang.connect import Layout, ReadOptions, TableReader, TableSource, Tally, passed_over
from madang.errors import CheckFailed, InputError, MadangError
from madang.library._cards import ColumnCard, VersionId
from madang.library._catalogue import (
    Dataset,
    StoredPart,
    Version,
    all_datasets,
    all_versions,
    parts_of,
    union_columns,
    version_of,
)
from madang.library._commit import Change, Committed, Committer
from madang.library._instants import iso
from madang.library._lake import Lake
from madang.library._meaning import MappingDecision, Proposer, decided
from madang.library._profile import likeness
from madang.library._report import IntakeReport, TableReport
from madang.library._staging import Staged, TableFiles, changed_while_read, stage
from madang.library._state import State, dumps, parts, steps
from madang.plant import Bilingual, Finding

if TYPE_CHECKING:
    from sqlalchemy import Connection

ALIKE = 0.9
"""Share of common records from which two parts are called the same experiment under two names."""
_FEW = 20
"""Fewer distinct records than this say nothing about likeness."""
_SAME_RECORDS = 0.2
"""Share of common records from which two files of one name are the same thing, one corrected."""
_SAME_LAYOUT = 0.5
"""Share of common column names from which a later file of the same name belongs to the same dataset."""

Progress = Callable[["Bilingual | str", float], None]
"""Told what is being done and the share of the whole that is done (0 to 1)."""


@dataclass
class _Draft:
    """A dataset as it will be when this intake is committed."""

    name: str
    dataset: Dataset | None
    version: Version | None
    parts: list[StoredPart]
    order: list[int]
    staged: list[Staged] = field(default_factory=list)
    replaced: set[int] = field(default_factory=set)

    @property
    def known(self) -> list[_Known]:
        """Every part of the draft, stored or staged, in order."""
        stored = [_known_stored(p) for p in self.parts if p.card.index not in self.replaced]
        return stored + [_known_staged(s) for s in self.staged]


@dataclass(frozen=True)
class _Known:
    """What placing a new table needs to know of a part."""

    part: int
    source: str
    sha256: str
    layout: Layout
    stored: tuple[tuple[str, str], ...]
    empty: frozenset[str]
    cards: tuple[ColumnCard, ...]
    first: datetime | None
    last: datetime | None
    sketch: bytes
    place: str
    now: bool
    """Whether it came in with this very intake."""


def _known_stored(part: StoredPart) -> _Known:
    card = part.card
    return _Known(
        card.index,
        card.source,
        card.sha256,
        card.layout,
        part.stored,
        part.empty,
        part.columns,
        card.time_first,
        card.time_last,
        part.sketch,
        part.place,
        False,
    )


def _known_staged(staged: Staged) -> _Known:
    return _Known(
        staged.part,
        staged.source.source,
        staged.source.sha256,
        staged.layout,
        staged.stored,
        staged.empty,
        tuple(staged.cards),
        staged.time_first,
        staged.time_last,
        staged.profile.sketch,
        staged.place,
        True,
    )


class Intake:
    """One run of bringing files in."""

    def __init__(
        self,
        lake: Lake,
        state: State,
        committer: Committer,
        files: TableFiles,
        *,
        now: datetime,
        zone: str,
        zone_given: bool,
        shift_start: int,
        shift_zone: str,
        propose: Proposer,
        decisions: Sequence[MappingDecision],
        party: str,
        progress: Progress | None,
    ) -> None:
        self._lake = lake
        self._state = state
        self._committer = committer
        self._files = files
        self._now = now
        self._zone = zone
        self._zone_given = zone_given
        self._shift_start = shift_start
        self._shift_zone = shift_zone
        self._propose = propose
        self._decisions = decisions
        self._party = party
        self._progress = progress
        self._drafts: dict[str, _Draft] = {}
        self._placed: list[tuple[Staged | StoredPart, _Draft, TableSource | None]] = []
        """Each table with its dataset; the source is given where the library already had the table."""
        self._errors: list[MadangError] = []
        self._next_part = 1
        self._share = 0.0
        self._skipped: list[str] = []

    def run(self, paths: Sequence[Path], *, dataset: str | None, strict: bool) -> IntakeReport:
        """Bring the tables of some files and folders in."""
        self._load()
        with self._staging() as folder:
            inputs = inputs_of(paths)
            self._errors += inputs.errors
            self._skipped = inputs.skipped
            sizes = [path.stat().st_size for path, _ in inputs.files]
            for number, (path, shown) in enumerate(inputs.files):
                self._share = sum(sizes[:number]) / max(1, sum(sizes))
                self._file(path, shown, folder, dataset)
            if not self._placed:
                raise self._nothing()
            self._personal_order()
            if strict:
                self._check()
            return self._finish()

    def _load(self) -> None:
        from sqlalchemy import func, select

        with self._state.reading() as db:
            self._next_part = (db.execute(select(func.max(parts.c.part))).scalar() or 0) + 1
            for dataset in all_datasets(db):
                version = version_of(db, dataset, dataset.latest)
                order = list(version.parts) if version is not None else []
                self._drafts[dataset.name] = _Draft(dataset.name, dataset, version, list(parts_of(db, dataset, order)), order)

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        folder = self._lake.root / "staging" / f"{os.getpid()}-{id(self):x}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _file(self, path: Path, shown: str, folder: Path, forced: str | None) -> None:
        try:
            sources = self._files.find(path)
        except MadangError as error:
            self._errors.append(_located(error, shown))
            return
        for found in sources:
            source = replace(found, source=shown + found.source.removeprefix(path.name))
            try:
                self._table(source, folder, forced)
            except InputError as error:
                self._errors.append(_located(error, source.source))

    def _table(self, source: TableSource, folder: Path, forced: str | None) -> None:
        same = self._same_bytes(source, forced)
        if same is not None:
            self._placed.append((same[0], same[1], source))
            return
        options = ReadOptions(zone=self._zone, zone_given=self._zone_given)
        template = self._template(source, forced)
        home = None if template is None else template[0].dataset
        reader = self._open(source, options, None if template is None else template[1])
        kept = _Keeping(self._lake, source.path)
        number = self._next_part
        self._next_part += 1
        try:
            staged = stage(
                reader,
                options,
                number,
                folder / f"{number:08d}",
                propose=self._propose,
                decide=lambda card: decided(card, self._decisions, None if home is None else home.id),
                zone=self._shift_zone,
                shift_start=self._shift_start,
                progress=lambda rows: self._tell(source.source, rows),
            )
        finally:
            kept.wait()
        staged.object = kept.sha256(source)
        staged.source = source
        staged.place = place_of(source.path)
        self._place(staged, forced)

    def _in_told_zone(self, layout: Layout) -> Layout:
        """The layout with the zone a person has just told, unless its times say their own."""
        written = layout.time_format or ""
        silent = layout.zone_assumed or ("%" in written and "%z" not in written)
        if not (self._zone_given and silent) or layout.zone == self._zone:
            return layout
        return replace(layout, zone=self._zone, zone_assumed=False)

    def _open(self, source: TableSource, options: ReadOptions, template: Layout | None) -> TableReader:
        if template is None:
            return self._files.open(source, options, None)
        template = self._in_told_zone(template)
        try:
            return self._files.open(source, options, template)
        except InputError:
            # Read for what it is; where it differs from its kind is then said by `misfits`.
            return self._files.open(source, options, None)

    def _tell(self, source: str, rows: int) -> None:
        if self._progress is not None:
            text = Bilingual(f"{source} 읽는 중 ({rows:,}행)", f"Reading {source} ({rows:,} records)")
            self._progress(text, self._share)

    def _same_bytes(self, source: TableSource, forced: str | None) -> tuple[Staged | StoredPart, _Draft] | None:
        """The part that holds these very bytes read in this very way, if one is live."""
        for draft in self._drafts.values():
            if forced is not None and draft.name != forced and not draft.name.startswith(f"{forced}-"):
                continue
            for stored in draft.parts:
                live = stored.card.index not in draft.replaced
                same_table = (stored.member, stored.sheet) == (source.member, source.part)
                as_told = self._in_told_zone(stored.card.layout) == stored.card.layout
                if live and stored.card.sha256 == source.sha256 and same_table and as_told:
                    return stored, draft
            for staged in draft.staged:
                same_table = (staged.source.member, staged.source.part) == (source.member, source.part)
                if staged.source.sha256 == source.sha256 and same_table:
                    return staged, draft
        return None

    def _template(self, source: TableSource, forced: str | None) -> tuple[_Draft, Layout] | None:
        """The way an earlier table of this kind was read."""
        if forced is not None:
            draft = self._drafts.get(forced)
            return None if draft is None or not draft.known else (draft, draft.known[-1].layout)
        for same in (lambda a, b: a == b, lambda a, b: kind_of_name(a) == kind_of_name(b)):
            for draft in self._drafts.values():
                for known in reversed(draft.known):
                    if same(known.source, source.source):
                        return draft, known.layout
        return None

    def _place(self, staged: Staged, forced: str | None) -> None:
        """Decide to which dataset a table belongs, what it supersedes, and what does not fit."""
        draft, supersedes = self._home(staged, forced)
        staged.findings.extend(self._repeats(staged, supersedes))
        if draft is None:
            name = self._free_name(forced or dataset_name(staged.source))
            draft = self._drafts.setdefault(name, _Draft(name, None, None, [], []))
        else:
            staged.findings.extend(misfits(draft.name, draft.known, staged))
        for part in supersedes:
            draft.replaced.add(part)
        if supersedes:
            at = min(draft.order.index(p) for p in supersedes)
            draft.order = [p for p in draft.order if p not in supersedes]
            draft.order.insert(at, staged.part)
        else:
            draft.order.append(staged.part)
        draft.staged.append(staged)
        self._placed.append((staged, draft, None))

    def _home(self, staged: Staged, forced: str | None) -> tuple[_Draft | None, list[int]]:
        if forced is not None:
            draft = self._drafts.get(forced)
            if draft is None:
                return None, []
            mine = _names(staged.stored)
            foreign = any(common_share(_names(other.stored), mine) < _SAME_LAYOUT for other in draft.staged)
            if _joinable(draft.known, staged) and not foreign:
                return draft, self._superseded(draft, staged)
            return None, []
        for draft in self._drafts.values():
            superseded = self._superseded(draft, staged)
            if superseded and self._alike_layout(draft, staged):
                return draft, superseded
        kind = kind_of_name(staged.source.source)
        for draft in self._drafts.values():
            kin = [k for k in draft.known if kind_of_name(k.source) == kind]
            if kin and self._alike_layout(draft, staged) and not any(_overlaps(k, staged) for k in draft.known):
                return draft, []
        return None, []

    def _alike_layout(self, draft: _Draft, staged: Staged) -> bool:
        if not _joinable(draft.known, staged):
            return False
        newest = draft.known[-1] if draft.known else None
        if newest is None or newest.layout.layout != staged.layout.layout:
            return False
        return common_share(_names(newest.stored), _names(staged.stored)) >= _SAME_LAYOUT

    def _superseded(self, draft: _Draft, staged: Staged) -> list[int]:
        """Stored parts that this table corrects.

        A correction has the name of the part, covers its time, and comes from the same place or shares records with it. The next
        period under the same name, or a file of that name from elsewhere, corrects nothing.
        """
        return [
            k.part
            for k in draft.known
            if not k.now
            and k.source == staged.source.source
            and (k.sha256 == staged.source.sha256 or (_same_period(k, staged) and self._same_thing(k, staged)))
        ]

    def _same_thing(self, known: _Known, staged: Staged) -> bool:
        return known.place == staged.place or likeness(known.sketch, staged.profile.sketch) >= _SAME_RECORDS

    def _repeats(self, staged: Staged, supersedes: Sequence[int]) -> list[Finding]:
        """Parts with the same records under another name."""
        if len(staged.profile.sketch) // 8 < _FEW:
            return []
        found = []
        for draft in self._drafts.values():
            for known in draft.known:
                if known.part in supersedes:
                    continue
                share = likeness(known.sketch, staged.profile.sketch)
                if share >= ALIKE:
                    found.append(_repeated_experiment(known.source, draft.name, staged.tally.kept, share))
        return found[:5]

    def _free_name(self, name: str) -> str:
        number, wanted = 2, name
        taken = {unicodedata.normalize("NFC", d.name).casefold() for d in self._drafts.values() if d.known}
        while wanted.casefold() in taken:
            wanted = f"{name}-{number}"
            number += 1
        return wanted

    def _personal_order(self) -> None:
        """Personal data is said before anything else."""
        for placed, _, again in self._placed:
            if again is None and isinstance(placed, Staged):
                placed.findings.sort(key=lambda f: f.code != "personal_data")

    def _check(self) -> None:
        """Refuse everything when something is remarkable (``--strict``)."""
        said = [
            (staged.source.source, f)
            for staged, _, again in self._placed
            if again is None and isinstance(staged, Staged)
            for f in staged.findings
            if f.severity != "info"
        ]
        if not said and not self._errors:
            return
        codes = sorted({f.code for _, f in said} | {e.code for e in self._errors})
        first = said[0][1].message if said else Bilingual(self._errors[0].ko, self._errors[0].en)
        raise CheckFailed(
            "strict",
            ko=f"--strict: 지나칠 수 없는 점이 {len(said) + len(self._errors)}가지 있어서 아무것도 바꾸지 않았어요. 첫째: {first.ko}",
            en=f"--strict: {len(said) + len(self._errors)} remarkable thing(s), so nothing was changed. The first: {first.en}",
            next_ko="파일을 고치거나 --strict 없이 들여오세요.",
            next_en="Correct the files, or bring them in without --strict.",
            where={
                "codes": list(codes),
                "findings": [
                    {"source": s, "code": f.code, "column": f.column, "rows": f.rows, "examples": list(f.examples)}
                    for s, f in said[:100]
                ],
            },
        )

    def _nothing(self) -> MadangError:
        if len(self._errors) == 1:
            return self._errors[0]
        codes = [f"{e.where.get('source', '')}: {e.code}" for e in self._errors]
        first = self._errors[0] if self._errors else None
        return InputError(
            "nothing_readable",
            ko=f"읽을 수 있는 파일이 하나도 없어요 (모두 {len(self._errors)}개). 첫째: {first.ko if first else ''}",
            en=f"None of the {len(self._errors)} files could be read. The first: {first.en if first else ''}",
            next_ko="내보낸 표 파일이 들어 있는 경로인지 확인하세요.",
            next_en="Check that the path holds exported tables.",
            where={"errors": list(codes[:100])},
        )

    def _finish(self) -> IntakeReport:
        changes = [Change(d.name, d.dataset, d.order, d.staged) for d in self._drafts.values() if d.staged]
        done: dict[str, Committed] = {}
        intake_id: list[str] = []
        if changes:

            def finish(db: Connection, committed: list[Committed]) -> None:
                intake_id.append(self._record_steps(db, changes, committed))

            committed = self._committer.commit(changes, party=self._party, now=self._now, finish=finish)
            done = {c.version.dataset: c for c in committed}
        tables = tuple(self._report(*placed, done) for placed in self._placed)
        return IntakeReport(tables, tuple(self._errors), intake_id[0] if intake_id else None, tuple(self._skipped))

    def _record_steps(self, db: Connection, changes: Sequence[Change], committed: Sequence[Committed]) -> str:
        """Record what can be undone, and give the findings their ids."""
        detail = {
            c.version.dataset: {
                "version": c.version.number,
                "added": [s.part for s in change.add],
                "before": list(draft.version.parts) if draft.version is not None else [],
            }
            for change, c in zip(changes, committed, strict=True)
            for draft in [self._drafts[change.name]]
        }
        whole = db.execute(
            steps.insert().values(
                kind="intake", dataset=None, subject="intake", party=self._party, time=iso(self._now), detail=dumps(detail)
            )
        ).inserted_primary_key
        for change, c in zip(changes, committed, strict=True):
            for staged in change.add:
                ids = record_reading_steps(db, c.dataset.id, staged, self._party, self._now)
                staged.findings = [replace(f, undo=ids.get(f.undo)) if f.undo else f for f in staged.findings]
                write_findings(db, c.dataset.id, staged)
        return f"u{whole[0] if whole else 0}"

    def _report(
        self, placed: Staged | StoredPart, draft: _Draft, again: TableSource | None, done: dict[str, Committed]
    ) -> TableReport:
        version = done[draft.name].version.number if draft.name in done else (draft.dataset.latest if draft.dataset else 0)
        if isinstance(placed, Staged):
            known = _known_staged(placed)
            tally, findings = placed.tally, tuple(placed.findings)
        else:
            known = _known_stored(placed)
            tally, findings = placed.card.tally, ()
        source = known.source
        if again is not None:
            source = again.source
            findings = tuple(_repeated_file(source, known.source, draft.name, tally.read))
            tally = Tally(tally.read, 0, 0, tally.read)
        return TableReport(
            source=source,
            dataset=draft.name,
            version=version,
            part=known.part,
            sha256=known.sha256,
            layout=known.layout,
            tally=tally,
            time_first=known.first,
            time_last=known.last,
            columns=known.cards,
            findings=findings,
            added=again is None,
        )


def record_reading_steps(db: Connection, dataset: int, staged: Staged, party: str, now: datetime) -> dict[str, str]:
    """Record a part's reading steps; return the undo id of each step by the step's own id."""
    from sqlalchemy import select

    ids: dict[str, str] = {}
    origin = staged.origin or staged.part
    for step in staged.layout.steps:
        if not step.reversible:
            continue
        known = db.execute(
            select(steps.c.id).where(steps.c.dataset == dataset, steps.c.origin == origin, steps.c.subject == step.id)
        ).scalar()
        if known is not None:
            ids[step.id] = f"u{known}"
            continue
        key = db.execute(
            steps.insert().values(
                kind="reading",
                dataset=dataset,
                subject=step.id,
                party=party,
                time=iso(now),
                origin=origin,
                detail=dumps({"origin": origin, "ko": step.reason.ko, "en": step.reason.en}),
            )
        ).inserted_primary_key
        ids[step.id] = f"u{key[0] if key else 0}"
    return ids


def write_findings(db: Connection, dataset: int, staged: Staged) -> None:
    """Keep a part's findings with the undo ids they have now."""
    from madang.library._catalogue import finding_to_json

    where = (parts.c.dataset == dataset) & (parts.c.part == staged.part)
    db.execute(parts.update().where(where).values(findings=dumps([finding_to_json(f) for f in staged.findings])))


class _Keeping:
    """Keeps the original in a second thread while it is read."""

    def __init__(self, lake: Lake, path: Path) -> None:
        self._lake = lake
        self._path = path
        self._before = _stamp(path)
        self._found: str | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._keep, name="madang-intake-original", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        try:
            self._found = self._lake.keep_file(self._path)
        except BaseException as error:  # handed to the reading thread
            self._error = error

    def wait(self) -> None:
        self._thread.join()

    def sha256(self, source: TableSource) -> str:
        """Hash of the kept file; the file must not have changed since it was found."""
        if self._error is not None:
            raise self._error
        whole = source.member is None
        if self._found is None or _stamp(self._path) != self._before or (whole and self._found != source.sha256):
            raise changed_while_read(source)
        return self._found


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


_DOCUMENTS = frozenset(
    [
        ".md",
        ".rst",
        ".htm",
        ".html",
        ".pdf",
        ".doc",
        ".docx",
        ".odt",
        ".ppt",
        ".pptx",
        ".hwp",
        ".hwpx",
        ".tex",
        ".py",
        ".ipynb",
        ".m",
        ".r",
        ".js",
        ".css",
        ".sh",
        ".bat",
        ".exe",
        ".dll",
        ".so",
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".svg",
        ".webp",
        ".ico",
        ".toml",
        ".yaml",
        ".yml",
        ".ini",
        ".cfg",
        ".lock",
    ]
)
"""Endings of files in a folder that are no tables; named outright, such a file is tried all the same."""


@dataclass
class Inputs:
    """The files of an intake's paths."""

    files: list[tuple[Path, str]] = field(default_factory=list)
    """Each with the name that reports show."""
    skipped: list[str] = field(default_factory=list)
    errors: list[MadangError] = field(default_factory=list)


def inputs_of(paths: Sequence[Path]) -> Inputs:
    """Return the files of some paths in a fixed order, and what was passed over or is not there."""
    found = Inputs()
    for path in paths:
        if path.is_dir():
            workspaces = _workspaces(path)
            found.skipped += [w.relative_to(path).as_posix() + "/" for w in workspaces if w != path]
            files = sorted(
                p
                for p in path.rglob("*")
                if p.is_file() and not _hidden(p.relative_to(path)) and not any(w in p.parents for w in workspaces)
            )
            if not files:
                found.errors.append(
                    _no_file("empty_folder", path, "폴더에 읽을 파일이 없어요.", "The folder holds no file to read.")
                )
            for file in files:
                shown = unicodedata.normalize("NFC", file.relative_to(path).as_posix())
                if file.suffix.lower() in _DOCUMENTS or passed_over(file) is not None:
                    found.skipped.append(shown)
                else:
                    found.files.append((file, shown))
        elif path.is_file():
            found.files.append((path, unicodedata.normalize("NFC", path.name)))
        else:
            found.errors.append(
                _no_file("no_such_path", path, "그런 파일이나 폴더가 없어요.", "There is no such file or folder.")
            )
    return found


def _workspaces(folder: Path) -> list[Path]:
    """Workspaces of Madang in a folder: their catalogue and their copies are no exports of a plant."""
    with_file = {p.parent for p in folder.rglob("state.sqlite") if (p.parent / "lake").is_dir()}
    return sorted(with_file | {p.parent.parent for p in folder.rglob("lake/.catalogue")})


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "~$")) for part in path.parts)


def _no_file(code: str, path: Path, ko: str, en: str) -> InputError:
    return InputError(
        code,
        ko=f"‘{path}’: {ko}",
        en=f"“{path}”: {en}",
        next_ko="경로를 확인하세요.",
        next_en="Check the path.",
        where={"source": str(path)},
    )


def _located(error: MadangError, source: str) -> MadangError:
    error.where.setdefault("source", source)
    return error


_LONGEST_NAME = 120
_DATES_AND_NUMBERS = re.compile(r"\d+([-_. ]?\d+)*")
_UNSAFE = re.compile(r"[\x00-\x1f/\\:*?\"<>|#@,'!]+")


def kind_of_name(source: str) -> str:
    """The name of a source without its dates and numbers: exports of one kind share it.

    A folder keeps its numbers (``valve1``, ``valve2``) unless it is a date or number altogether (``2026-01``).
    """
    *folders, name = unicodedata.normalize("NFC", source).casefold().split("/")
    kept = [f if re.search(r"[^\W\d_]", f) else "0" for f in folders]
    return "/".join([*kept, _DATES_AND_NUMBERS.sub("0", name)])


def place_of(path: Path) -> str:
    """Where a file came from, as a hash: the path itself is nobody's business later."""
    return hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]


def checked_name(name: str) -> str:
    """Return a dataset name as given, trimmed.

    Raises:
        InputError: It is empty, too long, or has a sign that a name cannot bear (``@`` comes before a version).
    """
    plain = unicodedata.normalize("NFC", name).strip()
    if not plain.strip(" .") or len(plain) > _LONGEST_NAME or _UNSAFE.search(plain):
        raise InputError(
            "bad_dataset_name",
            ko=f"‘{name[:40]}’은(는) 데이터셋 이름이 될 수 없어요. {_LONGEST_NAME}자까지, / \\ : * ? \" < > | # @ , ' ! 없이 써 주세요.",
            en=f"“{name[:40]}” cannot name a dataset: at most {_LONGEST_NAME} characters, without / \\ : * ? \" < > | # @ , ' !",
            next_ko="예: --dataset 소성로-온도",
            next_en="For example: --dataset kiln-temperature",
            where={"dataset": name[:_LONGEST_NAME]},
        )
    return plain


def _has_letters(text: str) -> bool:
    return re.search(r"[^\W\d_]", text) is not None


def dataset_name(source: TableSource) -> str:
    """Name of a new dataset from its file, member or sheet; Korean stays."""
    place, _, inner = source.source.partition("#")
    path = Path(place)
    stem = path.name
    while Path(stem).suffix and len(Path(stem).suffix) <= 8 and not Path(stem).suffix[1:].isdecimal():
        stem = Path(stem).stem
    if not _has_letters(stem):
        # ``valve1/0.csv`` or, brought in alone, ``0.csv``: the number says nothing without its folder.
        if path.parent.name:
            stem = path.parent.name
        elif _has_letters(source.path.absolute().parent.name) and Path(source.path.name).stem == stem:
            stem = f"{source.path.absolute().parent.name}-{stem}"
    if inner:
        stem = f"{stem}-{Path(inner).stem if source.part is None else inner}"
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", stem)).strip(" ._")
    return name[:_LONGEST_NAME].rstrip() or "dataset"


def common_share(first: set[str], second: set[str]) -> float:
    """Share of common names among all names."""
    return len(first & second) / max(1, len(first | second))


def _names(stored: Sequence[tuple[str, str]]) -> set[str]:
    return {name for name, _ in stored}


def _joinable(known: Sequence[_Known], staged: Staged) -> bool:
    together = [(k.stored, k.empty) for k in known] + [(staged.stored, staged.empty)]
    return not union_columns(together)[1]


def _overlaps(known: _Known, staged: Staged) -> bool:
    """Whether two tables cover the same time: then they are two things, not one that goes on."""
    share = _shared_time(known, staged)
    return share is not None and share > 0.5


def _same_period(known: _Known, staged: Staged) -> bool:
    share = _shared_time(known, staged)
    return share is None or share > 0.0


def _shared_time(known: _Known, staged: Staged) -> float | None:
    """Common time as a share of the shorter span; None when one has no time."""
    if known.first is None or known.last is None or staged.time_first is None or staged.time_last is None:
        return None
    common = (min(known.last, staged.time_last) - max(known.first, staged.time_first)).total_seconds()
    if common < 0:
        return 0.0
    spans = (known.last - known.first, staged.time_last - staged.time_first)
    shorter = min(s.total_seconds() for s in spans)
    return 1.0 if shorter == 0 else common / shorter


def misfits(dataset: str, known: Sequence[_Known], staged: Staged) -> list[Finding]:
    """Where a table does not fit what its dataset looked like so far."""
    if not known:
        return []
    newest = known[-1]
    before = {c.name: c for c in newest.cards} if newest.layout.long is None else {}
    now = {c.name: c for c in staged.cards} if staged.layout.long is None else {}
    found = []
    gone = [n for n in before if n not in now]
    new = [n for n in now if n not in before]
    if gone or new:
        pairs = list(zip(gone, new, strict=False)) if len(gone) == len(new) else []
        said = ", ".join(f"{a} → {b}" for a, b in pairs[:5]) or ", ".join((gone + new)[:8])
        found.append(
            Finding(
                code="renamed_column",
                severity="warning",
                rows=staged.tally.kept,
                message=Bilingual(
                    f"‘{dataset}’의 앞선 파일과 열 이름이 달라요: {said}.",
                    f"The column names differ from the earlier file of “{dataset}”: {said}.",
                ),
                facts={"gone": list(gone), "new": list(new), "earlier_source": newest.source},
            )
        )
    types = dict(newest.stored)
    for name, kind in staged.stored:
        if name in types and types[name] != kind and name not in staged.empty | newest.empty:
            found.append(
                Finding(
                    code="type_change",
                    severity="info" if {types[name], kind} == {"integer", "number"} else "warning",
                    rows=staged.tally.kept,
                    column=name,
                    message=Bilingual(
                        f"‘{name}’ 열이 앞선 파일에서는 {types[name]}, 이 파일에서는 {kind} 종류예요.",
                        f"Column “{name}” was {types[name]} in the earlier file and is {kind} in this one.",
                    ),
                    facts={"before": types[name], "now": kind, "earlier_source": newest.source},
                )
            )
    for name, card in now.items():
        old = before.get(name)
        if old is not None and old.unit_source != card.unit_source and (old.unit_source or card.unit_source):
            found.append(
                Finding(
                    code="unit_change",
                    severity="warning",
                    rows=staged.tally.kept,
                    column=name,
                    message=Bilingual(
                        f"‘{name}’ 열의 단위가 ‘{old.unit_source or '없음'}’에서 ‘{card.unit_source or '없음'}’(으)로 바뀌었어요.",
                        f"The unit of “{name}” changed from “{old.unit_source or 'none'}” to “{card.unit_source or 'none'}”.",
                    ),
                    facts={"before": old.unit_source, "now": card.unit_source, "earlier_source": newest.source},
                )
            )
    return found


def _repeated_file(source: str, known_as: str, dataset: str, rows: int) -> Iterator[Finding]:
    yield Finding(
        code="repeated_file",
        severity="info",
        rows=rows,
        message=Bilingual(
            f"같은 파일이 이미 ‘{dataset}’에 있어요 ({known_as}). 더한 것은 없어요.",
            f"The same file is already in “{dataset}” ({known_as}). Nothing was added.",
        ),
        facts={"dataset": dataset, "known_as": known_as},
    )
    if Path(source).name != Path(known_as).name:
        yield Finding(
            code="repeated_experiment",
            severity="warning",
            rows=rows,
            message=Bilingual(
                f"‘{source}’는 ‘{known_as}’와 바이트까지 같아요. 이름만 다른 같은 기록이라 한 번만 두었어요.",
                f"“{source}” equals “{known_as}” to the byte: the same records under two names, kept once.",
            ),
            facts={"other": known_as, "dataset": dataset, "share": 1.0},
        )


def _repeated_experiment(other: str, dataset: str, rows: int, share: float) -> Finding:
    return Finding(
        code="repeated_experiment",
        severity="warning",
        rows=rows,
        message=Bilingual(
            f"이름은 다르지만 ‘{other}’와 거의 같은 기록이에요. 둘 다 두었으니 어느 쪽을 쓸지 정해 주세요.",
            f"The records are nearly those of “{other}” under another name. Both were kept; please say which one counts.",
        ),
        facts={"other": other, "dataset": dataset, "share": round(share, 3)},
    )


def version_ids(db: Connection, dataset: Dataset) -> list[VersionId]:
    """Every version's id, oldest first."""
    return [v.id for v in all_versions(db, dataset)]
