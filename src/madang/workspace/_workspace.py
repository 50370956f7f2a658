"""One opened installation: a folder, its settings, its clock and its library."""

from __future__ import annotations

import errno
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from madang.errors import InputError
from madang.library import Library, OwnerMay

if TYPE_CHECKING:
    import pyarrow as pa

    from madang.library import Buckets
    from madang.models import Study, StudyRequest
    from madang.models._predict import Predicted
    from madang.workspace._connections import Connections
    from madang.workspace._gaps import Gaps
    from madang.workspace._push import PushAnswer
    from madang.workspace._runner import Runner, RunnerState
    from madang.workspace._sdk import PushSample
    from madang.workspace._secrets import Secrets
    from madang.workspace._studies import Progress

FORMAT = 1
"""Format of ``workspace.toml`` that this program writes, and the newest it reads."""
_FILE = "workspace.toml"


@dataclass(frozen=True)
class Settings:
    """What a workspace says about itself in ``workspace.toml``."""

    zone: str = "Asia/Seoul"
    """IANA zone of local times that do not say theirs, and of shifts."""
    language: Literal["ko", "en"] = "ko"
    currency: str = "KRW"
    """ISO 4217 code of money."""
    shift_start: int = 6
    """Local hour at which the first of three shifts begins."""
    owner: str = "owner"
    """Party that owns the workspace."""
    state: str | None = None
    """Address of the database of the catalogue, without its password, or where the address stands (``env:NAME``, ``file:PATH``);
    ``state.sqlite`` in the workspace when None."""
    state_schema: str | None = None
    """Schema of the catalogue in its database, so that several workspaces can share one."""
    state_password: str | None = None
    """Where the database's password stands: ``env:NAME``, ``file:PATH``, or ``stored`` in the workspace's box of secrets."""


def _system_clock() -> datetime:
    return datetime.now(UTC)


class Workspace:
    """An open workspace. Use it as a context manager, or close it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Workspace.open(Path(folder) / "공장") as workspace:
    ...     workspace.settings.zone
    'Asia/Seoul'
    """

    def __init__(self, root: Path, settings: Settings, clock: Callable[[], datetime], library: Library) -> None:
        self.root = root
        self.settings = settings
        self.clock = clock
        self.library = library

    @classmethod
    def open(cls, path: Path | str, *, clock: Callable[[], datetime] = _system_clock) -> Workspace:
        """Open the workspace in a folder; it is made when missing.

        Args:
            path: The folder.
            clock: Gives aware times; the system's in UTC unless a test or a replay hands in another.

        Raises:
            InputError: The path is a file, cannot be written, or holds a workspace of a newer or unreadable format; or its catalogue is
                in a database that cannot be reached or is another workspace's.
            MissingError: The driver of that database is not installed.
        """
        root = Path(path).absolute()
        try:
            if root.exists() and not root.is_dir():
                raise _not_a_folder(root)
            root.mkdir(parents=True, exist_ok=True)
            settings = _settings(root / _FILE)
            library = Library.open(
                root,
                clock=clock,
                zone=settings.zone,
                decide=OwnerMay(settings.owner),
                shift_start=settings.shift_start,
                state=_catalogue(root, settings),
            )
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _cannot_write(root) from error
        return cls(root, settings, clock, library)

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the connections that run in this process, and close the library."""
        runner = self.__dict__.get("runner")
        if runner is not None:
            runner.stop()
        self.library.close()

    @cached_property
    def secrets(self) -> Secrets:
        """The box of secrets."""
        from madang.workspace._secrets import Secrets

        return Secrets(self.root)

    @cached_property
    def connections(self) -> Connections:
        """The connections to plants, brokers, databases and folders."""
        from madang.connect import kinds
        from madang.workspace._connections import Connections

        return Connections(self.root, self.clock, self.secrets, kinds=kinds, zone=self.settings.zone)

    @cached_property
    def gaps(self) -> Gaps:
        """What the connections did not get."""
        from madang.workspace._gaps import Gaps

        return Gaps(self.connections, self.clock)

    @cached_property
    def runner(self) -> Runner:
        """What runs the connections in this process, once it is started."""
        from madang.workspace._runner import Runner

        return Runner(self.root, self.library, self.connections, clock=self.clock)

    @cached_property
    def runner_state(self) -> RunnerState:
        """What the runner says of itself, in whichever process it is."""
        from madang.workspace._runner import RunnerState

        return RunnerState(self.root, self.clock)

    def write(
        self, connection: str, samples: Iterable[PushSample] | pa.RecordBatch | pa.Table, *, key: str | None = None
    ) -> PushAnswer:
        """Write samples through a connection of the kind ``http``; they survive a power loss when this returns.

        Args:
            connection: Name of the connection; it is made when missing.
            samples: Mappings with ``tag``, ``time`` (aware), ``value`` and maybe ``quality``, or an Arrow table of those columns.
            key: A name for this batch; the same name again writes nothing twice, also after a restart.

        Raises:
            InputError: A sample cannot be taken; then none is. Or another process runs the connections: send to its API.
        """
        from madang.workspace._sdk import write_samples

        return write_samples(self, connection, samples, key)

    def flush(self, timeout: float = 30.0) -> bool:
        """Wait until everything written in this process is in the lake; returns whether it is.

        Args:
            timeout: Longest wait [s].
        """
        return self.runner.flush(timeout)

    def trend(
        self, dataset: str, points: Sequence[str], start: datetime, end: datetime, buckets: int = 1000
    ) -> dict[str, Buckets]:
        """Return points thinned to buckets of smallest, largest and worst quality; see `Library.trend`."""
        return self.library.trend(dataset, points, start, end, buckets, reader=self.settings.owner, purpose="show")

    def read(
        self, dataset: str, *, columns: Sequence[str] | None = None, start: datetime | None = None, end: datetime | None = None
    ) -> pa.Table:
        """Return a dataset as an Arrow table: records, or of a signals dataset the samples of the chosen points.

        Args:
            dataset: Name, or ``name@version``.
            columns: Columns or points; all when None.
            start: First instant wanted.
            end: First instant not wanted any more.
        """
        from madang.workspace._sdk import read_table

        return read_table(self, dataset, columns, start, end)

    def study(
        self, paths: Sequence[Path], request: StudyRequest, *, zone: str | None = None, progress: Progress | None = None
    ) -> Study:
        """Take files in, study what came from them, and keep the report and the model under the study's name.

        Args:
            paths: Files and folders; together they are one study.
            request: What is asked; the rest is found out.
            zone: Zone of times that do not say theirs; the workspace's when None.
            progress: Told what is being done and the share that is done.

        Raises:
            InputError: Nothing could be read, or nothing can be learned from it.
        """
        from madang.workspace._studies import study_files

        return study_files(self.library, paths, request, reader=self.settings.owner, zone=zone, progress=progress)

    def predict(self, name: str, paths: Sequence[Path], out: Path, *, progress: Progress | None = None) -> Predicted:
        """Answer every record of new files with a saved model, one line each in the order of the files.

        Args:
            name: Name that the study was saved under (``name@2`` for an older version).
            paths: New files of the kind that the model learned from.
            out: CSV to write, whole or not at all.
            progress: Told what is being done.

        Raises:
            InputError: There is no such model, or no table is of its kind.
        """
        from madang.workspace._studies import predict_files

        return predict_files(self.library, name, paths, out, progress=progress)


def _settings(file: Path) -> Settings:
    if not file.exists():
        settings = Settings()
        file.write_text(_text(settings), encoding="utf-8")
        return settings
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _unreadable(file, str(error)) from error
    return _checked(file, document)


def _checked(file: Path, document: Mapping[str, object]) -> Settings:
    found = document.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise InputError(
            "newer_workspace",
            ko=f"이 작업 공간은 더 새로운 마당이 만들었어요 (형식 {found}, 이 프로그램은 {FORMAT}까지 알아요).",
            en=f"This workspace was written by a newer Madang (format {found}; this program knows up to {FORMAT}).",
            next_ko="마당을 새 판으로 올리거나 다른 작업 공간을 고르세요.",
            next_en="Upgrade Madang, or choose another workspace.",
            where={"file": str(file), "found": found, "known": FORMAT},
        )
    if found != FORMAT:
        raise _unreadable(file, f"format = {FORMAT} is missing")
    plain = Settings()
    zone = document.get("zone", plain.zone)
    language = document.get("language", plain.language)
    currency = document.get("currency", plain.currency)
    shift = document.get("shift_start", plain.shift_start)
    owner = document.get("owner", plain.owner)
    if not (isinstance(zone, str) and _is_zone(zone)):
        raise _unreadable(file, "zone: an IANA zone such as Asia/Seoul")
    if language != "ko" and language != "en":
        raise _unreadable(file, "language: ko or en")
    if not (isinstance(currency, str) and len(currency) == 3):
        raise _unreadable(file, "currency: three letters such as KRW")
    if not (isinstance(shift, int) and 0 <= shift < 24):
        raise _unreadable(file, "shift_start: an hour from 0 to 23")
    if not (isinstance(owner, str) and owner):
        raise _unreadable(file, "owner: a party's id")
    kept = [_text_or_none(file, document, name) for name in ("state", "state_schema", "state_password")]
    return Settings(zone, language, currency, shift, owner, *kept)


def _text_or_none(file: Path, document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    raise _unreadable(file, f"{name}: a text")


def _catalogue(root: Path, settings: Settings) -> str | None:
    if settings.state is None:
        return None
    from madang.workspace._catalogue import catalogue_address

    return catalogue_address(root / _FILE, settings.state, settings.state_schema, settings.state_password)


def _is_zone(name: str) -> bool:
    import zoneinfo

    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _text(settings: Settings) -> str:
    return (
        "# A Madang workspace. Change a value and open it again.\n"
        f"format = {FORMAT}\n"
        f'zone = "{settings.zone}"          # of local times that do not say theirs, and of shifts\n'
        f'language = "{settings.language}"\n'
        f'currency = "{settings.currency}"\n'
        f"shift_start = {settings.shift_start}             # local hour of the first of three shifts\n"
        f'owner = "{settings.owner}"\n'
    )


def _not_a_folder(root: Path) -> InputError:
    return InputError(
        "workspace_is_a_file",
        ko=f"‘{root}’은(는) 폴더가 아니라 파일이에요.",
        en=f"“{root}” is a file, not a folder.",
        next_ko="--workspace 로 폴더를 주세요.",
        next_en="Give a folder with --workspace.",
        where={"workspace": str(root)},
    )


def _cannot_write(root: Path) -> InputError:
    return InputError(
        "workspace_not_writable",
        ko=f"‘{root}’에 작업 공간을 만들거나 쓸 수 없어요.",
        en=f"A workspace cannot be made or written in “{root}”.",
        next_ko="쓸 수 있는 폴더를 --workspace 로 주세요.",
        next_en="Give a folder that can be written with --workspace.",
        where={"workspace": str(root)},
    )


def _unreadable(file: Path, what: str) -> InputError:
    return InputError(
        "workspace_unreadable",
        ko=f"‘{file}’을(를) 읽을 수 없어요: {what}",
        en=f"“{file}” cannot be read: {what}",
        next_ko="파일을 고치거나 다른 작업 공간을 고르세요.",
        next_en="Correct the file, or choose another workspace.",
        where={"file": str(file)},
    )
