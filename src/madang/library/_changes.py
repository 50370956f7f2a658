"""Changing one's mind: undo and redo, replay of quarantined records, decisions about columns, compaction."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madang.errors import InputError, Json
from madang.library._cards import ColumnCard
from madang.library._catalogue import (
    Dataset,
    StoredPart,
    Version,
    all_datasets,
    card_to_json,
    merge_cards,
    parts_of,
    resolve,
    version_of,
)
from madang.library._commit import Change, Committed, Committer
from madang.library._instants import iso
from madang.library._intake import record_reading_steps, write_findings
from madang.library._lake import Lake
from madang.library._mapping import decisions_of
from madang.library._meaning import Proposer, decided, scaling
from madang.library._reread import reread
from madang.library._staging import Staged, TableFiles
from madang.library._state import State, datasets, dumps, loads, mappings, parts, steps, versions
from madang.plant import Kind, Role, known_units, unit_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row


class Changes:
    """Changes of what the library holds that do not come from new files; each makes a new version."""

    def __init__(
        self,
        lake: Lake,
        state: State,
        committer: Committer,
        files: TableFiles,
        propose: Proposer,
        *,
        now: datetime,
        zone: str,
        shift_start: int,
    ) -> None:
        self._lake = lake
        self._state = state
        self._committer = committer
        self._files = files
        self._propose = propose
        self._now = now
        self._zone = zone
        self._shift_start = shift_start

    def undo(self, step: str, party: str, *, back: bool = False) -> list[Committed]:
        """Take a step back (or, with `back`, make it again)."""
        row = self._step(step)
        if (row.undone is None) == back:
            raise _not_so(step, back)
        if row.kind == "reading":
            done = self._undo_reading(row, party, back)
        elif row.kind == "intake":
            done = self._undo_intake(row, party, back)
        else:
            done = self._undo_mapping(row, party, back)
        return done

    def _step(self, step: str) -> Row[Any]:
        from sqlalchemy import select

        number = int(step[1:]) if step[:1] == "u" and step[1:].isdecimal() else -1
        with self._state.reading() as db:
            row = db.execute(select(steps).where(steps.c.id == number)).first()
        if row is None:
            raise InputError(
                "no_such_step",
                ko=f"‘{step}’이라는 되돌릴 단계가 없어요.",
                en=f"There is no step “{step}” to undo.",
                next_ko="들여오기 보고의 undo 값(예: u3)을 주세요.",
                next_en="Give the undo id of an intake report, such as u3.",
                where={"step": step},
            )
        return row

    def _mark(self, row: Row[Any], back: bool) -> Callable[[Connection], None]:
        def mark(db: Connection) -> None:
            db.execute(steps.update().where(steps.c.id == row.id).values(undone=None if back else iso(self._now)))

        return mark

    def _undo_reading(self, row: Row[Any], party: str, back: bool) -> list[Committed]:
        with self._state.reading() as db:
            dataset, version = _latest(db, row.dataset)
            part = next((p for p in parts_of(db, dataset, version.parts) if p.origin == row.origin), None)
        if part is None:
            raise InputError(
                "step_of_an_older_part",
                ko="이 단계가 딸린 파일은 가장 새로운 판에 없어요. 고친 파일이 대신했을 수 있어요.",
                en="The file that this step belongs to is not in the newest version; a corrected file may have taken its place.",
                next_ko="가장 새로운 들여오기 보고의 undo 값을 쓰세요.",
                next_en="Use the undo ids of the newest intake report.",
                where={"step": f"u{row.id}", "dataset": dataset.name},
            )
        disabled = part.disabled - {row.subject} if back else part.disabled | {row.subject}
        reason = f"{'redo' if back else 'undo'} u{row.id}"
        return self._read_again(dataset, version, {part.card.index: disabled}, reason, party, self._mark(row, back))

    def _undo_intake(self, row: Row[Any], party: str, back: bool) -> list[Committed]:
        detail: dict[str, Any] = loads(row.detail)
        changes = []
        with self._state.reading() as db:
            for name, what in detail.items():
                found = resolve(db, name)
                dataset, version = found
                now = parts_of(db, dataset, version.parts)
                added = set(what["added"])
                made = version_of(db, dataset, what["version"])
                superseded = [p for p in what["before"] if made is None or p not in made.parts]
                if back:
                    _not_there_twice(row, dataset, now, parts_of(db, dataset, what["added"]))
                    order = [p.card.index for p in now if p.card.index not in superseded] + what["added"]
                else:
                    kept = [p.card.index for p in now if p.origin not in added]
                    order = [p for p in what["before"] if p in superseded or p in kept]
                    order += [p for p in kept if p not in order]
                changes.append(
                    Change(name, dataset, order, reason=f"{'redo' if back else 'undo'} u{row.id}", parents=(str(version.id),))
                )
        mark = self._mark(row, back)
        return self._committer.commit(changes, party=party, now=self._now, finish=lambda db, _: mark(db))

    def _undo_mapping(self, row: Row[Any], party: str, back: bool) -> list[Committed]:
        detail = loads(row.detail)
        with self._state.begin() as db:
            db.execute(mappings.update().where(mappings.c.id == detail["mapping"]).values(withdrawn=not back))
            # The answer that this one replaced holds again.
            former = mappings.c.id.in_(detail.get("replaced", []))
            db.execute(mappings.update().where(former).values(withdrawn=back))
            self._mark(row, back)(db)
        with self._state.reading() as db:
            dataset, version = _latest(db, row.dataset)
        return self._meaning_again(dataset, version, f"{'redo' if back else 'undo'} u{row.id}", party)

    def replay(self, name: str, party: str) -> list[Committed]:
        """Read every part with quarantined records again, by today's rules and the newest template."""
        with self._state.reading() as db:
            dataset, version = resolve(db, name)
            again = {p.card.index: p.disabled for p in parts_of(db, dataset, version.parts) if p.card.tally.quarantined}
        if not again:
            return [Committed(dataset, version.id)]
        return self._read_again(dataset, version, again, "replay", party, None)

    def decide(
        self,
        name: str,
        column: str,
        answer: str,
        party: str,
        *,
        role: str | None,
        kind: str | None,
        unit: str | None,
        point: str | None,
    ) -> list[Committed]:
        """Record what a person said about a column; later files with that column name are read so."""
        from sqlalchemy import select

        new_role = None if role is None else _word(Role, role, "role")
        new_kind = None if kind is None else Kind(_word(Kind, kind, "kind"))
        if unit is not None:
            unit = unit_of(unit).code
        with self._state.reading() as db:
            dataset, version = resolve(db, name)
        card = next((c for c in version.columns if column in (c.name, c.source_name)), None)
        if card is None:
            raise InputError(
                "no_such_column",
                ko=f"‘{dataset.name}’에 ‘{column}’ 열이 없어요.",
                en=f"“{dataset.name}” has no column “{column}”.",
                next_ko=f"madang library card {dataset.name} 로 열 이름을 확인하세요.",
                next_en=f"See the names with: madang library card {dataset.name}",
                where={"dataset": dataset.name, "asked": column, "known": [c.name for c in version.columns[:200]]},
            )
        if answer == "accept" and (new_kind or unit):
            _fitting(card, new_kind or card.kind, unit or card.unit)
        with self._state.begin() as db:
            mine = (mappings.c.dataset == dataset.id) & (mappings.c.source_name == card.source_name) & ~mappings.c.withdrawn
            replaced = [r.id for r in db.execute(select(mappings.c.id).where(mine))]
            db.execute(mappings.update().where(mine).values(withdrawn=True))
            accepted = answer == "accept"
            key = db.execute(
                mappings.insert().values(
                    dataset=dataset.id,
                    source_name=card.source_name,
                    unit_source=card.unit_source,
                    answer=answer,
                    role=str(new_role or card.role) if accepted else None,
                    kind=str(new_kind or card.kind) if accepted else None,
                    unit=(unit or card.unit) if accepted else None,
                    point=(point or card.point) if accepted else None,
                    party=party,
                    time=iso(self._now),
                    withdrawn=False,
                )
            ).inserted_primary_key
            db.execute(
                steps.insert().values(
                    kind="mapping",
                    dataset=dataset.id,
                    subject=card.source_name,
                    party=party,
                    time=iso(self._now),
                    detail=dumps({"mapping": key[0] if key else 0, "answer": answer, "replaced": replaced}),
                )
            )
        return self._meaning_again(dataset, version, f"{answer} {card.name}", party)

    def _meaning_again(self, dataset: Dataset, version: Version, reason: str, party: str) -> list[Committed]:
        """Bring a dataset's cards up to the decisions that hold now; a confirmation alone makes no new version."""
        with self._state.reading() as db:
            chosen = decisions_of(db)
            stored = parts_of(db, dataset, version.parts)
        rescaled: dict[int, frozenset[str]] = {}
        fresh: list[tuple[ColumnCard, ...]] = []
        for part in stored:
            cards = tuple(decided(self._proposal(c), chosen, dataset.id) for c in part.columns)
            if any(scaling(a) != scaling(b) for a, b in zip(cards, part.columns, strict=True)):
                rescaled[part.card.index] = part.disabled
            fresh.append(tuple(_kept_counts(a, b) for a, b in zip(cards, part.columns, strict=True)))
        if rescaled:
            return self._read_again(dataset, version, rescaled, reason, party, None)
        cards = merge_cards(fresh)

        def keep(db: Connection, _: Sequence[Committed] = ()) -> None:
            for part, own in zip(stored, fresh, strict=True):
                where = (parts.c.dataset == dataset.id) & (parts.c.part == part.card.index)
                db.execute(parts.update().where(where).values(columns=dumps([card_to_json(c) for c in own])))

        if [_said(c) for c in cards] == [_said(c) for c in version.columns]:
            with self._state.begin() as db:
                keep(db)
                where = (versions.c.dataset == dataset.id) & (versions.c.number == version.id.number)
                db.execute(versions.update().where(where).values(columns=dumps([card_to_json(c) for c in cards])))
            return [Committed(dataset, version.id)]
        change = Change(dataset.name, dataset, list(version.parts), reason=reason, cards=cards, parents=(str(version.id),))
        return self._committer.commit([change], party=party, now=self._now, finish=keep)

    def _proposal(self, card: ColumnCard) -> ColumnCard:
        """The standardiser's own proposal for a column that was decided before, so that a decision can be withdrawn."""
        if card.proposal is None:
            return card
        return replace(card, **_proposed(card.proposal))

    def _read_again(
        self,
        dataset: Dataset,
        version: Version,
        again: dict[int, frozenset[str]],
        reason: str,
        party: str,
        mark: Callable[[Connection], None] | None,
    ) -> list[Committed]:
        with self._state.reading() as db:
            stored = parts_of(db, dataset, version.parts)
            chosen = decisions_of(db)
            number = _next_part(db)
        with self._staging() as folder:
            order: list[int] = []
            staged: list[Staged] = []
            for part in stored:
                index = part.card.index
                if index not in again:
                    order.append(index)
                    continue
                new = reread(
                    self._lake,
                    self._files,
                    part,
                    number + len(staged),
                    folder,
                    disabled=again[index],
                    template=_template(stored, part),
                    propose=self._propose,
                    decide=lambda card: decided(card, chosen, dataset.id),
                    zone=self._zone,
                    shift_start=self._shift_start,
                )
                staged.append(new)
                order.append(new.part)

            def finish(db: Connection, _: Sequence[Committed]) -> None:
                for new in staged:
                    ids = record_reading_steps(db, dataset.id, new, party, self._now)
                    new.findings = [replace(f, undo=ids.get(f.undo)) if f.undo else f for f in new.findings]
                    write_findings(db, dataset.id, new)
                if mark is not None:
                    mark(db)

            change = Change(dataset.name, dataset, order, staged, reason=reason, parents=(str(version.id),))
            return self._committer.commit([change], party=party, now=self._now, finish=finish)

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        folder = self._lake.root / "staging" / f"again-{id(self):x}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _template(stored: Sequence[StoredPart], part: StoredPart) -> Any:  # noqa: ANN401 (a Layout or None)
    """The newest other reading of the same kind; a part alone is found out afresh."""
    others = [p for p in stored if p.card.index != part.card.index]
    return others[-1].card.layout if others else None


def _next_part(db: Connection) -> int:
    from sqlalchemy import func, select

    return (db.execute(select(func.max(parts.c.part))).scalar() or 0) + 1


def _latest(db: Connection, dataset_id: int) -> tuple[Dataset, Version]:
    dataset = next(d for d in all_datasets(db) if d.id == dataset_id)
    version = version_of(db, dataset, dataset.latest)
    if version is None:
        raise LookupError(f"{dataset.name} has no version {dataset.latest}")
    return dataset, version


def _said(card: ColumnCard) -> tuple[object, ...]:
    return card.name, card.role, card.kind, card.unit, card.point


def _kept_counts(card: ColumnCard, counted: ColumnCard) -> ColumnCard:
    return replace(card, missing=counted.missing, bad=counted.bad, stuck=counted.stuck, stats=counted.stats)


def _proposed(document: dict[str, Json]) -> dict[str, Any]:
    from madang.plant import Bilingual

    reason = document["unit_reason"]
    if not isinstance(reason, dict):
        raise TypeError("a proposal's reason is a text in two languages")
    return {
        **document,
        "role": Role(str(document["role"])),
        "kind": Kind(str(document["kind"])),
        "unit_reason": Bilingual(str(reason["ko"]), str(reason["en"])),
    }


def _fitting(card: ColumnCard, kind: Kind, unit: str | None) -> None:
    """Refuse a unit that does not measure the kind of quantity, or that the written numbers cannot be turned into."""
    if unit is None:
        return
    measured = {u.dimension for u in known_units() if kind in u.kinds}
    found = unit_of(unit)
    if kind != Kind.UNKNOWN and measured and found.dimension not in measured and found.kinds != (Kind.UNKNOWN,) and unit != "1":
        raise InputError(
            "unit_of_another_kind",
            ko=f"단위 {unit}은(는) {kind}의 단위가 아니에요.",
            en=f"The unit {unit} does not measure {kind}.",
            next_ko=f"이 단위가 재는 것: {', '.join(found.kinds)}. kind 나 unit 을 바꾸세요.",
            next_en=f"It measures {', '.join(found.kinds)}. Change the kind or the unit.",
            where={"column": card.name, "kind": str(kind), "unit": unit},
        )
    # Raises when the source's own unit says that the numbers are of another kind.
    scaling(replace(card, kind=kind, unit=unit))


def _word(words: type[Role] | type[Kind], text: str, what: str) -> Role | Kind:
    try:
        return words(text)
    except ValueError as error:
        raise InputError(
            f"unknown_{what}",
            ko=f"‘{text}’은(는) 쓸 수 있는 말이 아니에요 ({what}).",
            en=f"“{text}” is not a known {what}.",
            next_ko="다음 가운데 하나를 쓰세요: " + ", ".join(words),
            next_en="Use one of: " + ", ".join(words),
            where={what: text},
        ) from error


def _not_there_twice(row: Row[Any], dataset: Dataset, now: Sequence[StoredPart], back: Sequence[StoredPart]) -> None:
    """Refuse to bring parts back whose file was brought in again meanwhile: its records would count twice."""
    there = {(p.card.sha256, p.member, p.sheet) for p in now}
    twice = next((p for p in back if (p.card.sha256, p.member, p.sheet) in there), None)
    if twice is not None:
        raise InputError(
            "already_there",
            ko=f"‘{twice.card.source}’은(는) 그 뒤에 다시 들여와서 이미 ‘{dataset.name}’에 있어요.",
            en=f"“{twice.card.source}” was brought in again meanwhile and is already in “{dataset.name}”.",
            next_ko="다시 할 것이 없어요. 지금 판을 그대로 쓰세요.",
            next_en="Nothing is left to redo; use the newest version as it is.",
            where={"step": f"u{row.id}", "dataset": dataset.name, "source": twice.card.source},
        )


def _not_so(step: str, back: bool) -> InputError:
    return InputError(
        "not_undone" if back else "already_undone",
        ko=f"{step}은(는) 되돌린 적이 없어요." if back else f"{step}은(는) 이미 되돌렸어요.",
        en=f"{step} was not undone." if back else f"{step} is already undone.",
        next_ko="" if back else f"다시 하려면: madang library redo {step}",
        next_en="" if back else f"To make it again: madang library redo {step}",
        where={"step": step},
    )


def describe(db: Connection, dataset: Dataset, facts: dict[str, Json]) -> None:
    """Keep what people say about a dataset; None forgets a field."""
    kept = {k: v for k, v in {**dataset.facts, **facts}.items() if v is not None}
    db.execute(datasets.update().where(datasets.c.id == dataset.id).values(facts=dumps(kept)))
