"""From the spools into the lake, without end: pull, decode, number, keep the last values, commit, release."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from madang.connect import Block, Decoder, Message, Reject, Rows
from madang.errors import InputError
from madang.library._commit import Faults
from madang.library._lake import Lake
from madang.library._signals._commit import AlreadyTaken
from madang.library._signals._dataset import Counted, Sealed, SignalsWriter
from madang.library._signals._freshness import Freshness
from madang.library._signals._keeping import Keeping
from madang.library._signals._live import ConnectionReport, Frame, Frames, LiveReport, Replayed
from madang.library._signals._quarantine import Rejected
from madang.library._signals._refusals import MALFORMED, NO_DECODER, masked, out_of_range, refused, wrong_times
from madang.library._signals._resort import Resorted
from madang.library._signals._rows import RowsWriter, SealedRows, table_dataset
from madang.library._signals._samples import samples_of
from madang.library._signals._scales import Int32Array

if TYPE_CHECKING:
    from madang.library._state import State

_PULL: Final = 4 << 20
"""Bytes of frames that are read from a spool at once: few enough to stay in the processor's cache until they are held."""
_HOLD: Final = 2_800_000
"""Samples that are held before they are committed, whatever the interval."""
_GATHER_EVERY: Final = timedelta(seconds=10)
"""How often it is looked for files to re-sort."""
_HOLD_BYTES: Final = 128 << 20
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class _Attached:
    name: str
    spool: Frames
    decoder: Decoder | None
    dataset: str
    zone: str
    read: int
    committed: int
    changes: int = 0
    """Changes of tags that were taken in."""
    point_of: Int32Array = field(default_factory=lambda: np.zeros(64, dtype=np.int32))
    """Point of each tag number; 0 = not asked for yet."""
    tally: Counted = field(default_factory=Counted)
    freshness: Freshness = field(default_factory=Freshness)

    @property
    def app(self) -> str:
        return f"madang:{self.spool.id}"


class LiveIntake:
    """Brings what connections have spooled into the lake. Made by `Library.live`; one thread calls it.

    Args:
        lake: The table store.
        state: The catalogue.
        threads: With 2, one pulls and holds while the other sorts, writes and commits.
        interval: Time between commits.
        faults: For tests of interrupted commits.
        changed: Called after new datasets or points came about, to describe the lake anew.
    """

    def __init__(
        self,
        lake: Lake,
        state: State,
        *,
        threads: int = 2,
        interval: timedelta = timedelta(seconds=1),
        faults: Faults | None = None,
        changed: Callable[[], None] | None = None,
    ) -> None:
        self._lake = lake
        self._state = state
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit") if threads > 1 else None
        self._running: Future[list[tuple[_Attached, int, Counted]]] | None = None
        self._interval = interval
        self._faults = faults or Faults()
        self._changed = changed
        self._connections: dict[str, _Attached] = {}
        self._datasets: dict[str, SignalsWriter] = {}
        self._tables: dict[str, RowsWriter] = {}
        self._last_commit: datetime | None = None
        self._keeping = Keeping(lake, state, faults)
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="re-sort") if threads > 1 else None
        self._gathering: Future[dict[str, Resorted]] | None = None
        self._last_gather = datetime.min.replace(tzinfo=UTC)
        self._held_bytes = 0

    def attach(
        self, name: str, spool: Frames, decoder: Decoder | None, *, dataset: str | None = None, zone: str = "Asia/Seoul"
    ) -> None:
        """Take from a connection's spool from now on.

        Args:
            name: Name of the connection.
            spool: Its spool.
            decoder: What turns its raw messages into samples; None where it puts samples itself.
            dataset: Dataset of its samples; its own name when None. Several connections may share one.
            zone: IANA zone of wall-clock times in its tables.

        Raises:
            InputError: The dataset's name is not one, or belongs to data of another kind.
        """
        from madang.library._intake import checked_name

        home = checked_name(dataset or name)
        found = _Attached(name, spool, decoder, home, zone, spool.released, spool.released)
        writer = self._writer(home, find_only=True)
        taken = 0 if writer is None else writer.taken(found.app)
        if taken > spool.durable and hasattr(spool, "number_after"):
            spool.number_after(taken)
        self._connections[name] = found

    def detach(self, name: str) -> None:
        """Take no more from a connection; what was pulled and not committed stays in its spool."""
        if self._connections.pop(name, None) is not None:
            self._begin_again()

    def step(self, now: datetime, *, force: bool = False) -> LiveReport:
        """Pull what is durable, and commit when the interval is over, enough is held, or it is asked for.

        Args:
            now: The time.
            force: Commit everything that is durable now.

        Raises:
            OSError: The lake cannot be written (disk full); nothing is lost, and the next step tries again.
        """
        self._last_commit = self._last_commit or now
        committed = False
        while True:
            whole = self._pull(now)
            # A clock that was set back must not stop the commits until it has caught up.
            due = force or not timedelta(0) <= now - self._last_commit < self._interval or not whole
            if due and self._holds():
                self._commit_held(now)
                committed = True
            if whole:
                break
        self._settle()
        if due:
            self._last_commit = now
            self._describe(now)
            self._gather(now)
        return LiveReport(self._reports(), committed, self._waiting())

    def replay(self, name: str, now: datetime) -> Replayed:
        """Read what a connection's quarantine holds again, by today's rule; what is understood now goes where it belongs.

        A file of the quarantine is first cut into what is understood and what is not; the first part is then committed under a mark
        of its own and leaves the quarantine, so that a crash in between neither loses nor doubles a sample.

        Args:
            name: Name of an attached connection.
            now: The time.
        """
        self.step(now, force=True)
        connection = self._connections[name]
        writer = self._writer_of(connection, now)
        taken = left = 0
        for path, table in writer.rejected():
            mine = [r["connection"] == name for r in table.select(["connection"]).to_pylist()]
            if not any(mine):
                continue
            app = f"madang:replay:{path}"
            if writer.taken(app):
                writer.replace_rejects(path, [], now)
                taken += len(table)
                continue
            good = [m and self._understood(connection, r) is not None for m, r in zip(mine, table.to_pylist(), strict=True)]
            left += sum(mine) - sum(good)
            if not any(good):
                continue
            if not all(good):
                parts = [table.filter(masked(good)), table.filter(masked([not g for g in good]))]
                path = writer.replace_rejects(path, parts, now)[0]
                app, table = f"madang:replay:{path}", parts[0]
            for record in table.to_pylist():
                for block in self._understood(connection, record) or ():
                    self._hold(connection, writer, app, 1, block, now, decoded=True)
            self._commit_held(now)
            self._settle()
            writer.replace_rejects(path, [], now)
            taken += len(table)
        return Replayed(taken, left)

    def _understood(self, connection: _Attached, record: Mapping[str, object]) -> list[Block] | None:
        """Return the blocks that a record of the quarantine holds by today's rule, None where it is still not understood."""
        if connection.decoder is None or record["code"] == "time_out_of_range":
            return None
        received = record["received"]
        assert isinstance(received, datetime)
        message = Message(
            str(record["topic"]),
            record["payload"] if isinstance(record["payload"], bytes) else b"",
            (received - _EPOCH) // timedelta(microseconds=1),
        )
        try:
            decoded = connection.decoder.decode([message], connection.spool.tags.number_of)
        except Exception:
            return None
        blocks = list(decoded.blocks)
        timely = all(not wrong_times(b.batch.column("time").view(pa.int64()).to_numpy()).any() for b in blocks)
        return blocks if timely and not decoded.rejects else None

    def close(self) -> None:
        """Let go; what is not committed stays in the spools."""
        for writer in self._datasets.values():
            writer.close()
        for pool in (self._committer, self._keeper):
            if pool is not None:
                pool.shutdown()

    def _waiting(self) -> int:
        return sum(map(len, self._datasets.values())) + sum(map(len, self._tables.values()))

    def _holds(self) -> bool:
        return self._waiting() > 0 or any(c.read > c.committed for c in self._connections.values())

    def _pull(self, now: datetime) -> bool:
        """Read frames until all that is durable is held; False when enough is held before that."""
        for connection in self._connections.values():
            while True:
                if self._waiting() >= _HOLD or self._held_bytes >= _HOLD_BYTES:
                    return False
                connection.read = max(connection.read, connection.spool.released)
                frames = connection.spool.read(connection.read, _PULL)
                if not frames:
                    break
                for frame in frames:
                    self._take(connection, frame, now)
                    connection.read = frame.sequence
        return True

    def _take(self, connection: _Attached, frame: Frame, now: datetime) -> None:
        content = frame.content
        if isinstance(content, Block):
            self._block(connection, frame.sequence, content, now, decoded=False)
        elif isinstance(content, Rows):
            self._rows(connection, frame.sequence, content, now)
        elif isinstance(content, Reject):
            self._reject(connection, frame.sequence, content, now)
        else:
            self._messages(connection, frame.sequence, content, now)

    def _rows(self, connection: _Attached, sequence: int, rows: Rows, now: datetime) -> None:
        self._held_bytes += rows.batch.nbytes
        connection.freshness.see_rows(rows.received)
        name = table_dataset(connection.dataset, rows.table)
        writer = self._tables.get(name)
        if writer is None:
            try:
                writer = self._rows_writer(name, connection, rows, now)
            except InputError as error:
                if error.code != "dataset_of_another_kind":
                    raise
                writer = self._rows_writer(f"{name}.live", connection, rows, now)
            self._tables[name] = writer
        writer.hold(connection.app, connection.name, sequence, rows)

    def _rows_writer(self, name: str, connection: _Attached, rows: Rows, now: datetime) -> RowsWriter:
        return RowsWriter.open(self._lake, self._state, name, connection.name, rows, connection.zone, now, self._faults)

    def _messages(self, connection: _Attached, sequence: int, messages: Sequence[Message], now: datetime) -> None:
        decoder = connection.decoder
        if decoder is None:
            for message in messages:
                self._reject(connection, sequence, refused(message, "no_decoder", NO_DECODER), now)
            return
        number_of = connection.spool.tags.number_of
        try:
            decoded = [decoder.decode(messages, number_of)]
        except Exception:  # a fault of one message must not stop the connection: each is tried alone
            decoded = []
            for message in messages:
                try:
                    decoded.append(decoder.decode([message], number_of))
                except Exception:
                    self._reject(connection, sequence, refused(message, "malformed", MALFORMED), now)
        for one in decoded:
            for block in one.blocks:
                self._block(connection, sequence, block, now, decoded=True)
            for reject in one.rejects:
                self._reject(connection, sequence, reject, now)

    def _block(self, connection: _Attached, sequence: int, block: Block, now: datetime, *, decoded: bool) -> None:
        if len(block) == 0:
            return
        self._hold(connection, self._writer_of(connection, now), connection.app, sequence, block, now, decoded=decoded)

    def _hold(
        self,
        connection: _Attached,
        writer: SignalsWriter,
        app: str,
        sequence: int,
        block: Block,
        now: datetime,
        *,
        decoded: bool,
    ) -> None:
        self._number(connection, writer, block, sequence, now, decoded=decoded)
        samples = samples_of(block.batch, connection.point_of)
        self._held_bytes += block.batch.nbytes
        wrong = wrong_times(samples.time)
        if wrong.any():
            self._reject(connection, sequence, out_of_range(connection.name, block, wrong), now)
            samples = samples_of(block.batch.filter(masked(~wrong)), connection.point_of)
        if writer.taken(app) < sequence:
            writer.hold(app, connection.name, sequence, samples, block.origin)
        connection.freshness.see(samples, block)
        writer.show(samples, block.received)

    def _number(
        self, connection: _Attached, writer: SignalsWriter, block: Block, sequence: int, now: datetime, *, decoded: bool
    ) -> None:
        """Give every tag of a block its point, and take in what the source said anew about tags before this frame."""
        book = connection.spool.tags
        tags = block.batch.column("tag").to_numpy()
        highest = int(tags.max())
        if highest >= len(connection.point_of):
            connection.point_of = np.append(connection.point_of, np.zeros(highest + 1, dtype=np.int32))
        changed = book.changes(0)[connection.changes :]
        due = [c for c in changed if decoded or c[0] < sequence]
        connection.changes += len(due)
        fresh = {number: tag for _, number, tag in due}
        missing = connection.point_of.take(tags) == 0
        for number in np.unique(tags[missing]).tolist() if missing.any() else ():
            with contextlib.suppress(KeyError):
                fresh.setdefault(number, book.tag(number))
        if not fresh:
            return
        if self._running is not None:
            wait([self._running])
        first = {n: _first_time(block, tags, n) for n in fresh}
        points = writer.number(connection.name, fresh, first, now)
        highest = max(fresh)
        if highest >= len(connection.point_of):
            connection.point_of = np.append(connection.point_of, np.zeros(highest + 1, dtype=np.int32))
        for number, tag in fresh.items():
            connection.point_of[number] = points[tag.name]
        if self._changed is not None:
            writer.changed = True

    def _reject(self, connection: _Attached, sequence: int, reject: Reject, now: datetime) -> None:
        writer = self._writer_of(connection, now)
        self._held_bytes += len(reject.payload)
        writer.hold_reject(connection.app, Rejected(connection.name, sequence, reject))

    def _writer_of(self, connection: _Attached, now: datetime) -> SignalsWriter:
        writer = self._datasets.get(connection.dataset)
        if writer is None:
            try:
                writer = self._writer(connection.dataset, now=now)
            except InputError as error:
                if error.code != "dataset_of_another_kind":
                    raise
                # Files were brought in under that name: what is live stands beside them, and no other connection stops for it.
                connection.dataset += ".live"
                writer = self._writer(connection.dataset, now=now)
            assert writer is not None
        return writer

    def _writer(self, dataset: str, *, find_only: bool = False, now: datetime | None = None) -> SignalsWriter | None:
        writer = self._datasets.get(dataset)
        if writer is None:
            writer = SignalsWriter.open(self._lake, self._state, dataset, None if find_only else now, self._faults)
            if writer is not None:
                self._datasets[dataset] = writer
        return writer

    def _commit_held(self, now: datetime) -> None:
        """Begin to commit everything that is held, once the commit before is through."""
        self._settle()
        if not self._holds():  # the commit before had to be begun again
            return
        sealed = [(writer, writer.seal()) for writer in self._datasets.values() if len(writer)]
        tables = [(writer, writer.seal()) for writer in self._tables.values() if len(writer)]
        read = [(c, c.read) for c in self._connections.values() if c.read > c.committed]
        self._held_bytes = 0
        self._running = Future()
        if self._committer is None:
            try:
                self._running.set_result(self._commit(sealed, tables, read, now))
            except BaseException as error:
                self._running.set_exception(error)
        else:
            self._running = self._committer.submit(self._commit, sealed, tables, read, now)

    def _commit(
        self,
        sealed: list[tuple[SignalsWriter, Sealed]],
        tables: list[tuple[RowsWriter, SealedRows]],
        read: list[tuple[_Attached, int]],
        now: datetime,
    ) -> list[tuple[_Attached, int, Counted]]:
        """Commit, and only then let go of the spools' frames."""
        counted: dict[str, Counted] = {}
        for table, entries in tables:
            for name, count in table.commit(entries, now).items():
                counted.setdefault(name, Counted()).rows += count
        for writer, held in sealed:
            for name, one in writer.commit(held, now).items():
                counted.setdefault(name, Counted()).add(one)
        for connection, upto in read:
            connection.spool.release(upto)
        self._faults.at("live:released")
        return [(c, upto, counted.get(c.name, Counted())) for c, upto in read]

    def _settle(self) -> None:
        """Wait for the running commit and take in what came of it."""
        running, self._running = self._running, None
        if running is None:
            return
        try:
            done = running.result()
        except AlreadyTaken:
            self._begin_again()
            return
        except BaseException:
            self._begin_again()
            raise
        for connection, upto, counted in done:
            connection.committed = upto
            connection.tally.add(counted)

    def _begin_again(self) -> None:
        """Forget what is held; it is pulled again from where the spools are released to."""
        for writer in self._datasets.values():
            writer.forget()
        for table in self._tables.values():
            table.forget()
        self._held_bytes = 0
        for connection in self._connections.values():
            connection.read = connection.committed = connection.spool.released

    def _describe(self, now: datetime) -> None:
        changed = False
        for writer in self._datasets.values():
            writer.describe_points(now)
            changed |= writer.changed
            writer.changed = False
        for table in self._tables.values():
            changed |= table.changed
            table.changed = False
        if changed and self._changed is not None:
            self._changed()

    def _gather(self, now: datetime) -> None:
        """Re-sort what is due, beside the intake; what goes wrong there shows at the next time and costs only room."""
        if timedelta(0) <= now - self._last_gather < _GATHER_EVERY or (
            self._gathering is not None and not self._gathering.done()
        ):
            return
        self._last_gather = now
        if self._keeper is None:
            self._keeping.resort(now)
            return
        if self._gathering is not None:
            self._gathering.result()
        self._gathering = self._keeper.submit(self._keeping.resort, now, share=0.5)

    def _reports(self) -> dict[str, ConnectionReport]:
        found = {}
        for connection in self._connections.values():
            tally, connection.tally = connection.tally, Counted()
            found[connection.name] = ConnectionReport(
                connection.name,
                connection.dataset,
                connection.committed,
                tally.samples,
                tally.duplicates,
                tally.rejects,
                tally.rows,
                connection.freshness.newest_good,
                connection.freshness.skew(),
            )
        return found


def _first_time(block: Block, tags: Int32Array, number: int) -> int:
    at = np.flatnonzero(tags == number)
    return int(block.batch.column("time")[int(at[0])].value) if len(at) else block.received
