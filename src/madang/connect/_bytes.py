"""The bytes of one table's container: a plain file, a gzip file, or a member of a ZIP archive, with limits against bombs."""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from madang.errors import InputError

GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"

INSIDE = "!/"
"""Between the name of an archive inside an archive and the name of its member."""
MAX_DEPTH = 2
"""Archives inside archives that are opened: one more than real exports were seen to have."""
MAX_MEMBERS = 100_000
HARMLESS_SIZE = 64 << 20
"""Up to here [bytes] nothing is called a bomb, however well it was packed."""
MAX_RATIO = 200
"""Unpacked to packed size. Logs of measured values pack 5 to 40 times; a file of one repeated letter about 1000 times."""
MAX_IN_MEMORY = 512 << 20
"""Largest archive member [bytes] that is unpacked into memory, for containers that need to jump about in it."""

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    gzip.BadGzipFile,
    OSError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class ArchiveMember:
    """One file in a ZIP archive."""

    name: str
    """As people see it: names written by Korean Windows are read in their own encoding."""
    info: zipfile.ZipInfo


def open_container(path: Path, member: str | None, gunzip: bool = True) -> BinaryIO:
    """Open the bytes of a table's container for reading from its beginning.

    Args:
        path: File on disk.
        member: Name of the archive member, `INSIDE` between the levels; None for a plain file.
        gunzip: Whether gzip is taken off.

    Raises:
        InputError: The file or member cannot be opened, is broken, locked with a password, or unpacks beyond the limits.
    """
    with _named(path, member):
        stream: BinaryIO = path.open("rb")
        packed = path.stat().st_size
        for name in (member or "").split(INSIDE) if member else ():
            archive = zipfile.ZipFile(stream)
            found = next((entry for entry in archive_members(archive) if entry.name == name), None)
            if found is None:
                raise _no_member(path, name)
            packed = found.info.compress_size
            stream = cast("BinaryIO", _Guarded(lambda a=archive, f=found: a.open(f.info), path, member, packed))  # type: ignore[misc]
        return _without_gzip(stream, path, member, packed) if gunzip else stream


def _without_gzip(stream: BinaryIO, path: Path, member: str | None, packed: int) -> BinaryIO:
    head = stream.read(2)
    stream.seek(0)
    if head != GZIP:
        return stream
    # The guard of a member is rewound with the stream, so gzip may read it through the guard's own limits.
    return cast("BinaryIO", _Guarded(lambda: gzip.GzipFile(fileobj=stream), path, member, packed))


class _Guarded(io.RawIOBase):
    """A stream of unpacked bytes that ends with a clear error when its source is broken or unpacks beyond all measure."""

    def __init__(self, opener: Callable[[], object], path: Path, member: str | None, packed: int) -> None:
        self._path, self._member = path, member
        self._allowed = max(HARMLESS_SIZE, MAX_RATIO * packed)
        with _named(path, member):
            self._stream = cast("BinaryIO", opener())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        with _named(self._path, self._member):
            if size is None or size < 0:
                data = self._stream.read(self._allowed + 1 - self._stream.tell())
            else:
                data = self._stream.read(size)
            if self._stream.tell() > self._allowed:
                raise bomb(self._path, self._member)
            return data

    def readall(self) -> bytes:
        return self.read(-1)

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _named(self._path, self._member):
            if whence == io.SEEK_END:
                # Walk to the end in steps, so that a bomb is met by the limit and not by the memory.
                while self.read(1 << 20):
                    pass
                return self._stream.seek(self._stream.tell() + offset)
            return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def archive_members(archive: zipfile.ZipFile) -> list[ArchiveMember]:
    """Return the files of an archive by name, folders and system files left out.

    Names without the UTF-8 flag are those of old Windows tools: Python reads them as cp437, Koreans wrote them in CP949.
    """
    members: dict[str, ArchiveMember] = {}
    for info in archive.infolist():
        if info.is_dir():
            continue
        name = info.filename
        if not info.flag_bits & 0x800:
            raw = info.filename.encode("cp437", "replace") if not info.filename.isascii() else b""
            for codec in ("utf-8", "cp949"):
                try:
                    name = raw.decode(codec) if raw else name
                    break
                except UnicodeDecodeError:
                    continue
        name = name.replace("\\", "/")
        # Two members of one name: only the later one counts, as it does for every unpacking tool.
        members[name] = ArchiveMember(name, info)
    return [members[name] for name in sorted(members)]


def check_archive(path: Path, shown: str, archive: zipfile.ZipFile) -> None:
    """Refuse an archive that could not be meant as an export.

    Raises:
        InputError: Too many members, or sizes that no table of measured values packs to.
    """
    infos = archive.infolist()
    unpacked, packed = sum(info.file_size for info in infos), sum(info.compress_size for info in infos)
    overgrown = unpacked > HARMLESS_SIZE and unpacked > MAX_RATIO * max(1, min(packed, path.stat().st_size))
    if len(infos) > MAX_MEMBERS or overgrown:
        raise bomb(path, shown if shown != path.name else None)


def bomb(path: Path, member: str | None) -> InputError:
    """Return the error for an archive that unpacks beyond all measure."""
    return InputError(
        "archive_too_large",
        ko=f"'{path.name}' 의 압축을 풀면 원래의 {MAX_RATIO}배가 넘어요. 압축 폭탄일 수 있어서 읽지 않았어요.",
        en=f"'{path.name}' unpacks to more than {MAX_RATIO} times its size. It may be a bomb and was not read.",
        next_ko="믿을 수 있는 파일이면 압축을 푼 폴더를 직접 넣어 주세요.",
        next_en="If the file can be trusted, unpack it and hand in the folder.",
        where={"file": path.name, "member": member},
    )


@contextmanager
def _named(path: Path, member: str | None) -> Iterator[None]:
    """Turn what a broken container raises into an error that names the file."""
    try:
        yield
    except _BROKEN as error:
        raise broken_container(path, member, error) from error


def broken_container(path: Path, member: str | None, error: BaseException) -> InputError:
    """Return the error for a container that cannot be opened or read to its end."""
    place = f"{path.name}#{member}" if member else path.name
    if "password" in str(error).lower() or "encrypted" in str(error).lower():
        return locked(path, member)
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        reason = error.strerror or type(error).__name__
        return InputError(
            "unreadable_file",
            ko=f"'{place}' 을 열 수 없어요: {reason}.",
            en=f"'{place}' cannot be opened: {reason}.",
            next_ko="경로와 읽기 권한을 확인해 주세요.",
            next_en="Check the path and the permission to read.",
            where={"file": path.name, "member": member},
        )
    return InputError(
        "broken_archive",
        ko=f"'{place}' 이 손상되었거나 끝까지 저장되지 않았어요.",
        en=f"'{place}' is damaged or was not saved to its end.",
        next_ko="파일을 다시 복사하거나 다시 내보내 주세요.",
        next_en="Copy the file again, or export it again.",
        where={"file": path.name, "member": member, "reason": type(error).__name__},
    )


def locked(path: Path, member: str | None) -> InputError:
    """Return the error for a container that is locked with a password."""
    place = f"{path.name}#{member}" if member else path.name
    return InputError(
        "password_protected",
        ko=f"'{place}' 은 암호로 잠겨 있어요.",
        en=f"'{place}' is protected by a password.",
        next_ko="암호를 풀어 저장한 파일을 넣어 주세요.",
        next_en="Save it without the password and hand that in.",
        where={"file": path.name, "member": member},
    )


def _no_member(path: Path, name: str) -> InputError:
    return InputError(
        "no_such_member",
        ko=f"'{path.name}' 안에 '{name}' 이 없어요.",
        en=f"'{path.name}' holds no member '{name}'.",
        next_ko="압축 파일이 바뀌지 않았는지 확인해 주세요.",
        next_en="Check whether the archive has changed.",
        where={"file": path.name, "member": name},
    )


def whole_bytes(path: Path, member: str | None) -> bytes:
    """Return all bytes of a container that has to be jumped about in.

    Raises:
        InputError: It is broken, or larger than fits in memory.
    """
    with open_container(path, member) as stream:
        data = stream.read(MAX_IN_MEMORY + 1)
    if len(data) > MAX_IN_MEMORY:
        raise InputError(
            "member_too_large",
            ko=f"'{path.name}' 안의 파일이 512 MB 보다 커서 압축된 채로는 읽을 수 없어요.",
            en=f"A file inside '{path.name}' is larger than 512 MB and cannot be read while packed.",
            next_ko="압축을 풀어서 넣어 주세요.",
            next_en="Unpack it and hand in the file.",
            where={"file": path.name, "member": member},
        )
    return data
