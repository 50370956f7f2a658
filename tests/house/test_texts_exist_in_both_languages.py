"""Every text for people stands in Korean and in English, side by side."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "madang"
HANGUL = re.compile("[가-힣]")
SENTENCE = 12
"""Letters from which on a text is taken for words, and not for a piece that joins others."""


def _literal(node: ast.expr) -> str | None:
    """Text of a string or the fixed parts of an f-string; None when it is something else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value for part in node.values if isinstance(part, ast.Constant) and isinstance(part.value, str))
    return None


def _pairs(tree: ast.AST) -> Iterator[tuple[int, str | None, str | None]]:
    """Line, Korean and English of every call that takes both."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        named = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        called = (
            node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
        )
        if "ko" in named and "en" in named:
            yield node.lineno, _literal(named["ko"]), _literal(named["en"])
        elif called in {"Bilingual", "t", "text"} and len(node.args) == 2:
            yield node.lineno, _literal(node.args[0]), _literal(node.args[1])


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_the_korean_text_is_korean_and_the_english_text_is_english(path: Path) -> None:
    wrong = [
        f"line {line}: ko={ko!r} en={en!r}"
        for line, ko, en in _pairs(ast.parse(path.read_text(encoding="utf-8")))
        if ko is not None and en is not None and len(re.findall("[A-Za-z]", en)) >= SENTENCE and not HANGUL.search(ko)
    ]
    assert wrong == []
