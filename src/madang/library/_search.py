"""Search over datasets and columns, in Korean and English, whatever the spacing."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from madang.errors import Json
from madang.library._cards import ColumnCard
from madang.library._catalogue import Dataset, all_datasets, parts_of, version_of
from madang.library._signals._points import points_of, signals_datasets
from madang.plant import Kind

if TYPE_CHECKING:
    from sqlalchemy import Connection

_LETTERS = re.compile(r"[\W_]+")
_HITS = 200


def search(db: Connection, text: str) -> list[dict[str, Json]]:
    """Return datasets and columns that fit a text, best first; one hit per dataset or column.

    A word counts by what it means (so ``온도`` finds ``temp``), by its letters without blanks and signs, and as a beginning or
    part of a name. Words that only the best hits share decide the order.
    """
    from madang.library._vocabulary import expand_query, index_terms

    wanted = expand_query(text)
    letters = _plain(text)
    words = [w for w in (_plain(w) for w in text.split()) if w]
    if not letters:
        return []
    found: list[tuple[float, str, dict[str, Json]]] = []
    for dataset in all_datasets(db):
        version = version_of(db, dataset, dataset.latest)
        if version is None:
            continue
        sources = [p.card.source for p in parts_of(db, dataset, version.parts)]
        said = [str(v) for v in dataset.facts.values() if isinstance(v, str)]
        terms = index_terms(dataset.name, None, *sources, *said)
        own = _score(wanted, words, letters, terms, [dataset.name, *sources, *said])
        if own > 0:
            found.append((own, f"{dataset.name}\0", _hit(dataset, None, own)))
        for card in version.columns:
            kind = None if card.kind is Kind.UNKNOWN else card.kind
            terms = index_terms(card.name, kind, card.source_name, card.point or "")
            score = _score(wanted, words, letters, terms, [card.name, card.source_name])
            if score > 0:
                # A column of a dataset that fits too stands above the same column elsewhere.
                score += 0.2 * min(1.0, own)
                found.append((score, f"{dataset.name}\0{card.name}", _hit(dataset, card, score)))
    for dataset in signals_datasets(db):
        points = points_of(db, dataset.id)
        said = [*(str(v) for v in dataset.facts.values() if isinstance(v, str)), *sorted({p.connection for p in points})]
        own = _score(wanted, words, letters, index_terms(dataset.name, None, *said), [dataset.name, *said])
        if own > 0:
            found.append((own, f"{dataset.name}\0", _hit(dataset, None, own)))
        for point in points:
            labels = [] if point.label is None else [point.label.ko, point.label.en]
            kind = None if point.kind is Kind.UNKNOWN else point.kind
            score = _score(wanted, words, letters, index_terms(point.name, kind, point.tag, *labels), [point.name, *labels])
            if score > 0:
                score += 0.2 * min(1.0, own)
                found.append((score, f"{dataset.name}\0{point.name}", _hit(dataset, point.card, score)))
    found.sort(key=lambda f: (-f[0], f[1]))
    return [hit for _, _, hit in found[:_HITS]]


def _score(wanted: frozenset[str], words: list[str], letters: str, terms: frozenset[str], names: list[str]) -> float:
    plain = [_plain(n) for n in names]
    if letters in plain:
        return 3.0
    meant = [t for t in wanted if t.startswith("=")]
    hit = sum(t in terms for t in meant)
    spelled = sum(any(w in p for p in plain) for w in words)
    share = max(hit / len(meant) if meant else 0.0, spelled / len(words) if words else 0.0)
    if any(letters in p for p in plain):
        share = max(share, 1.0) + 0.5
    precise = hit / max(1, sum(t.startswith("=") for t in terms))
    return share + 0.3 * precise if share >= 0.5 else 0.0


def _hit(dataset: Dataset, card: ColumnCard | None, score: float) -> dict[str, Json]:
    hit: dict[str, Json] = {"dataset": dataset.name, "version": dataset.latest, "score": round(score, 3), "column": None}
    if card is not None:
        hit |= {
            "column": card.name,
            "source_name": card.source_name,
            "role": str(card.role),
            "kind_of_quantity": str(card.kind),
            "unit": card.unit,
        }
    return hit


def _plain(text: str) -> str:
    """Letters and digits alone, so that spacing and signs do not matter."""
    return _LETTERS.sub("", unicodedata.normalize("NFKC", text).casefold())
