"""The runner runs what should run, says why something does not, and loses nothing when it stops."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from madang.connect import (
    BLOCK_SCHEMA,
    Block,
    ConnectionSettings,
    Ledger,
    Reject,
    Sink,
    Source,
    SourceDescription,
    Tag,
)
from madang.connect import TestStep as Step
from madang.connect.folder import DESCRIPTION as FOLDER
from madang.connect.folder import make as make_folder
from madang.connect.http._source import HttpSource
from madang.errors import InputError, MadangError, MissingError
from madang.plant import Bilingual, Interval
from madang.workspace import Workspace
from madang.workspace._connections import Connections
from madang.workspace._runner import Runner, RunnerState
from madang.workspace._secrets import Secrets

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SECRET = "Pl4nted-S3cret-0f-the-K1ln"
PRETEND = SourceDescription(
    "pretend",
    Bilingual("흉내", "pretend"),
    frozenset({"subscribe"}),
    {"behaviour": Bilingual("행동", "behaviour")},
    frozenset({"password"}),
)
HTTP = HttpSource(ConnectionSettings("x", "http", "")).description


class PretendSource:
    """Sends one sample each 5 ms; breaks down as its option says."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self.description = PRETEND
        self.runs = 0
        if settings.options.get("behaviour") == "missing":
            raise MissingError("no_extra", ko="없어요", en="It is not there", next_en="pip install 'madang[x]'")

    def test(self) -> Iterator[Step]:
        yield Step("name", "ok", Bilingual("좋아요", "fine"))

    def browse(self, under: str = "", limit: int = 1000) -> Sequence[Tag]:
        return [Tag("a")]

    def read(self, tags: Sequence[str], sink: Sink) -> Block:
        raise NotImplementedError

    def subscribe(self, sink: Sink, stop: threading.Event) -> None:
        behaviour = self._settings.options.get("behaviour")
        number = sink.number_of(Tag("a", unit="℃"))
        sink.state("connected")
        count = 0
        while not stop.wait(0.005):
            time_us = int(NOW.timestamp() * 1e6) + int(time.monotonic() * 1e6)
            row = {"tag": number, "time": time_us, "number": float(count), "text": None, "quality": 0}
            sink.put_block(Block(pa.RecordBatch.from_pylist([row], schema=BLOCK_SCHEMA), time_us))
            count += 1
            if behaviour == "ends" and count == 20:
                return
            if behaviour == "refuses":
                raise InputError(
                    "bad",
                    ko=f"비밀번호 {SECRET} 이(가) 틀려요",
                    en=f"password {SECRET} is wrong",
                    next_ko="고쳐요",
                    next_en="Fix",
                )
            if behaviour == "breaks":
                raise ValueError(f"cannot log in with {self._settings.secrets['password']}")

    def backfill(self, tags: Sequence[str], interval: Interval, sink: Sink) -> int:
        return 0

    def decoder(self) -> None:
        return None

    def close(self) -> None:
        if self._settings.options.get("behaviour") == "breaks":
            raise OSError(f"closing {self._settings.secrets['password']}")


def _make(settings: ConnectionSettings) -> Source:
    if settings.kind == "folder":
        return make_folder(settings)
    return HttpSource(settings) if settings.kind == "http" else PretendSource(settings)


class Plant:
    """A workspace with a runner over pretended sources."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace.open(root)
        box = Secrets(root, {"MADANG_SECRET_KEY": "ab" * 32})
        self.connections = Connections(
            root, self.clock, box, kinds=lambda: {"pretend": PRETEND, "http": HTTP, "folder": FOLDER}
        )
        self.runner = self.new_runner()
        self.state = RunnerState(root, self.clock)

    def clock(self) -> datetime:
        return datetime.now(UTC)

    def new_runner(self) -> Runner:
        return Runner(self.workspace.root, self.workspace.library, self.connections, clock=self.clock, make=_make)

    def count(self, name: str, what: str) -> int:
        value = self.runner.documents().get(name, {}).get(what, 0)
        return value if isinstance(value, int) else 0

    def stored(self, dataset: str) -> int:
        return sum(int(p.samples or 0) for p in self.workspace.library.points(dataset))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path / "공장")
    yield made
    made.runner.stop()
    made.workspace.close()


def eventually(true: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def test_everything_that_came_is_in_the_lake_when_the_runner_stops(plant: Plant) -> None:
    plant.connections.add("kiln", "pretend", "")
    plant.connections.add("silent", "pretend", "", wanted="paused")
    plant.runner.start()
    eventually(lambda: plant.count("kiln", "received") > 20)
    assert plant.state.head()["running"] is True
    assert plant.runner.documents()["silent"]["state"] == "paused"
    plant.runner.stop()
    kept = plant.state.document("kiln")
    assert kept["received"] == kept["durable"] == kept["committed"] == plant.stored("kiln")
    assert isinstance(kept["committed"], int)
    assert kept["committed"] > 20
    assert plant.state.head()["running"] is False


def test_counts_go_on_where_the_last_run_ended(plant: Plant) -> None:
    plant.connections.add("kiln", "pretend", "", options={"behaviour": "ends"})
    for expected in (20, 40):
        plant.runner.run(idle=0.5)
        document = plant.state.document("kiln")
        assert (document["received"], document["committed"]) == (expected, expected)
    assert plant.stored("kiln") == 40


def test_after_a_crash_the_lake_itself_says_what_is_committed(plant: Plant) -> None:
    plant.connections.add("kiln", "pretend", "", options={"behaviour": "ends"})
    plant.runner.run(idle=0.5)
    file = plant.connections.spool("kiln") / "status.json"
    old = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**old, "received": 8, "durable": 8, "committed": 7, "clean": False}), encoding="utf-8")
    plant.runner.start()
    assert plant.count("kiln", "committed") >= 20
    assert plant.count("kiln", "received") >= plant.count("kiln", "durable") >= plant.count("kiln", "committed")


def test_what_a_killed_run_left_in_the_spool_is_not_committed_without_having_been_received(plant: Plant) -> None:
    plant.connections.add("kiln", "pretend", "", options={"behaviour": "ends"})
    plant.runner.run(idle=0.5)
    plant.runner.start()
    plant.runner._running["kiln"].count("committed", 1000)
    assert plant.count("kiln", "received") >= plant.count("kiln", "durable") >= plant.count("kiln", "committed") >= 1000


def test_only_one_process_runs_the_connections_of_a_workspace(plant: Plant) -> None:
    plant.runner.start()
    with pytest.raises(InputError) as error:
        plant.new_runner().start()
    assert error.value.code == "runner_elsewhere"
    plant.runner.stop()
    again = plant.new_runner()
    again.start()
    again.stop()


def test_the_runner_follows_the_files(plant: Plant) -> None:
    plant.runner.start()
    plant.connections.add("kiln", "pretend", "")
    eventually(lambda: plant.count("kiln", "received") > 5)
    plant.connections.want("kiln", "paused")
    eventually(lambda: plant.runner.documents()["kiln"]["state"] == "paused")
    before = plant.count("kiln", "received")
    plant.connections.want("kiln", "running")
    eventually(lambda: plant.count("kiln", "received") > before)
    plant.connections.remove("kiln")
    eventually(lambda: "kiln" not in plant.runner.documents())
    assert plant.connections.spool("kiln").is_dir()
    assert plant.stored("kiln") >= 5
    ledger = Ledger.read(plant.connections.spool("kiln") / "gaps.jsonl", "kiln")
    assert [(gap.cause, gap.until is None) for gap in ledger] == [("paused", False), ("collector_stopped", True)]


def test_a_broken_connection_says_why_and_hinders_no_other(plant: Plant) -> None:
    plant.connections.add("good", "pretend", "")
    plant.connections.add("refused", "pretend", "", options={"behaviour": "refuses"})
    plant.connections.add("missing", "pretend", "", options={"behaviour": "missing"})
    (plant.connections.folder / "torn.toml").write_text("kind = ", encoding="utf-8")
    plant.runner.start()
    eventually(lambda: plant.count("good", "received") > 10)
    eventually(lambda: all(plant.runner.documents()[name]["error"] for name in ("refused", "missing")))
    found = plant.runner.documents()
    assert found["good"]["state"] == "connected"
    said = {name: document["error"] for name, document in found.items()}
    assert isinstance(said["refused"], dict)
    assert said["refused"]["next_en"] == "Fix"
    assert isinstance(said["missing"], dict)
    assert said["missing"]["next_en"] == "pip install 'madang[x]'"
    assert found["torn"]["state"] == "failed"


def test_it_says_when_the_newest_good_sample_was_and_how_far_the_clocks_are_apart(plant: Plant) -> None:
    plant.connections.add("kiln", "pretend", "")
    plant.connections.add("silent", "http", "")
    plant.runner.start()
    eventually(lambda: plant.runner.documents()["kiln"]["last_good"])
    found = plant.runner.documents()
    assert str(found["kiln"]["last_good"]) > NOW.isoformat().replace("+00:00", "Z")
    assert found["kiln"]["clock_skew_seconds"] == 0
    assert (found["silent"]["last_good"], found["silent"]["clock_skew_seconds"]) == (None, None)


def test_one_bad_file_of_a_batch_is_set_aside_and_the_others_are_taken_and_counted_once(plant: Plant, tmp_path: Path) -> None:
    inbox = tmp_path / "측정실"
    inbox.mkdir()
    for name in ("a", "c"):
        rows = "".join(f"{name}{n},{n * 0.5 + 20}\n" for n in range(30))
        (inbox / f"{name}.csv").write_text("시료,온도\n" + rows, encoding="utf-8")
    (inbox / "b.xlsx").write_bytes(b"PK\x03\x04 torn")
    plant.connections.add("lab", "folder", str(inbox), options={"every": "0.05", "settle": "0.05"})
    plant.runner.start()
    eventually(lambda: plant.count("lab", "rejected") == 1 and plant.count("lab", "committed") == 60)
    time.sleep(0.3)
    assert [plant.count("lab", what) for what in ("received", "committed", "duplicates_dropped", "rejected")] == [61, 60, 0, 1]


def test_a_source_that_breaks_down_is_started_again_and_its_secret_is_in_no_file(plant: Plant) -> None:
    plant.connections.add("kiln", "pretend", "", options={"behaviour": "breaks"}, secrets={"password": SECRET})
    plant.connections.add("refused", "pretend", "", options={"behaviour": "refuses"}, secrets={"password": SECRET})
    plant.runner.start()
    eventually(lambda: plant.count("kiln", "received") >= 2)
    time.sleep(1.1)
    shown = str(plant.runner.documents())
    plant.runner.stop()
    assert SECRET not in shown
    assert "•••" in shown
    found = [p for p in plant.workspace.root.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    assert found == []


def test_a_run_ends_at_its_instant(plant: Plant) -> None:
    plant.connections.add("kiln", "pretend", "")
    began = time.monotonic()
    plant.runner.run(until=plant.clock() + timedelta(seconds=0.5))
    assert time.monotonic() - began >= 0.5
    assert not plant.runner.running


def _push(plant: Plant, samples: object, key: str | None = None, **more: str) -> object:
    body = json.dumps(samples).encode()
    end = time.monotonic() + 10
    while True:
        try:
            return plant.runner.push("door", body, "json", key=key, **more)
        except MissingError:
            assert time.monotonic() < end
            time.sleep(0.01)


def _sample(value: float, tag: str = "a") -> dict[str, object]:
    return {"tag": tag, "time": "2026-10-30T00:00:00Z", "value": value}


def test_a_batch_sent_again_under_its_key_is_answered_again_and_kept_once(plant: Plant) -> None:
    plant.connections.add("door", "http", "")
    plant.runner.start()
    first = _push(plant, [_sample(1), _sample(2)], "k1")
    assert (first.accepted, first.again) == (2, False)  # type: ignore[attr-defined]
    assert _push(plant, [_sample(1), _sample(2)], "k1").again  # type: ignore[attr-defined]
    with pytest.raises(InputError) as error:
        _push(plant, [_sample(3)], "k1")
    assert error.value.code == "key_used"
    plant.runner.stop()
    plant.runner.start()
    again = _push(plant, [_sample(1), _sample(2)], "k1")
    assert (again.accepted, again.again) == (2, True)  # type: ignore[attr-defined]
    assert not _push(plant, [_sample(1), _sample(2)], "k2").again  # type: ignore[attr-defined]
    plant.runner.stop()
    assert plant.stored("door") == 4


def test_a_batch_of_many_parts_is_one_frame_that_a_crash_cannot_tear(plant: Plant) -> None:
    plant.connections.add("door", "http", "")
    plant.runner.start()
    _push(plant, [_sample(0)])
    times = pa.array([NOW, NOW + timedelta(seconds=1)], pa.timestamp("us", "UTC"))
    part = pa.record_batch({"tag": ["a", "b"], "time": times, "value": [1.0, 2.0]})
    wrong = pa.record_batch({"tag": ["a", ""], "time": times, "value": [3.0, 4.0]})
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, part.schema) as stream:
        for batch in (part, wrong, part):
            stream.write_batch(batch)
    spool = plant.runner._running["door"].spool
    assert spool is not None
    before = spool.appended
    answer = plant.runner.push("door", buffer.getvalue().to_pybytes(), "arrow", key="k", rest="keep")
    assert (answer.accepted, answer.rejected) == (5, 1)
    frames = spool.read(before, 1 << 20)
    assert isinstance(frames[0].content, Reject)  # both durable before the answer
    assert isinstance(frames[1].content, Block)
    assert (len(frames), len(frames[1].content)) == (2, 5)


def test_what_was_answered_before_a_connection_was_removed_is_in_the_lake(plant: Plant) -> None:
    plant.connections.add("door", "http", "")
    plant.runner.start()
    _push(plant, [_sample(0)])
    plant.runner.flush(10)
    plant.runner._stop.set()  # nothing is carried from here on but what the removal itself carries
    plant.runner._carrier.join()  # type: ignore[union-attr]
    _push(plant, [_sample(1)])
    plant.connections.remove("door")
    plant.runner._follow()
    assert plant.stored("door") == 2


def test_many_senders_of_one_key_keep_one_batch(plant: Plant) -> None:
    plant.connections.add("door", "http", "")
    plant.runner.start()
    _push(plant, [_sample(0, "warm-up")])
    answers: list[bool] = []

    def send() -> None:
        answers.append(_push(plant, [_sample(1)], "same").again)  # type: ignore[attr-defined]

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] + [True] * 7
    plant.runner.stop()
    assert plant.stored("door") == 2


def test_a_batch_with_a_wrong_sample_is_refused_whole_unless_the_rest_is_wanted(plant: Plant) -> None:
    plant.connections.add("door", "http", "")
    plant.runner.start()
    _push(plant, [_sample(0)])
    mixed = [_sample(1), {"tag": "a", "value": 2}, _sample(3)]
    with pytest.raises(InputError) as error:
        _push(plant, mixed, "k")
    assert error.value.code == "bad_samples"
    problems = error.value.where["problems"]
    assert isinstance(problems, list)
    assert [(p["index"], p["field"]) for p in problems if isinstance(p, dict)] == [(1, "time")]
    kept = _push(plant, mixed, "k", rest="keep")
    assert (kept.accepted, kept.rejected) == (2, 1)  # type: ignore[attr-defined]
    plant.runner.stop()
    assert plant.stored("door") == 3
    assert plant.state.document("door")["rejected"]


def test_a_connection_that_takes_no_pushes_or_does_not_run_says_so(plant: Plant) -> None:
    plant.connections.add("kiln", "pretend", "")
    plant.connections.add("door", "http", "", wanted="paused")
    plant.runner.start()
    for name, code in (("kiln", "takes_no_pushes"), ("door", "connection_not_running"), ("none", "no_such_connection")):
        with pytest.raises(MadangError) as error:
            plant.runner.push(name, b"[]", "json")
        assert error.value.code == code


def test_the_short_way_of_a_program_writes_and_reads_back(tmp_path: Path) -> None:
    samples = [{"tag": "온도", "time": NOW + timedelta(seconds=i), "value": float(i)} for i in range(5)]
    with Workspace.open(tmp_path / "ws") as workspace:
        assert workspace.write("내 프로그램", samples, key="one").accepted == 5
        assert workspace.write("내 프로그램", samples, key="one").again
        assert workspace.flush()
        table = workspace.read("내 프로그램")
        assert table.column("value").to_pylist() == [0.0, 1.0, 2.0, 3.0, 4.0]
        with pytest.raises(InputError) as error:
            workspace.write("내 프로그램", [{"tag": "a", "time": datetime(2026, 1, 1), "value": 1}])  # noqa: DTZ001
        assert error.value.code == "no_zone"
