"""How a living plant is run, and what cannot be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from madang.errors import MissingError, UsageError
from madang.plant import LineDocument

Policy = Literal["fixed", "rules", "agents", "oracle"]
FIXED_EPOCH: Final = datetime(2025, 1, 6, 21, tzinfo=UTC)
"""Second 0 of a run without faces, so that the same seed gives the same run on any day."""
DEFAULT_HOURS: Final = 24.0
"""Length of a run without faces that does not say its own [h of the plant]."""
FASTEST: Final = 3600.0


@dataclass(frozen=True)
class LiveSettings:
    """How a living plant is run."""

    line: LineDocument
    name: str
    seed: int = 1
    hours: float | None = None
    """Length [h of the plant]; None: until it is stopped, or `DEFAULT_HOURS` without faces."""
    speed: float | None = None
    """Seconds of the plant per second on the wall; None: 1 with faces, as fast as it can be computed without."""
    scan: float | None = None
    """Seconds of the plant between two readings of a face; None: one reading per second on the wall."""
    troubles: str = ""
    policy: Policy = "fixed"
    causes: Literal["planted", "none"] = "planted"
    trace: Path | None = None
    opcua: int | None = None
    """Port of the OPC UA server; 0 takes a free one."""
    host: str = "127.0.0.1"
    mqtt: str | None = None
    sparkplug: str | None = None
    mes: str | None = None
    lab: Path | None = None
    ready: Path | None = None
    parent: int | None = None
    """Id of the process that the plant may not outlive."""

    @property
    def faces(self) -> bool:
        """Whether somebody outside can see the plant."""
        return any(x is not None for x in (self.opcua, self.mqtt, self.sparkplug, self.mes, self.lab))


def check_settings(s: LiveSettings) -> None:
    """Make sure that a plant can be run so.

    Raises:
        UsageError: A speed, a length or a scan that cannot be.
        MissingError: A policy that is not there yet.
    """
    if s.policy != "fixed":
        raise MissingError(
            "policy_not_there",
            ko=f"운전 방식 {s.policy} 은 아직 없어요. 지금은 fixed(정해진 설정값 그대로)만 돼요.",
            en=f"The policy {s.policy} is not there yet; today only fixed is, which leaves the set points alone.",
            next_ko="--policy fixed 로 다시 해 주세요.", next_en="Use --policy fixed.", where={"policy": s.policy},
        )  # fmt: skip
    for name, value, low, high in (
        ("speed", s.speed, 0.01, FASTEST),
        ("hours", s.hours, 1 / 3600, 1e5),
        ("scan", s.scan, 1.0, 3600.0),
    ):
        if value is not None and not low <= value <= high:
            raise UsageError(
                "out_of_bounds", ko=f"--{name} 은 {low:g}에서 {high:g} 사이여야 해요.", en=f"--{name} is between {low:g} and {high:g}.",
                next_ko="값을 고쳐 주세요.", next_en="Correct the value.", where={"option": name},
            )  # fmt: skip
