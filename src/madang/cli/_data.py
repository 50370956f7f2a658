"""What the data verbs do: one call to the library, then sentences and the document."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from madang.cli._face import Face
from madang.errors import InputError, UsageError
from madang.plant import Bilingual
from madang.workspace import Workspace

_SHOWN_FINDINGS = 12


def run_intake(face: Face, paths: Sequence[Path], *, dataset: str | None, zone: str | None, strict: bool) -> None:
    """Read files into the library and show what was read."""
    with Workspace.open(face.workspace) as workspace:
        report = workspace.library.intake(
            paths, dataset=dataset, zone=zone, strict=strict, party=workspace.settings.owner, progress=face.progress
        )
        document: dict[str, Any] = report.document()
    face.document("intake/1", document)
    show_intake(face, document)


def show_intake(face: Face, document: Mapping[str, Any]) -> None:
    """Say what was read, what was assumed and what to do next."""
    for table in document["tables"]:
        face.say(_table_sentence(table))
        if table.get("zone_assumed") and table.get("time_column"):
            face.say(
                Bilingual(
                    f"  시각은 {table['zone']} 로 가정했어요. 아니면 --zone 으로 바꿔 주세요.",
                    f"  Times were assumed to be in {table['zone']}; change that with --zone.",
                )
            )
        findings = table["findings"]
        for finding in findings[:_SHOWN_FINDINGS]:
            undo = face.text(f"  [되돌리기: {finding['undo']}]", f"  [undo: {finding['undo']}]") if finding.get("undo") else ""
            face.say(f"  · {face.text(finding['message_ko'], finding['message_en'])}{undo}")
        if len(findings) > _SHOWN_FINDINGS:
            more = len(findings) - _SHOWN_FINDINGS
            face.say(Bilingual(f"  · 그 밖에 {more}가지 (--json 으로 모두)", f"  · and {more} more (all with --json)"))
        asking = [column["source_name"] for column in table["columns"] if column["status"] == "ask"]
        if asking:
            names = ", ".join(asking[:5]) + (" …" if len(asking) > 5 else "")
            face.say(
                Bilingual(
                    f"  뜻을 확인해 주세요 ({len(asking)}열): {names} → madang library map --review",
                    f"  Please confirm {len(asking)} columns: {names} → madang library map --review",
                )
            )
    for error in document.get("errors", []):
        face.say(face.text(f"✗ {error['message_ko']}", f"✗ {error['message_en']}"))


def _table_sentence(table: Mapping[str, Any]) -> Bilingual:
    name = f"{table['dataset']}@{table['version']}"
    read, kept, aside, twice = (table[f"rows_{word}"] for word in ("read", "kept", "quarantined", "duplicate"))
    how = table["encoding"] or table["format"]
    return Bilingual(
        f"{table['source']} → {name}: {read:,}행을 읽어 {kept:,}행을 넣었어요"
        f" (따로 둔 행 {aside:,}, 중복 {twice:,}; {how}, {len(table['columns'])}열)",
        f"{table['source']} → {name}: {read:,} records read, {kept:,} kept"
        f" ({aside:,} set aside, {twice:,} duplicate; {how}, {len(table['columns'])} columns)",
    )


def run_list(face: Face) -> None:
    """List the datasets."""
    with Workspace.open(face.workspace) as workspace:
        document: dict[str, Any] = workspace.library.list()
    face.document("library-list/1", document)
    datasets = document["datasets"]
    if not datasets:
        face.say(Bilingual("아직 데이터가 없어요. → madang intake 파일", "Nothing here yet. → madang intake FILE"))
    for item in datasets:
        span = f"{item.get('time_first') or '?'} ~ {item.get('time_last') or '?'}"
        face.say(
            Bilingual(
                f"{item['dataset']}@{item['version']}: {item['rows']:,}행 {item['columns']}열, {span}",
                f"{item['dataset']}@{item['version']}: {item['rows']:,} records, {item['columns']} columns, {span}",
            )
        )


def run_card(face: Face, dataset: str) -> None:
    """Show the card of a dataset."""
    with Workspace.open(face.workspace) as workspace:
        document: dict[str, Any] = workspace.library.card(dataset)
    face.document("card/1", document)
    face.say(f"{document['dataset']}@{document['version']}")
    for column in document["columns"]:
        unit = column["unit"] or face.text("단위 모름", "unit unknown")
        face.say(
            f"  {column['name']}: {column['role']}, {column['kind_of_quantity']} [{unit}], "
            + face.text(f"확신 {column['confidence']:.2f}", f"confidence {column['confidence']:.2f}")
        )


def run_search(face: Face, words: str) -> None:
    """Search datasets and columns."""
    with Workspace.open(face.workspace) as workspace:
        hits: list[dict[str, Any]] = workspace.library.search(words)
    face.document("search/1", {"query": words, "hits": hits})
    if not hits:
        face.say(Bilingual("맞는 것이 없어요. 다른 말로 찾아보세요.", "Nothing fits; try other words."))
    for hit in hits:
        face.say(f"  {hit['dataset']}@{hit['version']}  {hit.get('column') or ''}".rstrip())


def run_undo(face: Face, step: str) -> None:
    """Undo one reading decision."""
    with Workspace.open(face.workspace) as workspace:
        document: dict[str, Any] = workspace.library.undo(step, party=workspace.settings.owner)
    face.document("undo/1", document)
    face.say(
        Bilingual(
            f"되돌렸어요. 새 버전: {document['dataset']}@{document['version']} (옛 버전도 그대로 읽혀요)",
            f"Undone, as {document['dataset']}@{document['version']}; the older version stays readable.",
        )
    )


def run_redo(face: Face, step: str) -> None:
    """Make an undone step again."""
    with Workspace.open(face.workspace) as workspace:
        document: dict[str, Any] = workspace.library.redo(step, party=workspace.settings.owner)
    face.document("redo/1", document)
    face.say(
        Bilingual(
            f"다시 했어요. 새 버전: {document['dataset']}@{document['version']}",
            f"Made again, as {document['dataset']}@{document['version']}.",
        )
    )


def run_describe(face: Face, dataset: str, facts: Mapping[str, str | None]) -> None:
    """Keep what people say about a dataset; an empty text forgets a field."""
    said = {name: text or None for name, text in facts.items() if text is not None}
    if not said:
        raise UsageError(
            "nothing_said",
            ko="적을 내용이 없어요.",
            en="Nothing is said.",
            next_ko=f"예: madang library describe {dataset} --process 소성 --equipment 로1",
            next_en=f"For example: madang library describe {dataset} --process firing --equipment kiln1",
        )
    with Workspace.open(face.workspace) as workspace:
        workspace.library.describe(dataset, **said)
        document: dict[str, Any] = workspace.library.card(dataset)
    face.document("card/1", document)
    face.say(Bilingual(f"{dataset}: 적어 두었어요.", f"{dataset}: noted."))


def run_export(
    face: Face,
    dataset: str,
    *,
    out: Path,
    form: Literal["wide", "long", "source"],
    units: Literal["unit", "source"],
    columns: str | None,
    every: str | None,
    start: str | None,
    end: str | None,
) -> None:
    """Write a dataset to a file."""
    from madang.library import Where

    with Workspace.open(face.workspace) as workspace:
        zone = workspace.library.zone
        document: dict[str, Any] = workspace.library.export(
            dataset,
            out,
            form=form,
            units=units,
            columns=names(columns),
            reader=workspace.settings.owner,
            where=Where(time=(instant(start, zone), instant(end, zone))) if start or end else None,
            every=period(every),
        )
    face.document("export/1", document)
    face.say(Bilingual(f"{out} 에 {document['rows']:,}행을 썼어요.", f"{document['rows']:,} rows written to {out}."))


def run_snapshot(
    face: Face,
    dataset: str,
    name: str,
    *,
    every: str | None,
    start: str | None,
    end: str | None,
    points: str | None,
    how: Literal["auto", "mean", "last", "held"],
) -> None:
    """Keep a stretch of signals as a dataset of records."""
    with Workspace.open(face.workspace) as workspace:
        zone = workspace.library.zone
        document: dict[str, Any] = workspace.library.snapshot(
            dataset,
            name,
            every=period(every),
            start=instant(start, zone),
            end=instant(end, zone),
            points=names(points),
            how=how,
            reader=workspace.settings.owner,
        )
    face.document("snapshot/1", document)
    made = f"{document['dataset']}@{document['version']}"
    face.say(
        Bilingual(
            f"{document['from_version']} 에서 {document['every_seconds']:g}초 간격으로 {document['rows']:,}행을 {made} 에 두었어요.",
            f"{document['rows']:,} rows of {document['every_seconds']:g} s from {document['from_version']} stand in {made}.",
        )
    )


def period(text: str | None) -> timedelta | None:
    """Read a length of time such as ``1min``.

    Raises:
        InputError: It is none.
    """
    from madang.plant import duration_seconds

    if text is None:
        return None
    try:
        return timedelta(seconds=duration_seconds(text))
    except (ValueError, OverflowError) as error:
        raise InputError(
            "bad_period",
            ko=f"‘{text}’은(는) 간격이 아니에요.",
            en=f"“{text}” is not a length of time.",
            next_ko="예: 500ms, 10s, 1min, 2h, 1d",
            next_en="For example: 500ms, 10s, 1min, 2h, 1d",
            where={"every": text},
        ) from error


def instant(text: str | None, zone: str) -> datetime | None:
    """Read an instant in ISO 8601; without a zone it is the workspace's.

    Raises:
        InputError: It is none.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            "bad_instant",
            ko=f"‘{text}’은(는) 시각이 아니에요.",
            en=f"“{text}” is not an instant.",
            next_ko="예: 2026-05-04, 2026-05-04T08:30, 2026-05-03T23:30:00Z",
            next_en="For example: 2026-05-04, 2026-05-04T08:30, 2026-05-03T23:30:00Z",
            where={"time": text},
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(zone))


def run_join(
    face: Face,
    left: str,
    right: str,
    *,
    out: Path,
    by: str | None,
    tolerance: str | None,
    delay: str | None,
    windows: str | None,
) -> None:
    """Join two datasets and write the rows that are certain."""
    from madang.library import join_datasets

    with Workspace.open(face.workspace) as workspace:
        joined = join_datasets(
            workspace.library,
            left,
            right,
            by=by,
            tolerance=tolerance,
            delay=delay,
            windows=windows,
            reader=workspace.settings.owner,
        )
        workspace.library.write_table(joined.table, out)
    document: dict[str, Any] = joined.document()
    face.document("join/1", document)
    face.say(
        Bilingual(
            f"{document['rows_left']:,}행 가운데 {document['rows_joined']:,}행을 이었어요."
            f" 짝 없음 {document['rows_unmatched']:,}, 애매함 {document['rows_ambiguous']:,} (애매한 행은 넣지 않았어요).",
            f"{document['rows_joined']:,} of {document['rows_left']:,} rows joined;"
            f" {document['rows_unmatched']:,} without a partner, {document['rows_ambiguous']:,} ambiguous and left out.",
        )
    )


def run_decision(
    face: Face, dataset: str, column: str, *, accept: bool, kind: str | None, unit: str | None, role: str | None
) -> None:
    """Settle what one column is, or say that the proposal is wrong."""
    with Workspace.open(face.workspace) as workspace:
        library, author = workspace.library, workspace.settings.owner
        document: dict[str, Any] = (
            library.accept(dataset, column, role=role, kind=kind, unit=unit, author=author)
            if accept
            else library.reject(dataset, column, author=author)
        )
    face.document("mapping/1", document)
    face.say(
        Bilingual(f"{column}: 정했어요. 다음 파일에도 이렇게 읽어요.", f"{column}: settled, for later files too.")
        if accept
        else Bilingual(
            f"{column}: 제안을 물렸어요. 뜻을 모르는 열로 둬요.", f"{column}: rejected; what it means counts as unknown."
        )
    )


def run_review(face: Face, dataset: str | None) -> None:
    """Show what waits for a person."""
    with Workspace.open(face.workspace) as workspace:
        if dataset is not None:
            workspace.library.card(dataset)  # an unknown name is said to be unknown
        waiting: list[dict[str, Any]] = workspace.library.map_review(dataset)
    face.document("mapping-review/1", {"columns": waiting})
    if not waiting:
        face.say(Bilingual("확인을 기다리는 열이 없어요.", "No column waits for a person."))
    for item in waiting:
        named = f"--dataset {shlex.quote(item['dataset'])} --column {shlex.quote(item['name'])}"
        proposal = f"{item['kind_of_quantity']} [{item['unit'] or '?'}] {item['confidence']:.2f}"
        face.say(f"  {item['dataset']} · {item['source_name']}: {proposal}  → madang library map {named} --accept")


def run_quarantine(face: Face, dataset: str, *, replay: bool) -> None:
    """Show records set aside, or read them again."""
    with Workspace.open(face.workspace) as workspace:
        if replay:
            document: dict[str, Any] = workspace.library.replay(dataset, party=workspace.settings.owner)
            face.document("replay/1", document)
            face.say(
                Bilingual(
                    f"다시 읽었어요: {document['dataset']}@{document['version']}",
                    f"Read again: {document['dataset']}@{document['version']}",
                )
            )
            return
        rows: list[dict[str, Any]] = workspace.library.quarantine(dataset)
    face.document("quarantine/1", {"dataset": dataset, "rows": rows})
    if not rows:
        face.say(Bilingual("따로 둔 행이 없어요.", "Nothing was set aside."))
    for row in rows:
        face.say(f"  {row['source']}:{row['row']}  {row['reason']}")


def run_compact(face: Face, dataset: str) -> None:
    """Gather small files."""
    with Workspace.open(face.workspace) as workspace:
        document: dict[str, Any] = workspace.library.compact(dataset)
    face.document("compact/1", document)
    face.say(
        Bilingual(
            f"파일 {document['files_before']}개를 {document['files_after']}개로 모았어요.",
            f"{document['files_before']} files gathered into {document['files_after']}.",
        )
    )


def run_forecast(face: Face, raw_tb: float) -> None:
    """Forecast sizes."""
    with Workspace.open(face.workspace) as workspace:
        document: dict[str, Any] = workspace.library.forecast(raw_tb)
    face.document("forecast/1", document)
    each = document["sorted_bytes_per_sample"] or document["bytes_per_sample"]
    face.say(
        Bilingual(
            f"값 {document['samples_measured']:,}개를 재니 하나에 {each:.3f}바이트예요 (원시 16바이트). 한 달 {raw_tb:g} TB"
            f" (초당 {document['samples_per_second']:,.0f}개)는 {document['stored_tb_per_month']:.2f} TB가 돼요.",
            f"{document['samples_measured']:,} samples take {each:.3f} bytes each (raw: 16). {raw_tb:g} TB a month"
            f" ({document['samples_per_second']:,.0f} per second) become {document['stored_tb_per_month']:.2f} TB.",
        )
    )


def run_restore(face: Face, dataset: str, start: str | None, end: str | None, *, dry_run: bool) -> None:
    """Bring archived signals back."""
    with Workspace.open(face.workspace) as workspace:
        zone = workspace.library.zone
        document: dict[str, Any] = workspace.library.restore(dataset, instant(start, zone), instant(end, zone), dry_run=dry_run)
    face.document("restore/1", document)
    counts = f"{document['files']:,}", f"{document['samples']:,}"
    if dry_run:
        face.say(
            Bilingual(
                f"파일 {counts[0]}개, 값 {counts[1]}개가 돌아와요.", f"{counts[0]} files, {counts[1]} samples would come back."
            )
        )
    else:
        face.say(
            Bilingual(
                f"파일 {counts[0]}개, 값 {counts[1]}개를 되돌렸어요.", f"{counts[0]} files, {counts[1]} samples came back."
            )
        )


def run_retain(face: Face, dataset: str | None, keep_days: int, *, apply: bool) -> None:
    """Apply the rules of retention."""
    with Workspace.open(face.workspace) as workspace:
        done = workspace.library.retain(dataset, keep=timedelta(days=keep_days), dry_run=not apply)
    face.document("retain/1", {"applied": apply, "keep_days": keep_days, "datasets": done})
    for one in done:
        if not isinstance(one, dict):
            continue
        counts = [one[k] for k in ("thinned_files", "archived_files", "removed_files")]
        face.say(
            Bilingual(
                f"{one['dataset']}: 솎을 파일 {counts[0]}, 보관소로 갈 파일 {counts[1]}, 지울 옛 파일 {counts[2]}",
                f"{one['dataset']}: {counts[0]} files to thin, {counts[1]} to archive, {counts[2]} old ones to remove",
            )
        )
    if not apply:
        face.say(Bilingual("아무것도 바꾸지 않았어요. 적용하려면 --apply", "Nothing was changed. To do it: --apply"))


def names(text: str | None) -> list[str] | None:
    """Split a list of names written with commas; None stays None."""
    if text is None:
        return None
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise InputError(
            "no_names",
            ko="열 이름이 없어요.",
            en="No column is named.",
            next_ko="쉼표로 나눈 열 이름을 주세요.",
            next_en="Give column names with commas between them.",
        )
    return found
