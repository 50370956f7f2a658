"""The decision point: whether a reader may read, for a purpose. Every read asks, every answer is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from madang.library._cards import VersionId
from madang.plant import Bilingual


@dataclass(frozen=True)
class Request:
    """What is asked of the decision point."""

    reader: str
    """Party that reads."""
    purpose: str
    """What for: study, export, show, join, ..."""
    version: VersionId | None
    columns: tuple[str, ...]
    """Columns to be read; empty when the request is about the dataset as a whole."""


@dataclass(frozen=True)
class Answer:
    """What the decision point says, with the clause it rests on."""

    allow: bool
    clause: str
    reason: Bilingual


class DecisionPoint(Protocol):
    """Decides reads. It is handed in, so that agreements can replace today's rule without a change of the readers."""

    def decide(self, request: Request) -> Answer:
        """Answer one request; it must not fail, and it denies what it does not know."""
        ...


class OwnerMay:
    """The only rule of a library without agreements: its owner may read, nobody else may.

    Args:
        owner: Party that owns the workspace.
    """

    CLAUSE = "owner_may"

    def __init__(self, owner: str = "owner") -> None:
        self.owner = owner

    def decide(self, request: Request) -> Answer:
        """Allow the owner; deny everyone else and name this clause."""
        if request.reader == self.owner:
            return Answer(True, self.CLAUSE, Bilingual("소유자는 읽을 수 있어요.", "The owner may read."))
        return Answer(
            False,
            self.CLAUSE,
            Bilingual(
                f"‘{request.reader}’의 읽기를 허락하는 약정이 없어요. 지금은 소유자만 읽을 수 있어요.",
                f"No agreement lets “{request.reader}” read. Only the owner may.",
            ),
        )
