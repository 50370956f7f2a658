"""Keys: the same lot written in two ways, and the columns of two tables that name the same things.

A spelling is compared at growing levels of tolerance, and a coarser level is used for one row only where no finer level found
anything, and only where it leads to one spelling of the other table: what could be two lots stays two lots.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from madang.library._cards import ColumnCard
from madang.plant import Bilingual, Role

_IN_FRONT = "lot l lotno lotid no id batch batchno batchid serial sn 로트 로트번호 랏 배치 번호 차수"
LOT_WORDS = frozenset(_IN_FRONT.split())
"""Words in front of a number that say what it is, and not which one it is."""

LEVELS: tuple[Bilingual, ...] = (
    Bilingual("그대로 같아요", "the same text"),
    Bilingual("대소문자·전각·앞뒤 빈칸만 달라요", "same but for case, width and blanks"),
    Bilingual("구분 기호만 달라요", "same but for separators"),
    Bilingual("숫자 앞의 0만 달라요", "same but for leading zeros"),
    Bilingual("'로트' 같은 머리말만 달라요", "same but for a word like 'lot' in front"),
)
"""What may differ at each level."""

_TOKEN = re.compile(r"[0-9]+|[^\W\d_]+")


def spellings(text: str, constant_word: str | None = None) -> tuple[str, ...]:
    """Return a key at each level of `LEVELS`.

    Args:
        text: The key as written.
        constant_word: A word that stands in front of every key of its table, and so tells nothing.

    >>> spellings("LOT-0012")
    ('LOT-0012', 'lot-0012', 'lot 0012', 'lot 12', '12')
    >>> spellings(" lot 12")[-1], spellings("L0012 ")[-1]
    ('12', '12')
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    tokens = _TOKEN.findall(plain)
    short = [token.lstrip("0") or "0" if token.isdigit() else token for token in tokens]
    bare = list(short)
    while len(bare) > 1 and not bare[0].isdigit() and (bare[0] in LOT_WORDS or bare[0] == constant_word):
        bare = bare[1:]
    return text, plain, " ".join(tokens), " ".join(short), " ".join(bare)


def constant_word(texts: Iterable[str]) -> str | None:
    """Return the word that stands in front of every key of a table, if there is one."""
    words = set()
    for text in texts:
        tokens = _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())
        words.add(tokens[0] if len(tokens) > 1 and not tokens[0].isdigit() else None)
        if len(words) > 1:
            return None
    return words.pop() if words else None


@dataclass(frozen=True)
class KeyMatch:
    """How the spellings of one column stand to the spellings of another."""

    candidates: tuple[tuple[int, ...], ...]
    """For each asked spelling, the codes of the other column's spellings it may mean: none, one, or several (not decidable)."""
    level: NDArray[np.int64]
    """Level of `LEVELS` at which each was found; -1 = not found."""


def match_keys(asked: Sequence[str], known: Sequence[str]) -> KeyMatch:
    """Return which spellings of `known` each spelling of `asked` may mean.

    Args:
        asked: Different spellings of one column; the empty text means nothing.
        known: Different spellings of the other column.
    """
    asked_word, known_word = constant_word(filter(None, asked)), constant_word(filter(None, known))
    if asked_word != known_word and not {asked_word, known_word} & {None, *LOT_WORDS}:
        # two lines whose numbers run side by side: their words do tell them apart
        asked_word = known_word = None
    known_at = [spellings(text, known_word) for text in known]
    asked_at = [spellings(text, asked_word) for text in asked]
    found: list[tuple[int, ...]] = [()] * len(asked)
    level = np.full(len(asked), -1, dtype=np.int64)
    waiting = [at for at, text in enumerate(asked) if text]
    for step in range(len(LEVELS)):
        index: dict[str, list[int]] = {}
        for code, spelled in enumerate(known_at):
            if spelled[step]:
                index.setdefault(spelled[step], []).append(code)
        still = []
        for at in waiting:
            hits = index.get(asked_at[at][step])
            if hits:
                found[at], level[at] = tuple(hits), step
            else:
                still.append(at)
        waiting = still
    return KeyMatch(tuple(found), level)


@dataclass(frozen=True)
class TextKeys:
    """A key column as codes into its different spellings; -1 where the key is absent."""

    codes: NDArray[np.int64]
    spellings: tuple[str, ...]


def text_keys(columns: Sequence[pa.ChunkedArray]) -> TextKeys:
    """Return one or several columns as one key (several are joined by ``|``; absent in one is absent).

    Whole numbers that were read as decimals lose their point: lot 12.0 is lot 12.
    """
    texts = _texts(columns[0])
    for column in columns[1:]:
        texts = pc.binary_join_element_wise(texts, _texts(column), "|")
    encoded = texts.dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    named = tuple(str(text) for text in encoded.dictionary.to_pylist())
    blank = np.asarray([not text.strip() for text in named] + [True])
    return TextKeys(np.where(blank[codes], -1, codes), named)


def _texts(column: pa.ChunkedArray) -> pa.Array:
    type_ = column.type
    if pa.types.is_dictionary(type_):
        column = column.cast(type_.value_type)
    elif pa.types.is_floating(type_):
        whole = pc.and_kleene(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 9e15))
        integers = pc.if_else(whole, column, None).cast(pa.int64()).cast(pa.string())
        column = pc.coalesce(integers, column.cast(pa.string()))
    column = column.cast(pa.string())
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


@dataclass(frozen=True)
class KeyCandidate:
    """Two columns that may name the same things."""

    left: str
    right: str
    score: float
    """From 0 to 1; at least `SURE` is taken without asking."""
    overlap: float
    """Share of the smaller set of spellings that the other one knows too."""
    reason: Bilingual


SURE = 0.6

_NAME_WORDS = re.compile("lot|batch|serial|heat|order|raw|material|로트|랏|배치|시리얼|지시|원료|주문|자재")
_TOO_FEW = 5
_SELDOM = 0.5
"""Different keys per row that one side of a key has, at least: what recurs in both tables is a category."""


def find_keys(
    left: pa.Table, right: pa.Table, left_cards: Sequence[ColumnCard], right_cards: Sequence[ColumnCard]
) -> tuple[KeyCandidate, ...]:
    """Return pairs of columns that name the same things, the best first.

    Evidence is the overlap of the spellings (at the coarsest level), whether one side names each thing once, and the names of
    the columns. Measured numbers are never keys; whole numbers are, where their names or roles say so.
    """
    lefts = [found for card in left_cards if (found := _keyed(left, card)) is not None]
    rights = [found for card in right_cards if (found := _keyed(right, card)) is not None]
    made = [pair for a in lefts for b in rights if (pair := _judge(a, b)) is not None]
    return tuple(sorted(made, key=lambda pair: (-pair.score, pair.left, pair.right)))


@dataclass(frozen=True)
class _Keyed:
    card: ColumnCard
    spelled: frozenset[str]
    """Spellings without words in front."""
    whole: frozenset[str]
    """Spellings with them."""
    unique: float
    """Different keys per row that has one."""
    numeric: bool


def _keyed(table: pa.Table, card: ColumnCard) -> _Keyed | None:
    if card.name not in table.column_names or card.role is Role.TIME:
        return None
    column = table[card.name]
    named = card.role in {Role.LOT, Role.IDENTIFIER} or _said(card)
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_dictionary(column.type)
    if not text and not (named and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))):
        return None
    keys = text_keys([column])
    present = int(np.count_nonzero(keys.codes >= 0))
    different = np.unique(keys.codes[keys.codes >= 0])
    if len(different) < _TOO_FEW:
        return None
    word = constant_word(keys.spellings[code] for code in different)
    levels = [spellings(keys.spellings[code], word) for code in different]
    spelled, whole = frozenset(level[-1] for level in levels), frozenset(level[-2] for level in levels)
    return _Keyed(card, spelled, whole, len(different) / present, not text)


def _judge(a: _Keyed, b: _Keyed) -> KeyCandidate | None:
    roles = {Role.LOT, Role.IDENTIFIER}
    named = 1.0 if _shared_word(a.card, b.card) or a.card.role is b.card.role is Role.LOT else 0.0
    if not named and a.card.role in roles and b.card.role in roles:
        named = 0.5
    # lot 5 and tool 5 share a number and nothing else: without a name in common the word in front counts
    mine, theirs = (a.spelled, b.spelled) if named else (a.whole, b.whole)
    shared = len(mine & theirs)
    unique = max(a.unique, b.unique)
    if shared < _TOO_FEW or unique < _SELDOM:
        return None
    overlap = shared / min(len(mine), len(theirs))
    if (a.numeric or b.numeric) and not named:
        return None
    score = 0.55 * overlap + 0.25 * unique + 0.2 * named
    percent = round(100 * overlap)
    reason = Bilingual(
        f"'{a.card.name}'와(과) '{b.card.name}'의 값이 {percent} % 겹쳐요({shared}개).",
        f"{percent} % of the values of '{a.card.name}' and '{b.card.name}' agree ({shared}).",
    )
    return KeyCandidate(a.card.name, b.card.name, round(score, 4), overlap, reason)


def _plain(card: ColumnCard) -> str:
    both = unicodedata.normalize("NFKC", f"{card.name} {card.source_name}").casefold()
    return re.sub(r"[\s_\-.]+", "", both)


def _said(card: ColumnCard) -> bool:
    return _NAME_WORDS.search(_plain(card)) is not None


def _shared_word(a: ColumnCard, b: ColumnCard) -> bool:
    words = [set(_NAME_WORDS.findall(_plain(card))) for card in (a, b)]
    return bool(words[0] & words[1]) or _plain(a) == _plain(b)
