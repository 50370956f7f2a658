"""Reading a kept original again: how an undo, a replay and a new meaning come about."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from madang.connect import Layout, ReadOptions, TableSource
from madang.errors import InputError, MadangError
from madang.library._cards import ColumnCard
from madang.library._catalogue import StoredPart, source_of
from madang.library._lake import Lake
from madang.library._meaning import Proposer
from madang.library._staging import Staged, TableFiles, stage


@contextmanager
def original(lake: Lake, part: StoredPart) -> Iterator[Path]:
    """The kept original of a part under its own file name, for as long as the context lasts."""
    folder = lake.root / "staging" / f"original-{os.getpid()}-{part.card.index}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield place_original(lake, part, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place_original(lake: Lake, part: StoredPart, folder: Path) -> Path:
    """Put the kept original of a part into a folder under its own name (a link where the system can, else a copy).

    Raises:
        InputError: The kept bytes are gone.
    """
    kept = lake.object_path(part.object)
    if not kept.exists():
        raise InputError(
            "original_gone",
            ko=f"‘{part.card.source}’의 원본이 작업 공간에 없어요.",
            en=f"The kept original of “{part.card.source}” is not in the workspace.",
            next_ko="백업에서 lake/objects 폴더를 되돌리세요.",
            next_en="Restore the folder lake/objects from a backup.",
            where={"source": part.card.source, "object": part.object},
        )
    place = folder / part.file_name
    if place.exists():
        place = folder / f"{part.card.index}-{part.file_name}"
    try:
        os.link(kept, place)
    except OSError:
        shutil.copyfile(kept, place)
    return place


def reread(
    lake: Lake,
    files: TableFiles,
    part: StoredPart,
    number: int,
    folder: Path,
    *,
    disabled: frozenset[str],
    template: Layout | None,
    propose: Proposer,
    decide: Callable[[ColumnCard], ColumnCard],
    zone: str,
    shift_start: int,
) -> Staged:
    """Read a part's original again, without the disabled reading steps.

    Raises:
        InputError: The original cannot be read that way.
    """
    options = ReadOptions(zone=part.zone, zone_given=part.zone_given, disabled=disabled)
    with original(lake, part) as path:
        source = _found(files, part, path)
        reader = files.open(replace(source, source=part.card.source), options, template)
        staged = stage(
            reader,
            options,
            number,
            folder / f"{number:08d}",
            propose=propose,
            decide=decide,
            zone=zone,
            shift_start=shift_start,
        )
    staged.source = replace(source_of(part, path), format=staged.layout.format)
    staged.object = part.object
    staged.origin = part.origin
    staged.place = part.place
    return staged


def _found(files: TableFiles, part: StoredPart, path: Path) -> TableSource:
    """The part's table as the reader finds it in the original; it knows best how to open it."""
    try:
        tables = files.find(path)
    except MadangError:
        return source_of(part, path)
    return next((t for t in tables if (t.member, t.part) == (part.member, part.sheet)), source_of(part, path))
