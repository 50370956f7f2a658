"""Write TOML that people read and change: tables of texts, numbers, truths and lists; Python reads it but does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Plain: TypeAlias = "str | int | float | bool | Sequence[str]"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(head: Mapping[str, Plain], tables: Mapping[str, Mapping[str, Plain]], comment: str = "") -> str:
    r"""Return a document of plain values and one level of tables.

    >>> print(toml_text({"name": "소성로"}, {"options": {"opc.root": "a\nb"}}), end="")
    name = "소성로"
    <BLANKLINE>
    [options]
    "opc.root" = "a\nb"
    """
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [f"{_key(key)} = {_value(value)}" for key, value in head.items()]
    for name, table in tables.items():
        if table:
            lines += ["", f"[{_key(name)}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: Plain) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int | float):
        return repr(value)
    return "[" + ", ".join(_string(item) for item in value) + "]"


def _string(text: str) -> str:
    # A basic string of TOML is one of JSON, except that DEL has to be escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
