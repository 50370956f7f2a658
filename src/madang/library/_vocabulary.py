"""What the words in column names mean, in Korean, English and German; the words themselves are data (``_vocabulary.toml``)."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from madang.plant import Kind, Role, split_unit

_RUN = re.compile(r"[가-힣ㄱ-ㅎ]+|[A-Za-zÀ-ÖØ-öø-ÿ]+\d*[A-Za-z]?(?![A-Za-zÀ-ÿ])|[A-Za-zÀ-ÖØ-öø-ÿ]+|\d+")
_CAMEL = re.compile(r"[A-ZÄÖÜ]+(?![a-zäöüß])|[A-ZÄÖÜ]?[a-zäöüß]+|[À-ÿ]+")
_MIN_LATIN_PART = 4


@dataclass(frozen=True)
class Concept:
    """One meaning, whatever the language of its words."""

    id: str
    kind: Kind | None
    """Kind of quantity of a column so named; None for things, places and modifiers."""
    also: tuple[Kind, ...]
    """Other kinds that the same words stand for when the unit says so."""
    role: Role | None
    unit: str | None
    """Unit in which `low` and `high` are given (UCUM)."""
    low: float | None
    high: float | None
    fraction: bool
    """Whether values are shares, so that values up to one and values up to a hundred tell fraction from percent."""

    @property
    def quantity(self) -> bool:
        """Whether it is a physical or countable quantity, not an identifier, category, text, state or time."""
        return self.kind is not None and self.kind not in _WORDS


_WORDS = frozenset({Kind.IDENTIFIER, Kind.CATEGORY, Kind.STATE, Kind.TEXT, Kind.TIME, Kind.UNKNOWN})


@dataclass(frozen=True)
class Meaning:
    """A word or phrase of a name that the vocabulary knows."""

    concept: Concept
    word: str
    whole: bool
    """False for an abbreviation that has other meanings too."""
    place: int
    """Index of its last token in the name."""


@dataclass(frozen=True)
class Reading:
    """A name taken apart."""

    tokens: tuple[str, ...]
    """Normalised parts: Hangul words, Latin words in lower case, digits."""
    meanings: tuple[Meaning, ...]
    unknown: tuple[int, ...]
    """Indexes of the tokens that mean nothing here, digits and single letters left out."""


@dataclass(frozen=True)
class Vocabulary:
    """All concepts and the phrases that lead to them."""

    concepts: Mapping[str, Concept]
    phrases: Mapping[tuple[str, ...], tuple[str, bool]]
    """Tokens of a phrase -> id of its concept, and whether it is a whole word rather than an abbreviation."""
    words: frozenset[str]
    """Single tokens that begin, end or make up phrases: what compounds are cut into."""
    measured: Mapping[str, str]
    """First letter of an instrument tag (ISA-5.1) -> id of the concept."""

    def read(self, name: str) -> Reading:
        """Take a name apart and say what its parts mean; longer phrases win."""
        tokens = tuple(self._tokens(name))
        meanings: list[Meaning] = []
        unknown: list[int] = []
        start = 0
        while start < len(tokens):
            for end in range(min(len(tokens), start + 5), start, -1):
                found = self.phrases.get(tokens[start:end]) or self._joined(tokens[start:end])
                if found is not None:
                    meanings.append(Meaning(self.concepts[found[0]], " ".join(tokens[start:end]), found[1], end - 1))
                    start = end
                    break
            else:
                if len(tokens[start]) > 1 and not tokens[start].isdigit():
                    unknown.append(start)
                start += 1
        return Reading(tokens, tuple(meanings), tuple(unknown))

    def _joined(self, tokens: tuple[str, ...]) -> tuple[str, bool] | None:
        """Look a Korean compound up that was written apart (``불량 내용``)."""
        if len(tokens) < 2 or not all("가" <= token[0] <= "힣" for token in tokens):
            return None
        return self.phrases.get(("".join(tokens),))

    def _tokens(self, name: str) -> Iterator[str]:
        for run in _RUN.findall(unicodedata.normalize("NFKC", name)):
            if "가" <= run[0] <= "힣":
                yield from self._hangul(run)
            elif run.isdigit() or run.casefold() in self.words:
                yield run.casefold()
            else:
                letters = re.match(r"[^\d]+", run)
                assert letters is not None
                yield from self._latin(letters[0])
                rest = run[letters.end() :]
                yield from (part.casefold() for part in re.findall(r"\d+|\D+", rest))

    def _latin(self, run: str) -> Iterator[str]:
        if run.casefold() in self.words:
            yield run.casefold()
            return
        for part in _CAMEL.findall(run):
            word = part.casefold()
            if word not in self.words and word.endswith("s") and word[:-1] in self.words:
                yield word[:-1]
            else:
                yield from (word,) if word in self.words else self._compound(word)

    def _compound(self, word: str) -> tuple[str, ...]:
        """Cut a Latin compound (``ofentemperatur``, ``furnacetemp``) into words that cover it wholly, or leave it."""
        best: dict[int, tuple[str, ...]] = {0: ()}
        for end in range(_MIN_LATIN_PART, len(word) + 1):
            for start in sorted(best):
                part = word[start:end]
                # German joins its compounds with an s or en that belongs to neither word.
                bare = part.removeprefix("s") if start and part.startswith("s") and part not in self.words else part
                if len(bare) >= _MIN_LATIN_PART and bare in self.words:
                    best[end] = (*best[start], bare)
                    break
        if len(word) in best:
            return best[len(word)]
        # An unknown first part is a name for the thing; the known last part still says what is measured.
        for start in range(3, len(word) - 5):
            if word[start:] in self.words:
                return word[:start], word[start:]
        return (word,)

    def _hangul(self, run: str) -> list[str]:
        """Cut a Hangul compound so that known words cover most of it, with as few and as long parts as can be."""
        # Per position: letters left over, number of parts, the parts; the smallest is the best cut.
        best: list[tuple[int, int, list[str]]] = [(0, 0, [])]
        for end in range(1, len(run) + 1):
            choices: list[tuple[int, int, list[str]]] = []
            for start in range(max(0, end - 10), end):
                missed, count, parts = best[start]
                part = run[start:end]
                if part in self.words:
                    choices.append((missed, count + 1, [*parts, part]))
                else:
                    choices.append((missed + len(part), count + 1, [*parts, part]))
            best.append(min(choices, key=lambda choice: (choice[0], choice[1])))
        return best[-1][2]

    def terms(self, text: str) -> frozenset[str]:
        """Return the concept ids (marked ``=``) and the normalised tokens of a text."""
        reading = self.read(text)
        ids = {f"={meaning.concept.id}" for meaning in reading.meanings if meaning.concept.id != "unitless_word"}
        return frozenset(ids | set(reading.tokens))


@cache
def vocabulary() -> Vocabulary:
    """Return the vocabulary of the package."""
    document = tomllib.loads(files("madang.library").joinpath("_vocabulary.toml").read_text(encoding="utf-8"))
    concepts: dict[str, Concept] = {}
    spellings: list[tuple[str, str, bool]] = []
    measured: dict[str, str] = {}
    for id_, entry in document.items():
        low, high = entry.get("range", (None, None))
        concepts[id_] = Concept(
            id=id_,
            kind=Kind(entry["kind"]) if "kind" in entry else None,
            also=tuple(Kind(kind) for kind in entry.get("also", ())),
            role=Role(entry["role"]) if "role" in entry else None,
            unit=entry.get("unit"),
            low=low,
            high=high,
            fraction=entry.get("fraction", False),
        )
        if "isa" in entry:
            measured[entry["isa"]] = id_
        spellings += [(word, id_, True) for language in ("ko", "en", "de") for word in entry.get(language, ())]
        spellings += [(word, id_, False) for word in entry.get("abbr", ())]
    phrases: dict[tuple[str, ...], tuple[str, bool]] = {}
    for word, id_, whole in spellings:
        phrases.setdefault(_phrase(word), (id_, whole))
    words = frozenset(token for phrase in phrases for token in phrase)
    return Vocabulary(concepts, phrases, words, measured)


def _phrase(word: str) -> tuple[str, ...]:
    return tuple(part for run in word.split() for part in _script_runs(unicodedata.normalize("NFKC", run).casefold()))


def _script_runs(run: str) -> Iterable[str]:
    # "ng수량" is two tokens, "d50" is one: only the change between Hangul and Latin parts a listed word.
    return re.findall(r"[가-힣]+|[^가-힣]+", run)


def expand_query(text: str) -> frozenset[str]:
    """Return what a search text asks for: concept ids (marked ``=``) and normalised tokens, whatever its language.

    >>> sorted(term for term in expand_query("furnace zone temperature") if term.startswith("="))
    ['=furnace', '=temperature', '=zone']
    >>> expand_query("로내 온도") & index_terms("Furnace Temp 3") >= {"=furnace", "=temperature"}
    True
    """
    return vocabulary().terms(text)


def index_terms(name: str, kind: Kind | None = None, *texts: str) -> frozenset[str]:
    """Return what a column or dataset can be found by.

    Args:
        name: Name of the column; its unit is told apart from its words.
        kind: Kind of quantity, so that a bare tag such as ``FT_203`` is found as flow.
        texts: More texts to be found by: name in the source, mapped point, description.
    """
    known = vocabulary()
    terms = set(known.terms(split_unit(name)[0]))
    for text in texts:
        terms |= known.terms(text)
    if kind is not None and kind not in _WORDS:
        first = next((concept for concept in known.concepts.values() if concept.kind is kind), None)
        if first is not None:
            terms.add(f"={first.id}")
    return frozenset(terms)
