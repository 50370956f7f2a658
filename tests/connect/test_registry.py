"""Kinds of sources are found by name, ours and those of others, and what is missing is told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from madang.connect import ConnectionSettings, _registry, kinds, make_source
from madang.errors import InputError, MissingError


@pytest.fixture
def outsider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of someone else that announces two kinds, one of which cannot be loaded."""
    (tmp_path / "outside_plc.py").write_text(
        "from madang.connect import SourceDescription\nfrom madang.plant import Bilingual\n"
        "DESCRIPTION = SourceDescription('plc', Bilingual('제어기', 'PLC'), frozenset({'read'}))\n"
        "def make(settings): return settings.url\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = [EntryPoint("plc", "outside_plc", _registry.GROUP), EntryPoint("gone", "outside_gone", _registry.GROUP)]
    monkeypatch.setattr(_registry, "entry_points", lambda group: found)
    _registry._packages.cache_clear()
    yield tmp_path
    _registry._packages.cache_clear()
    _registry._load.cache_clear()


def test_our_kinds_are_listed_in_the_order_in_which_people_are_shown_them() -> None:
    assert [k for k in kinds() if k in _registry.KINDS] == [k for k in _registry.KINDS if k in kinds()]
    assert all(description.kind == kind for kind, description in kinds().items())


def test_a_kind_from_outside_stands_beside_ours_and_a_broken_one_does_not_hide_the_rest(outsider: Path) -> None:
    assert kinds()["plc"].title.en == "PLC"
    assert "replay" in kinds()
    assert "gone" not in kinds()
    assert make_source(ConnectionSettings("line", "plc", "plc://1")) == "plc://1"  # type: ignore[comparison-overlap]


def test_a_kind_that_cannot_be_loaded_is_told_when_it_is_asked_for(outsider: Path) -> None:
    with pytest.raises(MissingError) as missing:
        make_source(ConnectionSettings("line", "gone", ""))
    assert missing.value.code == "kind_not_loadable"
    assert missing.value.next_en


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError) as refused:
        make_source(ConnectionSettings("line", "telepathy", ""))
    assert refused.value.code == "unknown_kind"
    assert "replay" in refused.value.en


def test_listing_the_kinds_loads_no_library_of_a_protocol() -> None:
    code = "import sys; from madang.connect import kinds; kinds(); print([m for m in ('asyncua', 'paho', 'pymodbus', 'psycopg', 'pymysql') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
