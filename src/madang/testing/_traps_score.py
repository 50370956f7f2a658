"""When a planted trap counts as seen, and a clean table as blamed."""

from __future__ import annotations

from madang.models._leaks import assign_availability, find_leaks
from madang.models._words import LeakFinding
from madang.testing._traps import TrapCase


def flagged(case: TrapCase, seed: int = 0) -> tuple[LeakFinding, ...]:
    """Return the findings of the guardrails on one table, as a study would get them."""
    frame = assign_availability(case.frame, case.target, case.task)
    return find_leaks(frame, case.target, case.task, horizon_rows=case.horizon_rows, seed=seed)


def seen(case: TrapCase, found: tuple[LeakFinding, ...]) -> bool:
    """Whether every planted column is dropped or asked, or the rows got one of the trap's codes."""
    grave = [f for f in found if f.severity in ("warning", "stop")]
    if case.planted:
        named = {f.column for f in grave} | {f.column for f in found if f.action == "dropped"}
        return set(case.planted) <= named
    return any(f.code in case.codes for f in grave)


def blamed(found: tuple[LeakFinding, ...]) -> tuple[LeakFinding, ...]:
    """Return the findings that are wrong on a clean table."""
    return tuple(f for f in found if f.severity in ("warning", "stop") or f.action == "dropped")
