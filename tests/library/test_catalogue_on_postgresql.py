"""The catalogue on PostgreSQL keeps SQLite's promises, and keeps them between machines."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from deltalake import DeltaTable

from madang.connect import Tag
from madang.errors import InputError, MadangError
from madang.library import Library
from madang.library._lake import Lake
from madang.library._lock import WriterLock
from madang.library._signals._points import add_points, make_live_dataset
from madang.library._state import State, datasets, mappings, meta, parties, points
from madang.library._state_postgresql import Machines
from tests.connect.sql.servers import postgres
from tests.library.plain_files import PlainFiles
from tests.library.plant_files import NOON, write_meter
from tests.state import schema_of, server

pytestmark = pytest.mark.peers
ROOT = Path(__file__).resolve().parents[2]

Place = Callable[[Path], str]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with server() as found:
        yield found


@pytest.fixture
def place(address: str) -> Place:
    return lambda root: f"{address}?options=-csearch_path%3D{schema_of(root)}"


def open_library(root: Path, place: str | None) -> Library:
    return Library.open(root, clock=lambda: NOON, zone="Asia/Seoul", files=PlainFiles(), state=place)


def ask(address: str, sql: str) -> list[tuple[object, ...]]:
    """Ask the server beside the library's back."""
    import psycopg

    with psycopg.connect(address.replace("+psycopg", ""), autocommit=True) as db:
        found = db.execute(sql.encode())
        return found.fetchall() if found.description else []


def count_up(state: State) -> None:
    with state.begin() as db:
        last = db.execute(sa.select(sa.func.max(datasets.c.id))).scalar() or 0
        db.execute(datasets.insert().values(id=last + 1, name=f"d{last + 1}", folder="f", created="", latest=0, facts="{}"))


def test_what_reads_first_and_writes_later_never_meets_another_writer(tmp_path: Path, place: Place) -> None:
    states = [State(tmp_path, place(tmp_path)) for _ in range(4)]
    failed: list[BaseException] = []

    def work(state: State) -> None:
        try:
            for _ in range(25):
                count_up(state)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with states[0].reading() as db:
        assert list(db.execute(sa.select(datasets.c.id).order_by(datasets.c.id)).scalars()) == list(range(1, 101))
    for state in states:
        state.close()


def test_a_reader_sees_one_moment_and_cannot_write(tmp_path: Path, place: Place) -> None:
    state = State(tmp_path, place(tmp_path))
    with state.reading() as db:
        before = db.execute(sa.select(sa.func.count()).select_from(datasets)).scalar()
        count_up(state)
        assert db.execute(sa.select(sa.func.count()).select_from(datasets)).scalar() == before
        with pytest.raises(sa.exc.DBAPIError):
            db.execute(datasets.delete())
    state.close()


def test_the_stamp_differs_after_a_change_of_somebody_else_and_only_then(tmp_path: Path, place: Place) -> None:
    mine, other = State(tmp_path, place(tmp_path)), State(tmp_path, place(tmp_path))
    first = mine.stamp()
    with other.reading() as db:
        db.execute(sa.select(meta)).all()
    assert mine.stamp() == first
    count_up(other)
    second = mine.stamp()
    assert second != first
    with pytest.raises(RuntimeError), other.begin():
        raise RuntimeError("withdrawn")
    assert mine.stamp() == second
    mine.close()
    other.close()


def test_names_are_put_in_the_same_order_and_told_apart_as_on_sqlite(tmp_path: Path, place: Place) -> None:
    names = ["b", "A", "가마", "a", "B", "_", "Z", "é", "가", "10", "9"]
    orders = []
    for kept in (None, place(tmp_path / "pg")):
        root = tmp_path / ("pg" if kept else "file")
        root.mkdir(exist_ok=True)
        state = State(root, kept)
        with state.begin() as db:
            db.execute(parties.insert(), [{"id": n, "name": n, "kind": "person", "created": ""} for n in names])
        with state.reading() as db:
            orders.append(list(db.execute(sa.select(parties.c.id).order_by(parties.c.id)).scalars()))
        state.close()
    assert orders[0] == orders[1] == sorted(names)


def test_large_counts_and_long_texts_stand_as_they_are(tmp_path: Path, place: Place) -> None:
    state = State(tmp_path, place(tmp_path))
    with state.begin() as db:
        row = {"source_name": "온" * 100_000, "answer": "accept", "party": "p", "time": ""}
        number: Any = db.execute(mappings.insert().values(**row)).inserted_primary_key
        found = db.execute(sa.select(mappings).where(mappings.c.id == number[0])).one()
        assert (found.source_name, found.withdrawn) == ("온" * 100_000, False)
        db.execute(datasets.insert().values(id=1, name="x", folder="f", created="", latest=2**40, facts="{}"))
        assert db.execute(sa.select(datasets.c.latest)).scalar() == 2**40
    state.close()


def test_a_topic_as_long_as_a_broker_allows_is_a_point_as_any_other(tmp_path: Path, place: Place) -> None:
    topic = "".join(random.Random(5).choices("abcdefghij/", k=65_535))
    state = State(tmp_path, place(tmp_path))
    with state.begin() as db:
        dataset = make_live_dataset(db, Lake(tmp_path / "lake"), "plant", "signals", NOON)
        assert add_points(db, dataset.id, "broker", [Tag("a"), Tag(topic)], NOON) == {"a": 1, topic: 2}
    with pytest.raises(sa.exc.IntegrityError), state.begin() as db:
        row = db.execute(sa.select(points).where(points.c.point == 2)).one()
        db.execute(points.insert().values(**{**row._asdict(), "point": 3}))
    state.close()


def test_the_second_writer_of_two_machines_waits_and_is_told_for_whom(tmp_path: Path, place: Place) -> None:
    one, two = State(tmp_path, place(tmp_path)), State(tmp_path, place(tmp_path))
    # Two machines do not see each other's file locks: each has its own here.
    first = WriterLock(tmp_path / "one.lock", beyond=one.beyond)
    second = WriterLock(tmp_path / "two.lock", patience=0.3, beyond=two.beyond)
    with first.held():
        with second.held(wait=False) as alone:
            assert not alone
        with pytest.raises(InputError) as busy, second.held():
            raise AssertionError("two writers at once")
        assert busy.value.code == "workspace_busy"
        assert f"madang {os.uname().nodename[:40]} {os.getpid()}" in busy.value.en
    got = threading.Event()
    second.patience = 30.0
    with first.held():
        waiting = threading.Thread(target=lambda: _hold(second, got))
        waiting.start()
        assert not got.wait(0.2)
    assert got.wait(30)
    waiting.join()
    one.close()
    two.close()


def _hold(lock: WriterLock, got: threading.Event) -> None:
    with lock.held():
        got.set()


def test_a_writer_whose_lock_went_to_another_machine_changes_nothing(tmp_path: Path, place: Place, address: str) -> None:
    root = tmp_path / "ws"
    with open_library(root, place(root)) as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
        other = State(root, place(root))
        with library._lock.held():
            mine = library._state.beyond
            assert isinstance(mine, Machines) and mine._session is not None
            pid = mine._session.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            ask(address, f"SELECT pg_terminate_backend({pid}, 5000)")
            with WriterLock(tmp_path / "other.lock", beyond=other.beyond).held():
                with pytest.raises(InputError) as refused:
                    library.intake([write_meter(tmp_path / "meter_02.csv", first=1000)])
                assert (refused.value.code, refused.value.retry) == ("writer_replaced", True)
        other.close()
        assert len(library.read("meter_01", reader="owner", purpose="show").table) == 300
        assert library.intake([tmp_path / "meter_02.csv"]).tables[0].version == 2


DYING = """
import os, signal, sys
from pathlib import Path
from madang.library import Library
from madang.library._commit import Faults
from tests.library.plant_files import NOON, PlainFiles

class Kill(Faults):
    def at(self, step):
        if step == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)

with Library.open(Path(sys.argv[1]), clock=lambda: NOON, zone="Asia/Seoul", files=PlainFiles(), faults=Kill(), state=sys.argv[2]) as library:
    library.intake([Path(sys.argv[4])])
"""


@pytest.mark.parametrize("step", ["announced", "files", "delta:records", "catalogue", "done"])
def test_a_process_killed_between_the_lake_and_the_catalogue_leaves_both_agreed(
    tmp_path: Path, place: Place, step: str
) -> None:
    root = tmp_path / "ws"
    with open_library(root, place(root)) as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
    second = write_meter(tmp_path / "meter_02.csv", first=1000)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((f"{ROOT}/src", str(ROOT)))}
    command = [sys.executable, "-c", DYING, str(root), place(root), step, str(second)]
    assert subprocess.run(command, env=environment, cwd=ROOT, timeout=120).returncode == -signal.SIGKILL
    whole = 600 if step == "done" else 300
    with open_library(root, place(root)) as library:
        assert (_rows(library), _delta_rows(root)) == (whole, whole)
        library.intake([second])
        assert (_rows(library), _delta_rows(root)) == (600, 600)


def _rows(library: Library) -> int:
    return len(library.read("meter_01", reader="owner", purpose="show").table)


def _delta_rows(root: Path) -> int:
    return int(DeltaTable(str(root / "lake/tables/d000001/records")).to_pyarrow_dataset().count_rows())


def test_what_was_interrupted_is_judged_only_when_no_commit_is_on_its_way_any_more(tmp_path: Path, place: Place) -> None:
    state, late = State(tmp_path, place(tmp_path)), State(tmp_path, place(tmp_path))
    settled = threading.Event()

    def settle() -> None:
        state.settle()
        settled.set()

    with late.begin():
        waiting = threading.Thread(target=settle)
        waiting.start()
        assert not settled.wait(0.3)
    assert settled.wait(30)
    waiting.join()
    state.close()
    late.close()


def test_a_server_that_crashed_and_was_started_again_is_found_again(tmp_path: Path) -> None:
    running = postgres(tmp_path / "server")
    running.start()
    try:
        where = f"postgresql+psycopg://madang@127.0.0.1:{running.port}/postgres"
        with open_library(tmp_path / "ws", where) as library:
            library.intake([write_meter(tmp_path / "meter_01.csv")])
            assert running.process is not None
            # At once and without writing anything down, as a crash; its children end first, unlike after SIGKILL.
            running.process.send_signal(signal.SIGQUIT)
            running.process.wait(30)
            for use in (library.list, library.stamp, lambda: library.intake([tmp_path / "meter_01.csv"])):
                with pytest.raises(InputError) as gone:
                    use()
                assert (gone.value.code, gone.value.retry) == ("catalogue_unreachable", True)
            running.start()
            assert _rows(library) == 300
    finally:
        running.stop()


def test_workspaces_of_one_database_do_not_see_each_other(tmp_path: Path, place: Place) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with open_library(one, place(one)) as first, open_library(two, place(two)) as second:
        first.intake([write_meter(tmp_path / "meter_01.csv")])
        assert second.list() == {"datasets": []}


def test_a_catalogue_of_another_lake_is_refused_and_left_as_it_is(tmp_path: Path, place: Place) -> None:
    one = tmp_path / "one"
    with open_library(one, place(one)) as library:
        library.intake([write_meter(tmp_path / "meter_01.csv")])
    for root in (tmp_path / "two", tmp_path / "three"):
        if root.name == "three":
            open_library(root, place(root)).close()
        with pytest.raises(InputError) as refused:
            open_library(root, place(one))
        assert refused.value.code == "catalogue_of_another_workspace"
    with open_library(one, place(one)) as library:
        assert _rows(library) == 300


def test_no_lake_gets_a_second_catalogue(tmp_path: Path, place: Place) -> None:
    sqlite, database = tmp_path / "sqlite", tmp_path / "database"
    open_library(sqlite, None).close()
    open_library(database, place(database)).close()
    for root, wrong in ((sqlite, place(sqlite)), (database, None), (database, place(tmp_path / "empty"))):
        with open_library(database, place(database)) as library:
            if not library.list()["datasets"]:
                library.intake([write_meter(tmp_path / "meter_01.csv")])
        with pytest.raises(InputError) as refused:
            open_library(root, wrong)
        assert refused.value.code == "catalogue_elsewhere"
    assert not (database / "state.sqlite").exists()


def test_a_folder_that_holds_a_workspace_on_a_server_is_no_export_of_a_plant(tmp_path: Path, place: Place) -> None:
    root = tmp_path / "all" / "ws"
    with open_library(root, place(root)) as library:
        library.intake([write_meter(tmp_path / "all" / "meter_01.csv")])
        library.intake([tmp_path / "all"])
        listed: Any = library.list()
        assert [(d["dataset"], d["rows"]) for d in listed["datasets"]] == [("meter_01", 300)]


def test_a_server_set_to_forget_its_last_commits_is_told_not_to(tmp_path: Path, place: Place, address: str) -> None:
    ask(address, "ALTER ROLE madang SET synchronous_commit = off")
    try:
        state = State(tmp_path, place(tmp_path))
        with state.begin() as db:
            assert db.execute(sa.text("SHOW synchronous_commit")).scalar() == "on"
        state.close()
    finally:
        ask(address, "ALTER ROLE madang RESET synchronous_commit")


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("mysql+pymysql://madang@127.0.0.1/x", "no_such_catalogue_place"),
        ("postgresql+psycopg://madang@127.0.0.1", "no_such_catalogue_place"),
        ("kiln", "no_such_catalogue_place"),
        ("postgresql://madang:geheim77@127.0.0.1:1/x", "catalogue_unreachable"),
        ("postgresql://madang@127.0.0.1:1/x?options=-csearch_path%3DPublic;drop", "no_such_schema_name"),
    ],
)
def test_an_address_that_cannot_be_is_refused_in_words_and_without_its_password(tmp_path: Path, wrong: str, code: str) -> None:
    with pytest.raises(MadangError) as refused:
        open_library(tmp_path / "ws", wrong)
    assert refused.value.code == code
    assert "geheim77" not in f"{refused.value.en}{refused.value.ko}{refused.value.where}"
