"""The source: hands settled files to whoever takes them in, and keeps account of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from madang.connect._blocks import BLOCK_SCHEMA, Block, Reject, Tag
from madang.connect._source import ConnectionSettings, Decoder, Sink, SourceDescription, TestStep
from madang.connect.folder import DESCRIPTION
from madang.connect.folder._ledger import Entry, Fate, FileLedger, Stamp
from madang.connect.folder._look import Watch, content_of, read_options
from madang.errors import MadangError
from madang.plant import Bilingual, Interval

OnFiles = Callable[[Sequence[Path]], None]
_LONGEST_WAIT = 60.0


class FolderSource:
    """One watched folder.

    Args:
        settings: The path, and options.
        clock: The time now (UTC); only differences of it count, never the distance to times of the file system.
    """

    on_files: OnFiles | None = None
    """Takes settled files in, and returns once they are kept. It is set before `subscribe`, is called in the source's thread, and raises a
    MadangError for files that cannot be taken (with `retry` for those that may be taken later). A crash after it returned and before the
    account was saved hands the same files over again, which an intake by content does not keep twice."""

    def __init__(self, settings: ConnectionSettings, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._clock = clock
        self._options = read_options(settings)
        self._watch = Watch(self._options)
        self._ledger: FileLedger | None = None
        self._missed: str | None = None
        self._last_good: datetime | None = None

    @property
    def description(self) -> SourceDescription:
        """What folders can do."""
        return DESCRIPTION

    def test(self) -> Iterator[TestStep]:
        """Try whether the folder is there, may be read, and holds files that are taken."""
        folder = self._options.folder
        if not folder.is_dir():
            yield TestStep(
                "name", "failed", Bilingual(f"'{folder}' 라는 폴더가 없어요.", f"There is no folder '{folder}'."),
                Bilingual("경로를 확인하고, 공유 폴더면 연결됐는지 확인해 주세요.", "Check the path; for a share, that it is mounted."),
            )  # fmt: skip
            return
        yield TestStep("name", "ok", Bilingual("폴더가 있어요.", "The folder is there."))
        yield TestStep("tcp", "skipped", Bilingual("폴더라 네트워크 포트가 없어요.", "A folder has no network port."))
        try:
            found = self._watch.candidates()
        except OSError:
            yield TestStep(
                "login", "failed", Bilingual("폴더를 열 권한이 없어요.", "There is no right to look into the folder."),
                Bilingual("이 사용자에게 읽기 권한을 주세요.", "Give this user the right to read it."),
            )  # fmt: skip
            return
        yield TestStep("login", "ok", Bilingual("폴더를 열 수 있어요.", "The folder can be looked into."))
        count = len(found)
        yield TestStep("browse", "ok", Bilingual(f"읽을 파일이 {count}개 있어요.", f"It holds {count} files that are taken."))
        if not found:
            yield TestStep("value", "skipped", Bilingual("아직 파일이 없어요.", "There is no file yet."))
            return
        name = next(iter(found))
        try:
            with (folder / name).open("rb") as stream:
                stream.read(1)
        except OSError:
            yield TestStep(
                "value", "failed", Bilingual(f"'{name}' 을 열 수 없어요.", f"'{name}' cannot be opened."),
                Bilingual("파일의 읽기 권한을 확인해 주세요.", "Check the right to read the file."),
            )  # fmt: skip
            return
        yield TestStep("value", "ok", Bilingual("파일 하나를 열어 봤어요.", "One file was opened."))

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        """Return the files that are taken, below a path of the folder."""
        prefix = f"{under.rstrip('/')}/" if under else ""
        found = [(path, stamp) for path, stamp in self._watch.candidates().items() if path.startswith(prefix)]
        return [
            Tag(path, data_type="text", parent=path.rpartition("/")[0], facts={"bytes": str(stamp.size)})
            for path, stamp in found[:limit]
        ]

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        """Return an empty block: a folder has files, no values."""
        return Block(pa.RecordBatch.from_pylist([], schema=BLOCK_SCHEMA), int(self._clock().timestamp() * 1_000_000))

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        """Look into the folder again and again until `stop` is set."""
        self._ledger = None
        self._missed = None
        sink.state("starting")
        wait = self._options.every
        while not stop.is_set():
            good = self.round(sink, stop)
            wait = self._options.every if good else min(_LONGEST_WAIT, wait * 2 + 0.1)
            stop.wait(wait)
        sink.state("stopped")

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        """Return 0: files that lie in the folder are found without it."""
        return 0

    def decoder(self) -> Decoder | None:
        """Return None: files are decoded by the intake."""
        return None

    def close(self) -> None:
        """Do nothing; no file is held open."""

    # ---- one look

    def round(self, sink: Sink, stop: threading.Event | None = None) -> bool:
        """Look once, and hand over what has settled; returns False when the folder or the intake was not there."""
        if self._ledger is None:
            self._ledger = FileLedger(sink)
        now = self._clock()
        try:
            whole = self._watch.settled(now, self._ledger)
        except OSError as error:
            if self._missed is None:
                self._missed = sink.gap_opened("disconnected", self._last_good or now, note=type(error).__name__)
            sink.state("disconnected", _AWAY)
            return False
        self._last_good = now
        if self._missed is not None:
            sink.gap_closed(self._missed, now)
            # Files wait in the folder, so nothing of the time in between is lost.
            sink.gap_filled(self._missed, 0, whole=True)
            self._missed = None
        fresh = self._new_content(whole, self._ledger)
        self._ledger.save()
        return self._hand_over(fresh, sink, self._ledger, stop)

    def _new_content(self, whole: dict[str, Stamp], ledger: FileLedger) -> list[tuple[str, Stamp, str]]:
        """Return the files whose content was not handed over yet, the oldest first."""
        fresh: list[tuple[str, Stamp, str]] = []
        coming: set[str] = set()
        for path, stamp in sorted(whole.items(), key=lambda found: (found[1].changed, found[0])):
            content = content_of(self._options.folder / path, stamp)
            if content is None:
                self._watch.forget(path)
                continue
            known = ledger.entry(path)
            if known is not None and known.content == content:
                # It was only touched, or copied over itself.
                ledger.note(path, Entry(stamp, content, known.fate))
            elif content in coming or ledger.taken_as(content) is not None:
                # Renamed, or the same export under a second name.
                ledger.note(path, Entry(stamp, content, "same"))
            else:
                coming.add(content)
                fresh.append((path, stamp, content))
                continue
            self._watch.dealt_with(path)
        return fresh

    def _hand_over(
        self, fresh: list[tuple[str, Stamp, str]], sink: Sink, ledger: FileLedger, stop: threading.Event | None
    ) -> bool:
        if not fresh:
            sink.state("connected")
            return True
        try:
            self._take([path for path, _, _ in fresh])
        except MadangError as error:
            if error.retry:
                return self._later(error, sink)
            if len(fresh) == 1:
                self._refuse(fresh[0], error, sink, ledger)
                sink.state("connected")
                return True
            # One of them cannot be taken: find it, and let the others through.
            return all(self._hand_over([one], sink, ledger, stop) for one in fresh if stop is None or not stop.is_set())
        for one in fresh:
            self._deal(one, "taken", ledger)
        ledger.save()
        sink.state("connected")
        return True

    def _take(self, paths: Sequence[str]) -> None:
        if self.on_files is None:
            raise MadangError(
                "no_intake",
                ko=f"폴더 '{self._settings.name}' 의 파일을 받을 곳이 정해지지 않았어요.",
                en=f"Nobody takes the files of the folder '{self._settings.name}'.",
                next_ko="madang connect run 으로 시작해 주세요.",
                next_en="Start it with madang connect run.",
                where={"connection": self._settings.name},
                retry=True,
            )
        self.on_files([self._options.folder / path for path in paths])

    def _later(self, error: MadangError, sink: Sink) -> bool:
        sink.state("degraded", Bilingual(error.ko, error.en))
        return False

    def _refuse(self, one: tuple[str, Stamp, str], error: MadangError, sink: Sink, ledger: FileLedger) -> None:
        sink.put_reject(
            Reject(
                topic=one[0],
                payload=one[0].encode("utf-8", "surrogateescape"),
                reason=Bilingual(error.ko, error.en),
                code="unreadable_file",
                received=int(self._clock().timestamp() * 1_000_000),
            )
        )
        self._deal(one, "refused", ledger)
        ledger.save()

    def _deal(self, one: tuple[str, Stamp, str], fate: Fate, ledger: FileLedger) -> None:
        path, stamp, content = one
        ledger.note(path, Entry(stamp, content, fate))
        self._watch.dealt_with(path)


_AWAY = Bilingual("폴더에 닿을 수 없어요. 계속 다시 살펴요.", "The folder cannot be reached; looking goes on.")
