"""What is shipped: vendored files with hashes and licences, small enough, asking for nothing from outside."""

from __future__ import annotations

import gzip
import hashlib
import re
from importlib.resources import files
from pathlib import Path

import pytest

_STATIC = Path(str(files("madang.console"))) / "static"
_VENDOR = _STATIC / "vendor"
_OURS = sorted(p for p in _STATIC.iterdir() if p.suffix in (".js", ".css", ".svg"))


def test_every_vendored_file_has_its_hash_and_its_licence() -> None:
    lines = [line.split("  ") for line in (_VENDOR / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    shipped = {p.name for p in _VENDOR.iterdir() if p.suffix in (".js", ".css", ".woff2")}
    assert set(listed) == shipped
    for name, digest in listed.items():
        assert hashlib.sha256((_VENDOR / name).read_bytes()).hexdigest() == digest
    for name in shipped:
        assert (_VENDOR / f"LICENSE.{re.split(r'[-.]', name)[0].lower()}.txt").is_file()


def test_the_files_are_small() -> None:
    sizes = {p.name: p.stat().st_size for p in _VENDOR.iterdir()}
    assert max(sizes.values()) < 600_000
    assert sum(sizes.values()) < 1_600_000
    scripts = [p for folder in (_STATIC, _VENDOR) for p in folder.glob("*.js")]
    assert sum(len(gzip.compress(p.read_bytes())) for p in scripts) < 150_000


@pytest.mark.parametrize("path", [*_OURS, *sorted(_VENDOR.glob("*.js")), *sorted(_VENDOR.glob("*.css"))], ids=lambda p: p.name)
def test_no_file_asks_for_anything_from_outside(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"/\*!?.*?\*/|xmlns=\"http://www\.w3\.org/2000/svg\"", "", text, flags=re.DOTALL)
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]{2,}", re.sub(r"(?m)^\s*//.*$", "", text))


def _tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_can_be_read_on_every_ground_in_both_themes(theme: str) -> None:
    css = (_STATIC / "tokens.css").read_text(encoding="utf-8")
    start = css.index(":root {") if theme == "light" else css.index(':root[data-theme="dark"]')
    tokens = _tokens(css[start : css.index("}", start)])
    for text in ("ink", "ink-2", "accent", "ok", "warn", "bad", "stale", "note"):
        for ground in ("paper", "panel", "raised"):
            assert _contrast(tokens[text], tokens[ground]) >= 4.5, (text, ground)
    assert _contrast(tokens["accent-ink"], tokens["accent"]) >= 4.5
    assert _contrast(tokens["accent"], tokens["accent-soft"]) >= 4.5
    assert _contrast(tokens["ink-2"], tokens["accent-soft"]) >= 4.5


def test_the_dark_theme_is_the_same_when_the_system_chooses_it() -> None:
    css = (_STATIC / "tokens.css").read_text(encoding="utf-8")
    chosen = css.index(':root[data-theme="dark"]')
    system = css.index(':root:not([data-theme="light"])')
    assert _tokens(css[chosen : css.index("}", chosen)]) == _tokens(css[system : css.index("}", system)])
