"""Which tables an input holds, and the bytes of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from madang.connect._tables import ReadOptions, TableSource
from madang.errors import InputError


def find_tables(paths: Sequence[Path], options: ReadOptions = ReadOptions()) -> Iterator[TableSource]:  # noqa: B008
    """Yield every table of the given files and folders, in a fixed order.

    Args:
        paths: Files or folders; folders are walked, hidden files and folders in them are passed over.
        options: What the caller fixes before reading.

    Raises:
        InputError: A path does not exist, or a folder holds no file.
    """
    for path in paths:
        if not path.exists():
            raise InputError(
                "no_such_path",
                ko=f"'{path.name}' 파일이나 폴더를 찾을 수 없어요.",
                en=f"There is no file or folder '{path.name}'.",
                next_ko="경로를 다시 확인해 주세요.",
                next_en="Check the path.",
                where={"path": str(path)},
            )
        files = [path] if path.is_file() else sorted(_files_below(path))
        if not files:
            raise InputError(
                "empty_folder",
                ko=f"'{path.name}' 폴더에 읽을 파일이 없어요.",
                en=f"The folder '{path.name}' holds no file to read.",
                next_ko="내보낸 파일이 들어 있는 폴더를 골라 주세요.",
                next_en="Choose the folder that holds the exported files.",
                where={"path": str(path)},
            )
        for file in files:
            yield plain_source(file, file.name if path.is_file() else file.relative_to(path).as_posix())


def _files_below(folder: Path) -> Iterator[Path]:
    for entry in folder.rglob("*"):
        if entry.is_file() and not any(part.startswith(".") for part in entry.relative_to(folder).parts):
            yield entry


def plain_source(path: Path, shown: str) -> TableSource:
    """Return the source of a plain file; its text format is found out when it is opened."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return TableSource(source=shown, path=path, sha256=sha256, size=path.stat().st_size, format="csv")


def open_bytes(source: TableSource) -> BinaryIO:
    """Open the bytes of a text table for reading from its beginning."""
    return source.path.open("rb")
