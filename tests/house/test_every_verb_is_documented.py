"""Every verb and option of the command has help in both languages and a place in the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from madang.cli._app import make_app
from madang.cli._face import Face, Language

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "commands.md"
COMMON = {"--json", "--quiet", "--help", "--workspace", "--lang", "--version"}


def _verbs(language: Language) -> Iterator[tuple[str, Any]]:
    """Name and command of every leaf of the tree."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a command of any kind
        children = getattr(command, "commands", None)
        if children:
            for word, child in children.items():
                yield from walk(f"{name} {word}".strip(), child)
        else:
            yield name, command

    yield from walk("", get_command(make_app(Face(language=language))))


@pytest.mark.parametrize("name", [name for name, _ in _verbs("en")])
def test_every_verb_and_option_stands_in_the_reference(name: str) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    section = re.search(rf"^## madang {re.escape(name)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"no section '## madang {name}'"
    command = dict(_verbs("en"))[name]
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")} - COMMON
    assert {option for option in options if option not in section[1]} == set()


def test_every_verb_and_option_has_help_in_both_languages() -> None:
    korean, english = dict(_verbs("ko")), dict(_verbs("en"))
    missing = []
    for name, command in english.items():
        pairs = [(korean[name].help, command.help)] + [
            (getattr(k, "help", None), getattr(e, "help", None))
            for k, e in zip(korean[name].params, command.params, strict=True)
            if e.name != "help"
        ]
        missing += [name for ko, en in pairs if not ko or not en or not re.search("[가-힣]", ko)]
    assert missing == []
