"""Each kind of source answers the same questions, and an answer that a program can check is checked."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

import madang.connect
from madang.connect import Capability, SourceDescription, kinds
from madang.testing import SourceContract

ROOT = Path(__file__).resolve().parents[2]
ROOM = Path(madang.connect.__file__).parent
QUESTIONS: dict[str, dict[str, Any]] = tomllib.loads((ROOM / "quality_questions.toml").read_text(encoding="utf-8"))
OWN = sorted(kind for kind in kinds() if (ROOM / kind).is_dir())


@cache
def names_in(path: Path) -> dict[str, list[str]]:
    """Return the tests of a file, ``name`` or ``Class::name``, each with the names of its class's bases."""
    found: dict[str, list[str]] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = []
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(b).split(".")[-1] for b in node.bases]
            found[node.name] = bases
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    found[f"{node.name}::{inner.name}"] = bases
    return found


def has_contract(kind: str) -> bool:
    """Whether a class of the kind's tests runs the contract."""
    files = [*(ROOT / "tests" / "connect" / kind).glob("test_*.py"), *(ROOT / "tests" / "connect").glob(f"test_{kind}*.py")]
    return any("SourceContract" in bases for file in files for bases in names_in(file).values())


def problems(kind: str, description: SourceDescription, answers: dict[str, Any]) -> list[str]:
    """Return what is wrong with the answers of a kind, in one sentence each."""
    wrong = [f"{name} is no question" for name in answers if name not in QUESTIONS]
    for name, question in QUESTIONS.items():
        arises = set(question.get("needs", ())) <= description.capabilities
        answer = answers.get(name)
        if answer is None:
            wrong += [f"{name} is not answered"] * arises
        elif answer == "todo":
            wrong += [f"{name} does not arise, and is todo"] * (not arises)
        elif answer == "done":
            if "contract" not in question:
                wrong.append(f"{name} is done, but names no test: {{done = 'tests/...::test_...'}}")
            elif not has_contract(kind):
                wrong.append(f"{name} is done by the contract, but no test class of {kind} runs it")
        elif isinstance(answer, dict) and set(answer) == {"done"}:
            path, _, test = str(answer["done"]).partition("::")
            if not (ROOT / path).is_file() or test not in names_in(ROOT / path):
                wrong.append(f"{name} names a test that does not exist: {answer['done']}")
        elif isinstance(answer, dict) and set(answer) == {"exempt"}:
            wrong += [f"{name} is exempt without a reason"] * (len(str(answer["exempt"]).split()) < 3)
        else:
            wrong.append(f"{name} has an answer that is none: {answer!r}")
    return wrong


@pytest.mark.parametrize("kind", OWN)
def test_every_question_that_arises_is_answered_and_every_answer_holds(kind: str) -> None:
    file = ROOM / kind / "quality.toml"
    if not file.exists():
        pytest.fail(f"{kind} has no quality.toml beside it")
    assert problems(kind, kinds()[kind], tomllib.loads(file.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_a_question_is_asked_in_both_languages_and_names_what_exists(name: str) -> None:
    question = QUESTIONS[name]
    assert set(question) <= {"ko", "en", "needs", "contract"}
    assert question["ko"].endswith("?")
    assert question["en"].endswith("?")
    assert set(question.get("needs", ())) <= set(get_args(Capability))
    if "contract" in question:
        assert callable(getattr(SourceContract, question["contract"]))


def test_every_behaviour_of_the_contract_answers_a_question() -> None:
    behaviours = {name for name in vars(SourceContract) if name.startswith("test_")}
    assert behaviours == {q["contract"] for q in QUESTIONS.values() if "contract" in q}


def test_answers_that_do_not_hold_are_found() -> None:
    answers = {
        "korean_names": "done",
        "wrong_types": {"done": "tests/connect/test_quality_scale.py::test_that_nobody_wrote"},
        "one_megabyte_text": {"done": "tests/nowhere.py::test_a"},
        "trust_is_asked": {"exempt": "no"},
        "wrong_password": "yes",
        "late_commits": "todo",
        "colour": "done",
        "starts_and_stops": "done",
        "korean_texts": "todo",
    }
    told = "\n".join(problems("nothing", kinds()["replay"], answers))
    for name in answers:
        assert name in told
    assert "nan_and_infinity is not answered" in told
    assert "late_commits does not arise" in told
    assert problems("replay", kinds()["replay"], {}) == [
        f"{name} is not answered" for name, q in QUESTIONS.items() if set(q.get("needs", ())) <= kinds()["replay"].capabilities
    ]
