"""Pushed batches: each is durable before it is answered, and one sent again under its key is answered again and not kept again.

A key is written, flushed, with the sequence that the batch's last frame will have, before the batch is put into the spool. Frames become durable
in order; so after a crash a key whose sequence is not durable belongs to a batch that was lost, and is forgotten before anything
else is put.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from madang.connect import Collector, Reject, Tag
from madang.errors import InputError, Json, MadangError, MissingError
from madang.workspace._running import RunningConnection

if TYPE_CHECKING:
    from madang.connect.http import Payload, Problem
    from madang.connect.http._payload import PayloadFormat, PushOptions

KEPT_FOR: Final = timedelta(days=7)
"""How long a key is remembered."""
_PATIENCE: Final = 30.0
"""Longest wait for the disk [s]."""
_LONGEST_KEY: Final = 200


@dataclass(frozen=True)
class PushAnswer:
    """What was taken of a pushed batch."""

    accepted: int
    """Samples that are durable now."""
    rejected: int
    """Samples set aside, where the connection keeps the rest of a batch."""
    again: bool
    """Whether the batch had been taken before under the same key; nothing was kept twice."""
    problems: tuple[dict[str, Json], ...] = ()

    def document(self) -> dict[str, Json]:
        """Return it for a report."""
        return {"accepted": self.accepted, "rejected": self.rejected, "again": self.again, "problems": [*self.problems]}


class PushKeys:
    """The keys of batches of one connection, in ``push.sqlite`` beside its spool.

    Args:
        path: The file.
        durable: Sequence of the newest durable frame of the spool, when the file is opened.
        clock: Gives aware times.
    """

    def __init__(self, path: Path, durable: int, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS keys"
            " (key TEXT PRIMARY KEY, body BLOB NOT NULL, sequence INTEGER NOT NULL, answer TEXT NOT NULL, time TEXT NOT NULL)"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS keys_time ON keys (time)")
        self._db.execute("DELETE FROM keys WHERE sequence > ?", (durable,))

    def find(self, key: str) -> tuple[bytes, dict[str, Json]] | None:
        """Return digest and answer of a key."""
        row = self._db.execute("SELECT body, answer FROM keys WHERE key = ?", (key,)).fetchone()
        return None if row is None else (bytes(row[0]), json.loads(row[1]))

    def keep(self, key: str, body: bytes, sequence: int, answer: dict[str, Json]) -> None:
        """Keep a key; it survives a power loss when this returns."""
        now = self._clock()
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM keys WHERE time < ?", ((now - KEPT_FOR).isoformat(),))
        self._db.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?)", (key, body, sequence, json.dumps(answer), now.isoformat()))
        self._db.execute("COMMIT")

    def drop(self, key: str) -> None:
        """Forget a key whose batch could not be put."""
        self._db.execute("DELETE FROM keys WHERE key = ?", (key,))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


class PushDoor:
    """Takes pushed batches of one running connection; may be called from any thread.

    Args:
        running: The connection; its spool is open.
        options: How its bodies are read.
        clock: Gives aware times.
    """

    def __init__(self, running: RunningConnection, options: PushOptions, clock: Callable[[], datetime]) -> None:
        spool = running.spool
        if spool is None:
            raise not_running(running.name)
        self._running = running
        self._spool = spool
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: dict[str, threading.Event] = {}
        """Keys of batches that are put and not durable yet."""
        self._numbers: dict[str, int] = {}
        self._latest: tuple[list[str], list[int]] = ([], [])
        self._tags: dict[str, Tag] = {tag.name: tag for tag in spool.tags.all().values()}
        self._keys = PushKeys(running.folder / "push.sqlite", spool.durable, clock)

    def close(self) -> None:
        """Close the file of keys."""
        with self._lock:
            self._keys.close()

    def take(self, body: bytes, form: PayloadFormat, *, key: str | None = None, rest: str | None = None) -> PushAnswer:
        """Make a batch durable and say what was taken.

        Args:
            body: What came.
            form: How it is written.
            key: The sender's key of this batch; the same key again gives the same answer and keeps nothing twice.
            rest: ``keep`` or ``refuse``, where the batch says otherwise than its connection.

        Raises:
            InputError: Something in the batch cannot be taken and the rest is not wanted; or the key belongs to another batch.
            MissingError: The connection does not run, or the disk does not take it; nothing is lost when it is sent again.
        """
        from madang.connect.http import Payload

        _check_key(key)
        received = int(self._clock().timestamp() * 1_000_000)
        digest = hashlib.sha256(form.encode() + b"\0" + body).digest()
        if key is not None and (known := self._known(key, digest)) is not None:
            return known
        if self._spool.trouble is not None:
            raise _disk(self._running.name)
        payload = Payload.read(body, form, self._options, received)
        if payload.problems and ((rest or self._options.rest) != "keep" or not payload.samples):
            raise _refused(payload, self._running.name)
        answer = PushAnswer(
            payload.samples, payload.refused, again=False, problems=tuple(p.document() for p in payload.problems)
        )
        durable = self._put(payload, received, key, digest, answer)
        if durable is None:  # the same key came in between
            return self.take(body, form, key=key, rest=rest)
        self._settle(durable)
        return answer

    def _known(self, key: str, digest: bytes) -> PushAnswer | None:
        with self._lock:
            found = self._keys.find(key)
            durable = self._under_way.get(key)
        if found is None:
            return None
        body, answer = found
        if body != digest:
            raise _other_body(key)
        if durable is not None:
            self._settle(durable)
        accepted, rejected, problems = answer["accepted"], answer["rejected"], answer["problems"]
        assert isinstance(accepted, int) and isinstance(rejected, int) and isinstance(problems, list)
        return PushAnswer(accepted, rejected, again=True, problems=tuple(p for p in problems if isinstance(p, dict)))

    def _put(
        self, payload: Payload, received: int, key: str | None, digest: bytes, answer: PushAnswer
    ) -> threading.Event | None:
        """Put a batch into the spool; returns what is set once it is durable, None when its key is known by now."""
        with self._lock:
            collector = self._running.collector
            if collector is None:
                raise not_running(self._running.name)
            block = payload.block(self._numbers_of(collector, payload), received)
            rejects = _rejects(payload.problems, received)
            # What is set aside goes first, so that it is durable too when the answer is given. The samples are one frame: a crash
            # keeps all of them and the key, or none and no key.
            sequence = self._spool.appended + len(rejects) + (block is not None)
            if key is not None:
                if self._keys.find(key) is not None:
                    return None
                self._keys.keep(key, digest, sequence, answer.document())
            durable = threading.Event()
            if key is not None:
                self._under_way[key] = durable

            def done() -> None:
                if key is not None:
                    self._under_way.pop(key, None)
                durable.set()

            try:
                for reject in rejects:
                    collector.put_reject(reject)
                if block is not None:
                    collector.put_block(block, done)
            except BaseException:
                if key is not None and self._spool.appended < sequence:
                    self._keys.drop(key)
                    self._under_way.pop(key, None)
                raise
            if block is None:
                done()
            return durable

    def _numbers_of(self, collector: Collector, payload: Payload) -> list[int]:
        """Return the numbers of a batch's tags; a sender names the same ones each time, and then they are known."""
        names, numbers = self._latest
        if payload.tags or payload.names != names:
            numbers = [self._number(collector, name, payload.tags.get(name)) for name in payload.names]
            self._latest = (payload.names, numbers)
        return numbers

    def _number(self, collector: Collector, name: str, said: Tag | None) -> int:
        """Return the number of a tag; a batch that says nothing about it takes nothing back."""
        known = self._tags.get(name)
        number = self._numbers.get(name)
        if number is not None and (said is None or said == known):
            return number
        tag = said or Tag(name)
        if known is not None:
            tag = replace(
                tag,
                label=tag.label or known.label,
                unit=tag.unit or known.unit,
                low=known.low if tag.low is None else tag.low,
                high=known.high if tag.high is None else tag.high,
                description=tag.description or known.description,
            )
        self._tags[name] = tag
        number = self._numbers[name] = collector.number_of(tag)
        return number

    def _settle(self, durable: threading.Event) -> None:
        if not durable.wait(_PATIENCE):
            raise _disk(self._running.name)


def _rejects(problems: Sequence[Problem], received: int) -> list[Reject]:
    return [
        Reject(f"push sample {p.index}", p.field.encode(), p.text, p.code, received) for p in problems if p.index is not None
    ]


def _check_key(key: str | None) -> None:
    if key is not None and (not 0 < len(key) <= _LONGEST_KEY or not key.isprintable()):
        raise InputError(
            "bad_key",
            ko=f"Idempotency-Key 는 보이는 글자로 {_LONGEST_KEY}자까지예요.",
            en=f"An Idempotency-Key has 1 to {_LONGEST_KEY} printable letters.",
            next_ko="묶음마다 새 UUID 를 쓰세요.",
            next_en="Use a new UUID for each batch.",
            where={"field": "Idempotency-Key"},
        )


def _refused(payload: Payload, name: str) -> InputError:
    first = payload.problems[0]
    where: dict[str, Json] = {
        "connection": name,
        "refused": payload.refused,
        "taken": 0,
        "problems": [p.document() for p in payload.problems],
    }
    place_ko = f"{first.index}번째 값의 {first.field or '모양'}: " if first.index is not None else ""
    place_en = f"sample {first.index}, {first.field or 'shape'}: " if first.index is not None else ""
    return InputError(
        "bad_samples",
        ko=f"받을 수 없는 값이 {payload.refused:,}개 있어서 아무것도 받지 않았어요. {place_ko}{first.text.ko}",
        en=f"{payload.refused:,} cannot be taken, so nothing was taken. {place_en}{first.text.en}",
        next_ko="고쳐서 묶음 전체를 다시 보내거나, ?rest=keep 을 붙여 나머지만 받게 하세요 (틀린 값은 격리돼요).",
        next_en="Correct it and send the whole batch again, or add ?rest=keep to have the rest taken and the wrong ones set aside.",
        where=where,
    )


def _other_body(key: str) -> InputError:
    return InputError(
        "key_used",
        ko="이 Idempotency-Key 는 내용이 다른 묶음에 이미 쓰였어요.",
        en="This Idempotency-Key was used for a batch with another content.",
        next_ko="새 묶음에는 새 열쇠를 쓰세요.",
        next_en="Use a new key for a new batch.",
        where={"field": "Idempotency-Key", "length": len(key)},
    )


def not_running(name: str) -> MadangError:
    """The error for a push to a connection that does not run in this process."""
    return MissingError(
        "connection_not_running",
        ko=f"‘{name}’ 연결이 지금 이 프로그램에서 돌고 있지 않아요. 아무것도 받지 않았어요.",
        en=f"The connection “{name}” does not run in this process just now. Nothing was taken.",
        next_ko=f"madang connect start {name} 로 시작하고, 다른 connect run 을 멈춘 뒤 madang serve 를 켜세요. 그다음 다시 보내세요.",
        next_en=f"Start it with madang connect start {name}, stop any other connect run, run madang serve, then send it again.",
        where={"connection": name},
        retry=True,
    )


def _disk(name: str) -> MadangError:
    return MissingError(
        "not_durable",
        ko=f"디스크가 ‘{name}’의 값을 제때 받아 적지 못했어요. 남았는지 알 수 없어요.",
        en=f"The disk did not take what “{name}” sent in time; whether it is kept is not known.",
        next_ko="같은 Idempotency-Key 로 다시 보내세요. 두 번 남지 않아요.",
        next_en="Send it again under the same Idempotency-Key; it is not kept twice.",
        where={"connection": name},
        retry=True,
    )
