"""The rules of retention that a workspace has of its own, in ``retention.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, cast

from madang.errors import InputError
from madang.library._signals._retention import EVERYTHING, STANDARD, Rule

FILE: Final = "retention.toml"
_FIELDS: Final = frozenset({"importance", "after_days", "then", "every_seconds"})


def rules_of(workspace: Path) -> tuple[Rule, ...]:
    """Return the rules of a workspace: those of its file, all of them; without the file the standard ones.

    An empty file keeps everything for ever.

        [[rule]]
        importance = "core"     # without it: every importance that has no rule of its own
        after_days = 365
        then = "thinned"        # or "archived"
        every_seconds = 10      # of thinned numbers; 60 without it

    Raises:
        InputError: The file cannot be read, or holds something else than rules.
    """
    path = workspace / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return STANDARD
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong("the file") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(str(error)) from error
    rules = document.get("rule", [])
    if not isinstance(rules, list) or document.keys() - {"rule"}:
        raise _wrong(", ".join(sorted(document.keys() - {"rule"})) or "rule")
    return tuple(_rule(number, cast("object", rule)) for number, rule in enumerate(rules, start=1))


def _rule(number: int, rule: object) -> Rule:
    if not isinstance(rule, Mapping) or rule.keys() - _FIELDS:
        raise _wrong(f"rule {number}")
    days, every = _count(rule.get("after_days")), _count(rule.get("every_seconds", 60))
    then, importance = rule.get("then"), rule.get("importance", EVERYTHING)
    if not 1 <= days <= 36_500:
        raise _wrong(f"rule {number}: after_days")
    if then != "thinned" and then != "archived":
        raise _wrong(f"rule {number}: then")
    if not isinstance(importance, str) or not importance:
        raise _wrong(f"rule {number}: importance")
    if not 1 <= every <= 86_400:
        raise _wrong(f"rule {number}: every_seconds")
    return Rule(timedelta(days=days), then, importance, timedelta(seconds=every))


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _wrong(what: str) -> InputError:
    return InputError(
        "bad_retention_rules",
        ko=f"{FILE} 을 규칙으로 읽을 수 없어요: {what}",
        en=f"{FILE} cannot be read as rules: {what}",
        next_ko='예: [[rule]] 아래에 after_days = 365, then = "thinned" (또는 "archived")',
        next_en='For example, below [[rule]]: after_days = 365 and then = "thinned" (or "archived")',
        where={"file": FILE, "what": what},
    )
