"""Names that a person typed, found among the columns of a study."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from madang.errors import InputError
from madang.library import ColumnCard
from madang.models._frame import Frame

_SOURCE_NAMES = "source_names"


def plain_name(text: str) -> str:
    """Return a name without case, width, blanks and joining marks: ``Lot No.`` and ``lot_no`` are one name."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\s_\-./]+", "", folded)


def find_name(asked: str, names: Mapping[str, str], what: str = "column") -> str:
    """Return the column that a person meant.

    Exact names win over names that agree but for case, width and blanks; the name in use wins over the source's name; and both
    win over one level of a merged header (``group / part``), where the name of a group means its total.

    Args:
        asked: The name as typed.
        names: Name in use -> name in the source.
        what: Which argument asked, for the message: ``target``, ``exclude`` ...

    Raises:
        InputError: No column, or more than one, has that name; the error lists near matches.
    """
    if asked in names:
        return asked
    exact = [name for name, source in names.items() if source == asked]
    if len(exact) == 1:
        return exact[0]
    wanted = plain_name(asked)
    for candidates in (
        [name for name in names if plain_name(name) == wanted],
        [name for name, source in names.items() if plain_name(source) == wanted],
    ):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise _several(asked, candidates, what)
    level = _by_level(wanted, names)
    if len(level) == 1:
        return level[0]
    if level:
        raise _several(asked, level, what)
    raise _unknown(asked, names, what)


_TOTALS = frozenset(["합계", "계", "총계", "전체", "total", "sum"])


def _by_level(wanted: str, names: Mapping[str, str]) -> list[str]:
    """Return the columns that bear a name on one level of a header of several rows; of a group, its total."""
    found: list[str] = []
    totals: list[str] = []
    for name in names:
        levels = [plain_name(level) for level in name.split(" / ")]
        if len(levels) > 1 and wanted in levels:
            found.append(name)
            if levels[0] == wanted and levels[-1] in _TOTALS:
                totals.append(name)
    return totals if len(totals) == 1 else found


def source_names(columns: Iterable[ColumnCard]) -> dict[str, str]:
    """Return name in use -> name in the source."""
    return {card.name: card.source_name for card in columns}


def find_column(frame: Frame, asked: str, what: str = "column") -> str:
    """Return the name of the frame's column that a person meant, by its name or by its source's name.

    Raises:
        InputError: No column, or more than one, has that name.
    """
    known = frame.facts.get(_SOURCE_NAMES)
    sources = known if isinstance(known, dict) else {}
    return find_name(asked, {name: str(sources.get(name, name)) for name in frame.series}, what)


def _near(asked: str, names: Mapping[str, str]) -> list[str]:
    by_plain: dict[str, str] = {}
    for name, source in names.items():
        by_plain.setdefault(plain_name(source), name)
        by_plain.setdefault(plain_name(name), name)
    wanted = plain_name(asked)
    near = difflib.get_close_matches(wanted, list(by_plain), n=5, cutoff=0.5)
    near += [plain for plain in by_plain if wanted and wanted in plain and plain not in near]
    return list(dict.fromkeys(by_plain[plain] for plain in near))[:5]


def _unknown(asked: str, names: Mapping[str, str], what: str) -> InputError:
    near = _near(asked, names)
    shown = near or list(names)[:10]
    listed = ", ".join(shown)
    return InputError(
        "unknown_column",
        ko=f"{what}(으)로 지정한 열 '{asked}'이(가) 없습니다. " + (f"비슷한 열: {listed}." if near else f"있는 열: {listed}."),
        en=f"There is no column '{asked}' (given as {what}). "
        + (f"Near matches: {listed}." if near else f"Columns: {listed}."),
        next_ko="열 이름을 고쳐 다시 실행해 주세요. 열 목록은 madang intake 결과에 있어요.",
        next_en="Correct the name and run again; madang intake lists the columns.",
        where={"argument": what, "column": asked, "near": list(shown)},
    )


def _several(asked: str, found: Sequence[str], what: str) -> InputError:
    listed = ", ".join(found)
    return InputError(
        "ambiguous_column",
        ko=f"'{asked}'({what})에 맞는 열이 여럿입니다: {listed}.",
        en=f"'{asked}' (given as {what}) fits several columns: {listed}.",
        next_ko="위의 이름 가운데 하나를 그대로 적어 주세요.",
        next_en="Write one of these names exactly.",
        where={"argument": what, "column": asked, "near": list(found)},
    )
