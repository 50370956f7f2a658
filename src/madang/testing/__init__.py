"""Generators with the truth beside them, for the tests of this house and of whoever builds on it. Never imported at run time.

`messy_file` makes one ugly file from a seed, `score_intake` judges what an intake made of it:

>>> from madang.testing import messy_file
>>> file = messy_file(0)
>>> file.label, len(file.truth.outcomes)
('plain csv', 1)

`join_plant` makes systems that disagree about lots and clocks, `trap_cases` pairs of a table with a planted leak and its clean twin.
`SourceContract` and `ActuatorContract` are the tests of an adapter: a class with one fixture. `RecordingSink` is a sink in memory.
Names are looked up when first used, so that one generator does not load the needs of another.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from madang.testing._actuator_contract import ActuatorContract, ActuatorPeer, PretendActuator
    from madang.testing._joins import JoinPlant, join_plant
    from madang.testing._messy import SINGLES, Judged, MessyFile, Score, messy_file, score_intake
    from madang.testing._sink import RecordingSink
    from madang.testing._source_contract import SourceContract, SourcePeer
    from madang.testing._traps import TrapCase, trap_cases
_HOMES = {
    "SourcePeer": "_source_contract",
    "SourceContract": "_source_contract",
    "RecordingSink": "_sink",
    "PretendActuator": "_actuator_contract",
    "ActuatorPeer": "_actuator_contract",
    "ActuatorContract": "_actuator_contract",
    "SINGLES": "_messy",
    "JoinPlant": "_joins",
    "Judged": "_messy",
    "MessyFile": "_messy",
    "Score": "_messy",
    "TrapCase": "_traps",
    "join_plant": "_joins",
    "messy_file": "_messy",
    "score_intake": "_messy",
    "trap_cases": "_traps",
}

__all__ = [
    "SINGLES",
    "ActuatorContract",
    "ActuatorPeer",
    "JoinPlant",
    "Judged",
    "MessyFile",
    "PretendActuator",
    "RecordingSink",
    "Score",
    "SourceContract",
    "SourcePeer",
    "TrapCase",
    "join_plant",
    "messy_file",
    "score_intake",
    "trap_cases",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any exported name
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
