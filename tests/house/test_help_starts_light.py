"""The command's help loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"numpy", "pyarrow", "scipy", "sklearn", "lightgbm", "duckdb", "deltalake", "sqlalchemy", "fastapi", "openpyxl", "pint"}


@pytest.mark.parametrize("arguments", [["--help"], ["study", "--help"], ["library", "--help"], ["--version"]])
def test_help_of_any_verb_imports_no_heavy_library(arguments: list[str]) -> None:
    program = (
        "import sys; from madang.cli import main; code = main(sys.argv[1:]); "
        "sys.stderr.write('LOADED ' + ' '.join(sorted({m.split('.')[0] for m in sys.modules}))); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.rsplit("LOADED ", 1)[1].split())
    assert loaded & HEAVY == set()
