"""The lot system of the living plant: a database with Korean names, records that change in place, and commits that come late."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from madang.errors import MissingError
from madang.factory.twin._kiln import LANES, TARGET_CENTRE, TOLERANCE
from madang.factory.twin._live_kiln import PRODUCT, RECIPE
from madang.factory.twin._live_lots import LiveLot, PlantEvent
from madang.factory.twin._live_plant import LivePlant

if TYPE_CHECKING:
    from sqlalchemy import Connection

LOTS_OF_AN_ORDER: Final = 12
LATE_SHARE: Final = 0.08
"""Share of the step records whose transaction is committed late (house parameter)."""
LATE_SECONDS: Final = (2.0, 8.0)
"""How late [s of the clock on the wall]."""
FILE: Final = "mes.sqlite"
STEPS: Final = {"charged": "투입", "soak_start": "유지시작", "soak_end": "유지종료", "discharged": "배출"}


@dataclass
class _Held:
    """A step record whose transaction is still open."""

    until: float
    """Wall time (monotonic) at which it is committed."""
    row: dict[str, Any]
    connection: Connection | None
    """The connection that holds the transaction; None where the database knows one writer only and the row waits here."""


@dataclass
class MesCount:
    """What the lot system did, for a report."""

    lots: int = 0
    steps: int = 0
    updates: int = 0
    late_commits: int = 0
    late: list[int] = field(default_factory=list)
    """Numbers of the step records committed late."""


class MesFace:
    """The lot system.

    Three tables: ``생산로트`` (a row per lot, changed in place until its verdict), ``공정이력`` (a numbered row per step; a later number
    may be committed before an earlier one) and ``작업지시`` (orders, changed in place). ``수정일시`` is the wall time of the last change.

    Args:
        plant: What is written down.
        place: A folder (``mes.sqlite`` is made in it) or a SQLAlchemy address of PostgreSQL, MariaDB or SQLite.
        rng: Chooses which commits are late.

    Raises:
        MissingError: The driver is not installed, or the database does not answer.
    """

    def __init__(self, plant: LivePlant, place: str, rng: np.random.Generator) -> None:
        import sqlalchemy as sa
        from sqlalchemy.exc import SQLAlchemyError

        self.plant = plant
        self._rng = rng
        if "://" in place:
            self.url = place
        else:
            folder = Path(place).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FILE).unlink(missing_ok=True)
            self.url = f"sqlite:///{folder / FILE}"
        self.count = MesCount()
        self._held: list[_Held] = []
        self._number = 0
        self._lots, self._steps, self._orders = _tables(sa.MetaData())
        try:
            self._engine = sa.create_engine(_with_driver(self.url))
            with self._engine.begin() as base:
                self._lots.metadata.drop_all(base)
                self._lots.metadata.create_all(base)
        except (SQLAlchemyError, ImportError) as error:
            raise _no_database(place, error) from error
        self._take(plant.before, wall=math.inf, late=False)

    @property
    def shown_url(self) -> str:
        """Address without its password."""
        import sqlalchemy as sa

        return sa.make_url(self.url).render_as_string(hide_password=True)

    def take(self, events: Sequence[PlantEvent], *, wall: float) -> None:
        """Write down what happened to lots.

        Args:
            events: What happened, oldest first.
            wall: The clock on the wall [s, monotonic].
        """
        self.commit_late(wall)
        if events:
            self._take(events, wall=wall, late=True)

    def _take(self, events: Sequence[PlantEvent], *, wall: float, late: bool) -> None:
        import sqlalchemy as sa

        with self._engine.begin() as base:
            for event in events:
                lot, now = event.lot, self.plant.local(event.at)
                if event.kind == "charged":
                    base.execute(sa.insert(self._lots).values(**_lot_row(lot, now)))
                    self.count.lots += 1
                    self._order(base, lot, now, charged=1)
                else:
                    base.execute(
                        sa.update(self._lots).where(self._lots.c["로트번호"] == lot.name).values(**_change(event.kind, now))
                    )
                    self.count.updates += 1
                    if event.kind == "discharged":
                        self._order(base, lot, now, done=1)
                self._number += 1
                row = {"번호": self._number, "로트번호": lot.name, "공정": STEPS[event.kind], "일시": now, "수정일시": now}
                if late and self._rng.random() < LATE_SHARE:
                    self._hold(row, wall)
                else:
                    base.execute(sa.insert(self._steps).values(**row))
                self.count.steps += 1

    def _order(self, base: Connection, lot: LiveLot, now: Any, *, charged: int = 0, done: int = 0) -> None:  # noqa: ANN401
        """Change the order of a lot in place; its first lot opens it."""
        import sqlalchemy as sa

        t = self._orders.c
        number = f"WO{250000 + (lot.number - 1) // LOTS_OF_AN_ORDER}"
        if base.execute(sa.select(t["지시번호"]).where(t["지시번호"] == number)).first() is None:
            base.execute(sa.insert(self._orders).values(지시번호=number, 제품=PRODUCT, 계획수량=LOTS_OF_AN_ORDER, 투입수량=0, 완료수량=0, 상태="진행", 수정일시=now))  # fmt: skip
        values: dict[str, Any] = {"투입수량": t["투입수량"] + charged, "완료수량": t["완료수량"] + done, "수정일시": now}
        base.execute(sa.update(self._orders).where(t["지시번호"] == number).values(**values))
        full = sa.and_(t["지시번호"] == number, t["완료수량"] >= t["계획수량"])
        base.execute(sa.update(self._orders).where(full).values({"상태": "완료"}))

    def judge(self, told: Sequence[tuple[float, LiveLot]]) -> None:
        """Write the verdict on lots whose results are there; with each, the second of the plant at which it was told."""
        import sqlalchemy as sa

        with self._engine.begin() as base:
            for t, lot in told:
                if lot.result is None:
                    continue
                off = abs(lot.result.residual - TARGET_CENTRE)
                scrap = int(1 + (off - TOLERANCE) // 120.0) if off > TOLERANCE else 0
                values = {
                    "상태": "판정", "판정": "합격" if scrap == 0 else "불합격", "폐기수량": scrap, "수정일시": self.plant.local(t),
                }  # fmt: skip
                base.execute(sa.update(self._lots).where(self._lots.c["로트번호"] == lot.name).values(**values))
                self.count.updates += 1

    # ------------------------------------------------------------------ commits that come late

    def _hold(self, row: dict[str, Any], wall: float) -> None:
        import sqlalchemy as sa

        connection = None
        if self._engine.dialect.name != "sqlite":
            connection = self._engine.connect()
            connection.execute(sa.insert(self._steps).values(**row))
        self._held.append(_Held(wall + float(self._rng.uniform(*LATE_SECONDS)), row, connection))
        self.count.late_commits += 1
        self.count.late.append(int(row["번호"]))

    def commit_late(self, wall: float) -> None:
        """Commit the transactions whose time has come."""
        import sqlalchemy as sa

        due = [held for held in self._held if held.until <= wall]
        for held in due:
            self._held.remove(held)
            if held.connection is not None:
                held.connection.commit()
                held.connection.close()
                continue
            with self._engine.begin() as base:
                base.execute(sa.insert(self._steps).values(**held.row))

    def stop(self) -> None:
        """Commit what is still open, and leave."""
        self.commit_late(math.inf)
        self._engine.dispose()


def _tables(metadata: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
    import sqlalchemy as sa

    lots = sa.Table(
        "생산로트", metadata,
        sa.Column("로트번호", sa.String(40), primary_key=True), sa.Column("제품", sa.String(40)), sa.Column("레시피", sa.String(40)),
        sa.Column("레인", sa.String(8)), sa.Column("단", sa.String(8)), sa.Column("새거수량", sa.Integer),
        sa.Column("투입량", sa.Numeric(10, 1)), sa.Column("원료로트", sa.String(40)), sa.Column("공급사", sa.String(40)),
        sa.Column("Li/Me비", sa.Numeric(8, 5)), sa.Column("원료수분", sa.Numeric(6, 3)), sa.Column("원료BET", sa.Numeric(6, 3)),
        sa.Column("작업조", sa.String(8)), sa.Column("작업자", sa.String(40)), sa.Column("투입일시", sa.DateTime),
        sa.Column("유지시작", sa.DateTime), sa.Column("유지종료", sa.DateTime), sa.Column("배출일시", sa.DateTime),
        sa.Column("상태", sa.String(8)), sa.Column("판정", sa.String(8)), sa.Column("폐기수량", sa.Integer), sa.Column("수정일시", sa.DateTime),
    )  # fmt: skip
    steps = sa.Table(
        "공정이력", metadata,
        sa.Column("번호", sa.Integer, primary_key=True, autoincrement=False), sa.Column("로트번호", sa.String(40)),
        sa.Column("공정", sa.String(20)), sa.Column("일시", sa.DateTime), sa.Column("수정일시", sa.DateTime),
    )  # fmt: skip
    orders = sa.Table(
        "작업지시", metadata,
        sa.Column("지시번호", sa.String(20), primary_key=True), sa.Column("제품", sa.String(40)), sa.Column("계획수량", sa.Integer),
        sa.Column("투입수량", sa.Integer), sa.Column("완료수량", sa.Integer), sa.Column("상태", sa.String(8)), sa.Column("수정일시", sa.DateTime),
    )  # fmt: skip
    return lots, steps, orders


def _lot_row(lot: LiveLot, now: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "로트번호": lot.name, "제품": PRODUCT, "레시피": RECIPE, "레인": LANES[lot.lane], "단": ("상단", "하단")[lot.layer],
        "새거수량": lot.saggars, "투입량": Decimal(f"{lot.mass:.1f}"), "원료로트": lot.raw.name, "공급사": lot.raw.supplier,
        "Li/Me비": Decimal(f"{lot.raw.ratio:.5f}"), "원료수분": Decimal(f"{lot.raw.moisture:.3f}"), "원료BET": Decimal(f"{lot.raw.bet:.3f}"),
        "작업조": lot.shift, "작업자": lot.operator, "투입일시": now, "상태": "소성중", "수정일시": now,
    }  # fmt: skip


def _change(kind: str, now: Any) -> dict[str, Any]:  # noqa: ANN401
    column = {"soak_start": "유지시작", "soak_end": "유지종료", "discharged": "배출일시"}[kind]
    return {column: now, "수정일시": now, **({"상태": "검사대기"} if kind == "discharged" else {})}


def _with_driver(url: str) -> str:
    """Name the driver that is installed with Madang where the address names none."""
    for plain, driver in (
        ("postgresql://", "postgresql+psycopg://"),
        ("mysql://", "mysql+pymysql://"),
        ("mariadb://", "mariadb+pymysql://"),
    ):
        if url.startswith(plain):
            return url.replace(plain, driver, 1)
    return url


def _no_database(place: str, error: Exception) -> MissingError:
    import sqlalchemy as sa

    shown = sa.make_url(place).render_as_string(hide_password=True) if "://" in place else place
    return MissingError(
        "no_database", ko=f"MES 데이터베이스 {shown} 을(를) 열 수 없어요: {type(error).__name__}.",
        en=f"The database of the lot system, {shown}, cannot be opened: {type(error).__name__}.",
        next_ko="서버가 켜져 있는지, 드라이버가 있는지 확인해 주세요: pip install 'madang[sql]'",
        next_en="Check that the server runs and that the driver is there: pip install 'madang[sql]'", where={"database": shown}, retry=True,
    )  # fmt: skip
