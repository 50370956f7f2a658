"""Which tables an input holds, and the bytes of each."""

from __future__ import annotations

import errno
import hashlib
import signal
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from madang.connect._bytes import (
    EMPTY_ZIP,
    GZIP,
    INSIDE,
    MAX_DEPTH,
    ZIP,
    ArchiveMember,
    archive_members,
    broken_container,
    check_archive,
    locked,
    open_container,
)
from madang.connect._tables import FileFormat, ReadOptions, TableSource
from madang.errors import InputError, MadangError
from madang.plant import Bilingual

HALF_WRITTEN = (".part", ".partial", ".crdownload", ".download", ".tmp", ".filepart", ".lock")
"""Endings of files that a program is still writing."""
_COMPANIONS = ("-journal", "-wal", "-shm")
"""Endings of the files that SQLite keeps beside a database; they are no tables."""
# Files that come along with exports and hold no table; they are passed over in folders and archives, not when named.
_NOT_TABLES = frozenset(
    [
        ".md",
        ".rst",
        ".html",
        ".htm",
        ".xml",
        ".xsd",
        ".pdf",
        ".doc",
        ".docx",
        ".ppt",
        ".pptx",
        ".hwp",
        ".hwpx",
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".svg",
        ".py",
        ".js",
        ".css",
        ".ipynb",
        ".exe",
        ".dll",
        ".so",
        ".bat",
        ".sh",
        ".ini",
        ".cfg",
        ".toml",
        ".yaml",
        ".yml",
        ".lnk",
        ".url",
        ".mp4",
        ".avi",
        ".wav",
        ".mp3",
        ".npy",
        ".npz",
        ".pkl",
        ".h5",
        ".mat",
        ".zipx",
        ".7z",
        ".rar",
        ".tar",
        ".bz2",
        ".xz",
        ".asc",
        ".sig",
        ".key",
        ".pem",
    ]
)

Container = Literal["text", "json", "parquet", "workbook", "sqlite", "zip", "binary", "empty"]

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SQLITE = b"SQLite format 3\x00"
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Skipped:
    """A file of a folder or archive from which no table was taken, and why."""

    source: str
    reason: Bilingual
    error: MadangError | None = None
    """When it should have been a table."""


def find_tables(
    paths: Sequence[Path],
    options: ReadOptions = ReadOptions(),  # noqa: B008 - a frozen value
    skipped: list[Skipped] | None = None,
) -> Iterator[TableSource]:
    """Yield every table of the given files and folders, in a fixed order.

    A folder is walked in the order of names; hidden, temporary and half-written files in it are left alone, and a file that
    cannot be read does not stop the others.

    Args:
        paths: Files or folders.
        options: What the caller fixes before reading.
        skipped: Takes up what was left alone in folders and archives, with the reason.

    Raises:
        InputError: A path does not exist, a named file holds no table, is half-written or broken, or nothing at all was found.
    """
    skipped = skipped if skipped is not None else []
    for path in paths:
        if not path.exists():
            raise _no_path(path)
        if path.is_dir():
            yield from _tables_of_folder(path, skipped)
        elif not path.is_file():
            # A device or pipe may have no end.
            raise _no_table(path.name, path)
        else:
            yield from _tables_of_file(path, path.name, skipped)


def _tables_of_folder(folder: Path, skipped: list[Skipped]) -> Iterator[TableSource]:
    seen = 0
    problems: list[Skipped] = []
    for file in sorted(_files_below(folder)):
        shown = file.relative_to(folder).as_posix()
        reason = passed_over(file)
        if reason is not None:
            problems.append(Skipped(shown, reason))
            continue
        try:
            for source in _tables_of_file(file, shown, problems):
                seen += 1
                yield source
        except InputError as error:
            problems.append(Skipped(shown, Bilingual(error.ko, error.en), error))
    skipped.extend(problems)
    if not seen:
        first = next((problem.error for problem in problems if problem.error is not None), None)
        raise _empty_folder(folder, first)


def _files_below(folder: Path) -> Iterator[Path]:
    for entry in folder.rglob("*"):
        if entry.is_file() and not any(part.startswith(".") for part in entry.relative_to(folder).parts):
            yield entry


def passed_over(file: Path) -> Bilingual | None:
    """Say why a file that was found in a folder is left alone; None when it is to be read.

    A file that a person names himself is read whatever it is called.
    """
    reason = _left_alone(file)
    if reason is None and file.suffix.lower() in _PERHAPS_PROSE and _is_prose(file):
        return Bilingual("표가 아니라 글이에요.", "It holds sentences, not a table.")
    return reason


_PERHAPS_PROSE = frozenset({"", ".txt"})
_PROSE_LINES = 200


def _is_prose(file: Path) -> bool:
    """Whether a text is plainly no table: lines agree neither in separators nor in being numbers."""
    try:
        with open_container(file, None) as stream:
            head = stream.read(65_536)
    except InputError:
        return False
    if _container(head) != "text" or b"\0" in head:
        return False
    lines = [line for line in head.decode("latin-1").splitlines()[:_PROSE_LINES] if line.strip()]
    if len(lines) < 5:
        return False
    for sign in ",;\t|":
        counts = [line.count(sign) for line in lines]
        common = max(set(counts) - {0}, key=counts.count, default=0)
        # One comma in a line is as likely in a sentence as in a table.
        often = 0.2 if sign in "\t|" else 0.6 if common == 1 else 0.4
        if common and counts.count(common) >= often * len(lines):
            return False
        if sign in "\t|" and sum(count > 0 for count in counts) >= 0.5 * len(lines):
            return False
    numeric = [sum(any(letter.isdigit() for letter in word) for word in line.split()) / len(line.split()) for line in lines]
    return sum(share >= 0.3 for share in numeric) < 0.3 * len(lines)


def _left_alone(file: Path) -> Bilingual | None:
    """Say why the name of a file tells that it is no candidate at all."""
    name = file.name.lower()
    if name.startswith(("~$", ".~", "__macosx")) or name in ("thumbs.db", "desktop.ini"):
        return Bilingual("다른 프로그램이 잠시 쓰는 파일이에요.", "It is a temporary file of another program.")
    if name.endswith(HALF_WRITTEN):
        return Bilingual("아직 저장이 끝나지 않은 파일이에요.", "It is still being written.")
    if name.endswith(_COMPANIONS) and file.with_name(file.name.rpartition("-")[0]).exists():
        return Bilingual("데이터베이스의 딸린 파일이에요.", "It belongs to the database beside it.")
    if file.suffix.lower() in _NOT_TABLES:
        return Bilingual("표가 아닌 종류의 파일이에요.", "Files of its kind hold no table.")
    return None


def _tables_of_file(path: Path, shown: str, skipped: list[Skipped]) -> Iterator[TableSource]:
    unfinished = path.name.lower().endswith(HALF_WRITTEN) or path.name.startswith("~$")
    if unfinished or _hot_journal(path) or _open_for_writing(path):
        raise _half_written(path)
    before = path.stat()
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise broken_container(path, None, error) from error
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _half_written(path)
    yield from _tables_of_bytes(path, None, shown, sha256, after.st_size, 0, skipped)


def _hot_journal(path: Path) -> bool:
    """Whether a transaction is open on a database file: its pages are half old and half new."""
    journal = path.with_name(path.name + "-journal")
    return journal.exists() and journal.stat().st_size > 0


def _open_for_writing(path: Path) -> bool:
    """Whether some program still holds a file open for writing, as far as the system tells.

    Linux grants a read lease only when nobody does. Other systems, and file systems without leases, do not tell. A database in
    use is always open; its own journal says whether it is whole.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) == _SQLITE:
                return False
            # The signal for a lease that is broken would end the process; this one is ignored unless somebody asks for it.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False


def _tables_of_bytes(
    path: Path, member: str | None, shown: str, sha256: str, size: int, depth: int, skipped: list[Skipped]
) -> Iterator[TableSource]:
    head, packed = _head(path, member)
    match _container(head):
        case "zip":
            members = _members(path, member, shown)
            if _is_workbook([entry.name for entry in members]):
                yield from _tables_of_workbook(path, member, shown, sha256, size, "xlsx")
            else:
                yield from _tables_of_archive(path, member, shown, members, depth, skipped)
        case "workbook":
            yield from _tables_of_workbook(path, member, shown, sha256, size, "xls")
        case "sqlite":
            from madang.connect._database import find_relations

            for relation in find_relations(path, member, shown):
                yield TableSource(f"{shown}#{relation}", path, sha256, size, "sqlite", member, relation)
        case "parquet":
            yield TableSource(shown, path, sha256, size, "parquet", member)
        case "json":
            from madang.connect._json import json_format

            yield TableSource(shown, path, sha256, size, json_format(path, member), member)
        case "binary":
            raise _no_table(shown, path)
        case _:
            # What is read is the unpacked text, and its size decides how it is looked at.
            yield TableSource(shown, path, sha256, _digest(path, member)[1] if packed else size, "csv", member)


def _head(path: Path, member: str | None) -> tuple[bytes, bool]:
    """Return the first bytes of a container behind its packing, and whether it was packed."""
    with open_container(path, member) as stream:
        head = stream.read(65_536)
    with open_container(path, member, gunzip=False) as stream:
        return head, stream.read(2) == GZIP


def _container(head: bytes) -> Container:
    if not head:
        return "empty"
    if head.startswith((ZIP, EMPTY_ZIP)):
        return "zip"
    if head.startswith(_OLE):
        return "workbook"
    if head.startswith(_SQLITE):
        return "sqlite"
    if head.startswith(_PARQUET):
        return "parquet"
    if head.startswith(
        (b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ", b"\x7fELF", b"MZ\x90")
    ):
        return "binary"
    from madang.connect._json import looks_like_json

    return "json" if looks_like_json(head) else "text"


def _is_workbook(names: Sequence[str]) -> bool:
    """Whether the members of a ZIP file are the parts of a workbook."""
    return "[Content_Types].xml" in names and any(name.startswith("xl/workbook") for name in names)


def _tables_of_workbook(
    path: Path, member: str | None, shown: str, sha256: str, size: int, kind: FileFormat
) -> Iterator[TableSource]:
    from madang.connect._workbook import find_sheets

    for part, name in find_sheets(path, member, shown):
        yield TableSource(name, path, sha256, size, kind, member, part)


def _members(path: Path, member: str | None, shown: str) -> list[ArchiveMember]:
    with open_container(path, member) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise broken_container(path, member, error) from error
        check_archive(path, shown, archive)
        return archive_members(archive)


def _tables_of_archive(
    path: Path,
    member: str | None,
    shown: str,
    members: Sequence[ArchiveMember],
    depth: int,
    skipped: list[Skipped],
) -> Iterator[TableSource]:
    if depth >= MAX_DEPTH:
        raise InputError(
            "archive_too_deep",
            ko=f"'{shown}' 은 압축 파일 안에 너무 깊이 들어 있어요.",
            en=f"'{shown}' lies too deep in archives within archives.",
            next_ko="압축을 한 번 풀어서 넣어 주세요.",
            next_en="Unpack the outer archive and hand in what it holds.",
            where={"file": path.name, "member": member},
        )
    seen = 0
    first: MadangError | None = None
    for entry in members:
        inner = entry.name if member is None else f"{member}{INSIDE}{entry.name}"
        inner_shown = f"{shown}#{entry.name}"
        name = Path(entry.name)
        reason = _left_alone(path.parent / name.name) if not _hidden(name) else Bilingual("숨은 파일이에요.", "It is hidden.")
        if reason is not None:
            skipped.append(Skipped(inner_shown, reason))
            continue
        try:
            if entry.info.flag_bits & 0x1:
                raise locked(path, entry.name)
            sha256, size = _digest(path, inner, gunzip=False)
            for source in _tables_of_bytes(path, inner, inner_shown, sha256, size, depth + 1, skipped):
                seen += 1
                yield source
        except InputError as error:
            if error.code == "archive_too_large":
                raise
            first = first or error
            skipped.append(Skipped(inner_shown, Bilingual(error.ko, error.en), error))
    if not seen:
        raise first or _empty_archive(shown, path)


def _hidden(name: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.parts)


def _digest(path: Path, member: str | None, gunzip: bool = True) -> tuple[str, int]:
    """Return hash and size of a container's bytes, with its gzip taken off or left on."""
    digest, size = hashlib.sha256(), 0
    with open_container(path, member, gunzip) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def open_bytes(source: TableSource) -> BinaryIO:
    """Open the bytes of a text table for reading from its beginning, whatever it is packed in.

    Raises:
        InputError: The container is broken or unpacks beyond the limits; also while reading.
    """
    return open_container(source.path, source.member)


def _no_path(path: Path) -> InputError:
    return InputError(
        "no_such_path",
        ko=f"'{path.name}' 파일이나 폴더를 찾을 수 없어요.",
        en=f"There is no file or folder '{path.name}'.",
        next_ko="경로를 다시 확인해 주세요.",
        next_en="Check the path.",
        where={"path": str(path)},
    )


def _empty_folder(folder: Path, first: MadangError | None) -> InputError:
    if isinstance(first, InputError):
        return first
    return InputError(
        "empty_folder",
        ko=f"'{folder.name}' 폴더에 읽을 파일이 없어요.",
        en=f"The folder '{folder.name}' holds no file to read.",
        next_ko="내보낸 파일이 들어 있는 폴더를 골라 주세요.",
        next_en="Choose the folder that holds the exported files.",
        where={"path": str(folder)},
    )


def _empty_archive(shown: str, path: Path) -> InputError:
    return InputError(
        "empty_archive",
        ko=f"'{shown}' 안에 읽을 표가 없어요.",
        en=f"The archive '{shown}' holds no table to read.",
        next_ko="내보낸 파일이 들어 있는 압축 파일인지 확인해 주세요.",
        next_en="Check that it is the archive with the exported files.",
        where={"file": path.name},
    )


def _half_written(path: Path) -> InputError:
    return InputError(
        "half_written",
        ko=f"'{path.name}' 은 아직 저장되고 있어서 읽지 않았어요.",
        en=f"'{path.name}' is still being written and was left alone.",
        next_ko="저장이 끝난 뒤 다시 넣어 주세요.",
        next_en="Hand it in again when it has been saved.",
        where={"file": path.name},
        retry=True,
    )


def _no_table(shown: str, path: Path) -> InputError:
    return InputError(
        "not_a_table",
        ko=f"'{shown}' 은 표로 읽을 수 있는 파일이 아니에요.",
        en=f"'{shown}' is not a kind of file that holds a table.",
        next_ko="CSV, 엑셀, JSON, Parquet, SQLite 또는 이들을 묶은 ZIP 으로 내보내 주세요.",
        next_en="Export it as CSV, a workbook, JSON, Parquet, SQLite, or a ZIP of those.",
        where={"file": path.name},
    )
