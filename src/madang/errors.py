"""The one tree of errors. A process ends with the exit code of the error it could not handle.

    MadangError            1   a fault of Madang itself
    ├── UsageError         2   the command was used wrongly
    ├── InputError         3   the input cannot be read or does not fit; nothing was changed
    ├── RefusedError       4   agreement, class, gate or safety said no
    ├── CheckFailed        5   a check was made and failed
    └── MissingError       6   an extra, a service or isolation is missing

Every error keeps its facts as attributes, so that a person, a log and a program read the same event. Measured values of a
member never stand in a message: name the key, not the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class MadangError(Exception):
    """What went wrong, where, what is allowed and what to do next, in both languages.

    Args:
        code: Short stable word a program can branch on, such as ``unreadable_file``.
        ko: What was got and what is allowed, in Korean.
        en: The same in English.
        next_ko: The next step for the reader, in Korean.
        next_en: The same in English.
        where: Place of the trouble: file, sheet, row, column, dataset, point. Names, never measured values.
        retry: Whether the same call may succeed later without a change of input.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        code: str,
        *,
        ko: str,
        en: str,
        next_ko: str = "",
        next_en: str = "",
        where: Mapping[str, Json] | None = None,
        retry: bool = False,
    ) -> None:
        super().__init__(en)
        self.code = code
        self.ko = ko
        self.en = en
        self.next_ko = next_ko
        self.next_en = next_en
        self.where: dict[str, Json] = dict(where or {})
        self.retry = retry

    def document(self) -> dict[str, Json]:
        """Return the fields of an ``error/1`` document (without the envelope that a face adds)."""
        return {
            "code": self.code,
            "message_ko": self.ko,
            "message_en": self.en,
            "where": self.where,
            "next_ko": self.next_ko,
            "next_en": self.next_en,
        }


class UsageError(MadangError):
    """The command or call was used wrongly."""

    exit_code = 2


class InputError(MadangError):
    """The input cannot be read or does not fit; nothing was changed."""

    exit_code = 3


class RefusedError(MadangError):
    """An agreement, a class, the gate or a safety rule said no; the error names the clause."""

    exit_code = 4


class CheckFailed(MadangError):  # noqa: N818 - named as the exit code is
    """A check was made and failed."""

    exit_code = 5


class MissingError(MadangError):
    """Something needed is missing; the next step is the line to type."""

    exit_code = 6
