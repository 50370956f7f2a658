"""From files to a saved verdict, and from a saved model to answers: the two ways that cross several rooms."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from madang.connect import ReadOptions, TableReader, find_tables, lacking, open_table
from madang.errors import InputError, Json
from madang.library import IntakeReport, Library, ReadResult, Where
from madang.plant import Bilingual

if TYPE_CHECKING:
    from madang.models import SavedModel, Study, StudyRequest
    from madang.models._predict import Predicted

Progress: TypeAlias = Callable[[Bilingual | str, float], None]

_INTAKE_SHARE = 0.4
"""Share of the progress of a study that reading its files takes."""


def study_files(
    library: Library,
    paths: Sequence[Path],
    request: StudyRequest,
    *,
    reader: str,
    zone: str | None,
    progress: Progress | None,
) -> Study:
    """Take files in, study the records that came from them, and keep the report and the model.

    Args:
        library: Where the files go and the study is read from.
        paths: Files and folders, or names of datasets that the library has (``name`` or ``name@number``), where there is no file of
            that name; together they are one study.
        request: What is asked.
        reader: Party that reads.
        zone: Zone of times that do not say theirs; the workspace's when None.
        progress: Told what is being done and the share that is done.

    Raises:
        InputError: Nothing could be read, or nothing can be learned from it.
    """
    from madang.models import study

    tell: Progress = progress or (lambda what, share: None)
    files, kept = _files_and_datasets(library, paths)
    reads = [library.read(name, reader=reader, purpose="study") for name in kept]
    if files or not kept:
        report = library.intake(files, zone=zone, progress=lambda what, share: tell(what, share * _INTAKE_SHARE))
        reads = _reads(library, report, reader) + reads
    result = study(reads, request, progress=lambda what, share: tell(what, _INTAKE_SHARE + share * (1 - _INTAKE_SHARE)))
    _keep(library, result, reads)
    return result


def _files_and_datasets(library: Library, paths: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Tell files from names of datasets; a file goes before a dataset of the same name.

    Raises:
        InputError: A name means a dataset of signals, which is no table of records yet.
    """
    missing = [p for p in paths if not p.exists()]
    if not missing:
        return list(paths), []
    listed = library.list()["datasets"]
    kinds = {str(d["dataset"]): d.get("kind") for d in listed if isinstance(d, dict)} if isinstance(listed, list) else {}
    kept = [str(p) for p in missing if str(p) in kinds or str(p).rpartition("@")[0] in kinds]
    for name in kept:
        if kinds.get(name, kinds.get(name.rpartition("@")[0])) == "signals":
            raise InputError(
                "signals_are_no_records",
                ko=f"‘{name}’은 신호라서, 기간을 정해 나란히 놓은 기록으로 만든 뒤에 공부할 수 있어요.",
                en=f"“{name}” holds signals; a study needs a stretch of them side by side as records.",
                next_ko=f"madang library snapshot {name} --as {name.partition('@')[0]}-study --every 1min",
                next_en=f"madang library snapshot {name} --as {name.partition('@')[0]}-study --every 1min",
                where={"dataset": name},
            )
    return [p for p in paths if str(p) not in kept], kept


def _reads(library: Library, report: IntakeReport, reader: str) -> list[ReadResult]:
    """Read, of each dataset, the parts that the files became."""
    versions: dict[str, int] = {}
    parts: dict[str, set[int]] = {}
    for table in report.tables:
        if table.tally.kept or not table.added:
            versions[table.dataset] = max(table.version, versions.get(table.dataset, 0))
            parts.setdefault(table.dataset, set()).add(table.part)
    return [
        library.read(f"{dataset}@{version}", reader=reader, purpose="study", where=Where(parts=tuple(sorted(parts[dataset]))))
        for dataset, version in versions.items()
    ]


def _keep(library: Library, result: Study, reads: Sequence[ReadResult]) -> None:
    """Save the report, and the model when there is one, with the versions they came from."""
    inputs = [read.version for read in reads]
    document = result.document()
    facts: dict[str, Json] = {"task": document["task"], "target": document["target"]}
    payload = json.dumps(document, ensure_ascii=False, sort_keys=True, allow_nan=False).encode()
    library.put_object("study", str(document["name"]), payload, facts=facts, inputs=inputs)
    if result.model is not None:
        library.put_object("model", str(document["name"]), result.model.to_bytes(), facts=facts, inputs=inputs)


def predict_files(library: Library, name: str, paths: Sequence[Path], out: Path, *, progress: Progress | None) -> Predicted:
    """Answer every record of new files with a saved model.

    Raises:
        InputError: There is no such model, or no table in the files is of the kind it was learned from.
    """
    from madang.models import SavedModel, predict

    payload, _ = library.get_object("model", name)
    model = SavedModel.from_bytes(payload)
    return predict(model, _readers(model, paths), out, progress=progress)


def _readers(model: SavedModel, paths: Sequence[Path]) -> list[TableReader]:
    """Open the tables that have columns of a template of the model, in the order given.

    Each is read by the template that it differs from in the fewest columns. Columns may have been added, and others be missing:
    a prediction does not need the result. A table that fits no template is passed over when others fit, and named when none does.
    """
    options = ReadOptions(keep_duplicates=True, tolerant=True)
    readers: list[TableReader] = []
    misfits: list[str] = []
    for source in find_tables(list(paths), options):
        differences = [lacking(source, layout) for layout in model.layouts]
        # A table of a database has no header to tell it by, so its template seems to fit any file: one of the same format goes first.
        fitting = [
            (layout.format != source.format, count, place)
            for place, (layout, count) in enumerate(zip(model.layouts, differences, strict=True))
            if count is not None
            and ((layout.format == "sqlite") == (source.format == "sqlite") or not model.facts.get("joined"))
        ]
        if not fitting:
            misfits.append(source.source)
            continue
        readers.append(open_table(source, options, model.layouts[min(fitting)[2]]))
    if not readers:
        raise InputError(
            "no_table_fits",
            ko=f"이 모델이 배운 표와 같은 종류의 표가 없어요: {', '.join(misfits) or '표 없음'}",
            en=f"No table is of the kind this model learned from: {', '.join(misfits) or 'no table'}",
            next_ko=f"열 {', '.join(_inputs(model)[:5])} 이(가) 있는 파일을 주세요.",
            next_en=f"Give a file that has the columns {', '.join(_inputs(model)[:5])}.",
            where={"model": model.name},
        )
    return readers


def _inputs(model: SavedModel) -> list[str]:
    return [column.source_name for column in model.columns]
