"""Every document of the library fits its published schema."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

import madang
from madang.errors import CheckFailed, InputError, RefusedError
from tests.library.plant_files import open_library, write_meter


def check(schema: str, fields: dict[str, Any]) -> None:
    """Raise unless a document with its envelope fits the schema and survives JSON without NaN."""
    document = {"schema": schema, "madang": madang.__version__, "seconds": 0.1, **fields}
    text = json.dumps(document, allow_nan=False, ensure_ascii=False)
    rules = json.loads(files("madang").joinpath(f"schemas/{schema.replace('/', '-')}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(rules)
    jsonschema.Draft202012Validator(rules).validate(json.loads(text))


def test_the_documents_of_a_library_with_troubles_fit_their_schemas(tmp_path: Path) -> None:
    file = write_meter(tmp_path / "계량.csv", change={(3, 1): "ERR", (4, 2): "", (5, 1): "inf"})
    file.write_text(file.read_text(encoding="utf-8") + "short\n", encoding="utf-8")
    folder = tmp_path / "in"
    folder.mkdir()
    write_meter(folder / "no_time.csv", columns=("a b", "c"))
    (folder / "b.bin").write_bytes(b"\x00")
    (folder / "x.md").write_text("x", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("a,b\n", encoding="utf-8")
    with open_library(tmp_path / "ws") as library:
        for paths in ([file], [folder], [tmp_path / "empty.csv"], [file]):
            check("intake/1", dict(library.intake(paths).document()))
        check("library-list/1", dict(library.list()))
        for name in ("계량", "no_time", "empty"):
            check("card/1", dict(library.card(name)))
        check("search/1", {"query": "온도", "hits": library.search("온도")})
        check("mapping-review/1", {"columns": library.map_review()})
        check("quarantine/1", {"dataset": "계량", "rows": library.quarantine("계량")})
        check("mapping/1", dict(library.accept("계량", "압력", kind="pressure", unit="kPa")))
        check("replay/1", dict(library.replay("계량")))
        check("export/1", dict(library.export("계량", tmp_path / "out.csv")))
        check("compact/1", dict(library.compact("계량")))
        check("undo/1", dict(library.undo("u1")))
        check("library-list/1", dict(library.list()))


@pytest.mark.parametrize("kind", [InputError, RefusedError, CheckFailed])
def test_errors_fit_their_schema(kind: type[InputError | RefusedError | CheckFailed]) -> None:
    check("error/1", dict(kind("word", ko="무엇", en="what", where={"file": "a"}).document()))


def test_an_infinite_reading_is_a_bad_value_and_keeps_its_original_in_the_remarks(tmp_path: Path) -> None:
    with open_library(tmp_path / "ws") as library:
        library.intake([write_meter(tmp_path / "meter.csv", change={(9, 1): "inf"})])
        card: Any = library.card("meter")
        (column,) = [c for c in card["columns"] if c["name"] == "로 온도"]
        assert (column["bad"], column["stats"]["n"]) == (1, 299)
        assert library.flags("meter").to_pylist() == [
            {"_part": 1, "_row": 10, "column": "로 온도", "flag": "bad", "original": "inf"}
        ]
