"""The line document: one description of a line that connections, standardising, studies, twin and gate all read.

A ``line.toml`` names equipment, points, products, recipes, the envelope and the sources of one line. A control limit (what the
process does) and a specification limit (what the customer accepts) are two fields and are never used for one another.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from madang.errors import InputError
from madang.plant._places import EquipmentPath
from madang.plant._units import parse_unit
from madang.plant._words import Bilingual, Kind, Role

_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)\s*$")


def duration_seconds(text: str) -> float:
    """Read a length of time such as ``500ms``, ``10 min`` or ``2.5h`` [s].

    Raises:
        ValueError: The text is no number with one of the units ms, s, min, h, d.

    >>> duration_seconds("10 min"), duration_seconds("500ms")
    (600.0, 0.5)
    """
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no length of time; write a number and ms, s, min, h or d, such as '10 min'")
    return float(match[1]) * _SECONDS[match[2]]


def _known_unit(text: str, info: ValidationInfo) -> str:
    kind = info.data.get("kind")
    unit = parse_unit(text, kind if isinstance(kind, Kind) else None)
    if unit is None:
        raise ValueError(f"unit {text!r} is not known; write a UCUM code or a plant spelling such as Cel, kPa, kgf/cm2, Nm3/h")
    return unit.code


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"zone {name!r} is not in the IANA list; write one such as Asia/Seoul") from None
    return name


def _ordered(band: tuple[float, float]) -> tuple[float, float]:
    if not band[0] < band[1]:
        raise ValueError(f"the low end {band[0]:g} is not below the high end {band[1]:g}; exchange them")
    return band


def _a_duration(text: str) -> str:
    duration_seconds(text)
    return text


_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9가-힣][A-Za-z0-9가-힣_.-]*$", max_length=64)]
_PointPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9가-힣_.-]+(/[A-Za-z0-9가-힣_.-]+)+$", max_length=128)]
_UnitCode = Annotated[str, AfterValidator(_known_unit)]
_Zone = Annotated[str, AfterValidator(_known_zone)]
_Duration = Annotated[str, AfterValidator(_a_duration)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Band = Annotated[tuple[_Finite, _Finite], AfterValidator(_ordered)]


class _Written(BaseModel):
    """Base of what people write: unknown keys are mistakes, and what was read does not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LineEquipment(_Written):
    """A unit of the line: the lowest equipment that carries out a step."""

    id: _Id
    name_ko: str = ""
    name_en: str = ""
    maker: str = ""
    model: str = ""
    buffer: int | None = Field(default=None, ge=0)
    """Places in front of the unit, when they are limited."""


class LinePoint(_Written):
    """A named role of a unit, such as ``kiln/zone3/temperature``."""

    path: _PointPath
    """Unit id, then the rest of the name."""
    kind: Kind
    unit: _UnitCode | None = None
    """UCUM code; plant spellings are accepted and turned into it."""
    role: Role = Role.ACTUAL
    name_ko: str = ""
    name_en: str = ""
    tag: str | None = None
    """Name in the control system."""
    aliases: tuple[str, ...] = ()
    """Other names by which exports know the point."""
    range: _Band | None = None
    """What the instrument can show."""
    control_limits: _Band | None = None
    """Bounds of common-cause variation, computed from the process."""
    specification_limits: _Band | None = None
    """Bounds of acceptance, agreed with the customer."""
    sampling: _Duration | None = None
    set_point_of: _PointPath | None = None
    """For a set point: the actual value it asks for."""


class LineProduct(_Written):
    """What the line can make and which units it passes."""

    id: _Id
    name_ko: str = ""
    name_en: str = ""
    route: tuple[_Id, ...] = Field(min_length=1)


class RecipePhase(_Written):
    """The smallest step of a recipe (ISA-88): charge, heat up, soak, cool."""

    id: _Id
    equipment: _Id
    duration: _Duration | None = None
    set_points: dict[_PointPath, _Finite] = Field(default_factory=dict)
    """Wanted value by path, in the unit of the point."""


class LineRecipe(_Written):
    """A control recipe: set points by phase for one product."""

    id: _Id
    product: _Id
    version: int = Field(default=1, ge=1)
    phases: tuple[RecipePhase, ...] = Field(min_length=1)


class EnvelopeLimit(_Written):
    """Hard limits of a point: never left, whoever asks."""

    point: _PointPath
    low: _Finite | None = None
    high: _Finite | None = None
    max_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Largest change per minute, in the unit of the point."""
    reason_ko: str = ""
    reason_en: str = ""


class LineSource(_Written):
    """A system that exports data of the line, and the zone its clock shows."""

    id: _Id
    kind: Literal["files", "plc", "historian", "mes", "erp", "lims", "opcua", "mqtt", "sparkplug", "sql", "modbus", "http"]
    zone: _Zone = "Asia/Seoul"
    describes: tuple[_Id, ...] = ()
    """Ids of the equipment whose data it holds; empty = all."""


class LineHead(_Written):
    """The four upper levels of ISA-95 and the names of the line."""

    enterprise: _Id
    site: _Id
    area: _Id
    line: _Id
    name_ko: str = ""
    name_en: str = ""
    zone: _Zone = "Asia/Seoul"


class LineDocument(_Written):
    """The schema of ``line.toml``."""

    schema_: Literal["line/1"] = Field(alias="schema")
    line: LineHead
    equipment: tuple[LineEquipment, ...] = Field(min_length=1)
    points: tuple[LinePoint, ...] = Field(min_length=1)
    products: tuple[LineProduct, ...] = ()
    recipes: tuple[LineRecipe, ...] = ()
    envelope: tuple[EnvelopeLimit, ...] = ()
    sources: tuple[LineSource, ...] = ()

    @property
    def path(self) -> EquipmentPath:
        """Place of the line."""
        return EquipmentPath((self.line.enterprise, self.line.site, self.line.area, self.line.line))

    def point(self, name: str) -> LinePoint | None:
        """Find a point by path, tag or alias, without regard to case."""
        wanted = name.casefold()
        for point in self.points:
            if wanted in {known.casefold() for known in (point.path, point.tag or "", *point.aliases) if known}:
                return point
        return None


@dataclass(frozen=True)
class LineError:
    """One contradiction in a line document."""

    where: str
    """Path inside the document, such as ``recipes[0].phases[2].set_points``."""
    message: Bilingual


def check_line(path: Path) -> tuple[LineError, ...]:
    """Return everything that is wrong with a line document, empty when it can be used.

    Raises:
        InputError: The file cannot be opened or is no TOML.
    """
    document, errors = _load(path)
    return errors if document is None else tuple(_contradictions(document))


def read_line(path: Path) -> LineDocument:
    """Read a line document and make sure that it does not contradict itself.

    Raises:
        InputError: No such file, no TOML, a wrong field or a contradiction; the error names the place and the fix, and lists the
            other places under ``where``.
    """
    document, errors = _load(path)
    if document is not None:
        errors = tuple(_contradictions(document))
        if not errors:
            return document
    first = errors[0]
    raise InputError(
        "bad_line_document",
        ko=f"{path.name} 의 {first.where}: {first.message.ko}" + (f" (모두 {len(errors)}곳)" if len(errors) > 1 else ""),
        en=f"{path.name}, {first.where}: {first.message.en}" + (f" ({len(errors)} places in all)" if len(errors) > 1 else ""),
        next_ko="표시된 곳을 고친 뒤 `madang line check` 로 다시 확인해 주세요.",
        next_en="Correct the places named, then run `madang line check` again.",
        where={"file": path.name, "places": [error.where for error in errors]},
    )


def _load(path: Path) -> tuple[LineDocument | None, tuple[LineError, ...]]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            "unreadable_file",
            ko=f"라인 문서 {path.name} 을 열 수 없어요: {reason}.",
            en=f"The line document {path.name} cannot be opened: {reason}.",
            next_ko="경로와 권한을 확인해 주세요.",
            next_en="Check the path and the permissions.",
            where={"file": path.name},
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            "not_toml",
            ko=f"라인 문서 {path.name} 이 올바른 TOML 이 아니에요: {error}.",
            en=f"The line document {path.name} is not valid TOML: {error}.",
            next_ko="표시된 줄을 고쳐 주세요. 파일은 UTF-8 로 저장해야 해요.",
            next_en="Correct the line named; the file must be saved as UTF-8.",
            where={"file": path.name},
        ) from error
    try:
        return LineDocument.model_validate(values), ()
    except ValidationError as error:
        return None, tuple(_field_error(detail) for detail in error.errors(include_url=False, include_context=False))


def _field_error(detail: ErrorDetails) -> LineError:
    where = ""
    for part in detail["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
    reason = detail["msg"].removeprefix("Value error, ")
    match detail["type"]:
        case "missing":
            return LineError(where, Bilingual("필요한 항목이 없어요.", "This field is needed."))
        case "extra_forbidden":
            return LineError(
                where,
                Bilingual(
                    "모르는 항목이에요. 철자를 확인하거나 지워 주세요.", "Unknown field; check its spelling or remove it."
                ),
            )
        case _:
            return LineError(where, Bilingual(f"값이 맞지 않아요: {reason}.", f"The value does not fit: {reason}."))


def _contradictions(document: LineDocument) -> Iterator[LineError]:
    yield from _twice(document)
    yield from _points(document)
    yield from _envelope(document)
    yield from _recipes(document)


def _twice(document: LineDocument) -> Iterator[LineError]:
    listed: dict[str, list[str]] = {
        "equipment": [unit.id for unit in document.equipment],
        "points": [point.path for point in document.points],
        "products": [product.id for product in document.products],
        "recipes": [f"{recipe.id} v{recipe.version}" for recipe in document.recipes],
        "envelope": [limit.point for limit in document.envelope],
        "sources": [source.id for source in document.sources],
    }
    for place, names in listed.items():
        for name, count in Counter(names).items():
            if count > 1:
                yield LineError(
                    place,
                    Bilingual(f"{name} 이 {count}번 나와요. 하나만 남겨 주세요.", f"{name} stands {count} times; keep one."),
                )
    owners: dict[str, str] = {}
    for index, point in enumerate(document.points):
        for name in dict.fromkeys(known.casefold() for known in (point.tag, *point.aliases) if known):
            other = owners.setdefault(name, point.path)
            if other != point.path:
                yield LineError(
                    f"points[{index}]",
                    Bilingual(
                        f"이름 {name} 은 {other} 의 것이기도 해요. 한 이름은 한 점에만 붙여 주세요.",
                        f"The name {name} also belongs to {other}; give a name to one point only.",
                    ),
                )


def _points(document: LineDocument) -> Iterator[LineError]:
    equipment = {unit.id for unit in document.equipment}
    by_path = {point.path: point for point in document.points}
    for index, point in enumerate(document.points):
        place = f"points[{index}]"
        if point.path.split("/")[0] not in equipment:
            yield LineError(
                f"{place}.path",
                Bilingual(
                    f"{point.path} 의 설비가 equipment 에 없어요. 설비를 더하거나 경로를 고쳐 주세요.",
                    f"The equipment of {point.path} is not listed; add it under equipment or correct the path.",
                ),
            )
        unit = parse_unit(point.unit, point.kind) if point.unit else None
        if unit is not None and point.kind is not Kind.UNKNOWN and point.kind not in unit.kinds:
            yield LineError(
                f"{place}.unit",
                Bilingual(
                    f"{unit.code} 는 {point.kind} 의 단위가 아니에요. 단위나 kind 를 고쳐 주세요.",
                    f"{unit.code} is no unit of {point.kind}; correct the unit or the kind.",
                ),
            )
        for name, band in (("control_limits", point.control_limits), ("specification_limits", point.specification_limits)):
            if band and point.range and not (point.range[0] <= band[0] and band[1] <= point.range[1]):
                yield LineError(
                    f"{place}.{name}",
                    Bilingual(
                        f"{point.path} 의 한계가 계측 범위 {point.range[0]:g}~{point.range[1]:g} 밖이에요.",
                        f"The limits of {point.path} lie outside its range {point.range[0]:g} to {point.range[1]:g}.",
                    ),
                )
        if point.set_point_of is not None:
            actual = by_path.get(point.set_point_of)
            if actual is None or point.role is not Role.SET_POINT or actual.kind is not point.kind:
                yield LineError(
                    f"{place}.set_point_of",
                    Bilingual(
                        f"{point.set_point_of} 은 있는 점이어야 하고, 설정값(set_point)과 같은 kind 여야 해요.",
                        f"{point.set_point_of} must be a listed point of the same kind, and this point a set_point.",
                    ),
                )
    for index, source in enumerate(document.sources):
        for name in source.describes:
            if name not in equipment:
                yield _unknown(f"sources[{index}].describes", name, "equipment")


def _unknown(where: str, name: str, listed: str) -> LineError:
    return LineError(where, Bilingual(f"{name} 이 {listed} 에 없어요.", f"{name} is not listed under {listed}."))


def _envelope(document: LineDocument) -> Iterator[LineError]:
    by_path = {point.path: point for point in document.points}
    for index, limit in enumerate(document.envelope):
        place = f"envelope[{index}]"
        point = by_path.get(limit.point)
        if point is None:
            yield _unknown(f"{place}.point", limit.point, "points")
            continue
        if limit.low is None and limit.high is None and limit.max_rate is None:
            yield LineError(place, Bilingual("low, high, max_rate 중 하나는 있어야 해요.", "Give low, high or max_rate."))
        if limit.low is not None and limit.high is not None and limit.low >= limit.high:
            yield LineError(place, Bilingual("low 가 high 보다 작아야 해요.", "low must be below high."))
        if point.range is not None:
            for name, value in (("low", limit.low), ("high", limit.high)):
                if value is not None and not point.range[0] <= value <= point.range[1]:
                    yield LineError(
                        f"{place}.{name}",
                        Bilingual(
                            f"{value:g} 는 계측 범위 {point.range[0]:g}~{point.range[1]:g} 밖이라 지켜볼 수 없어요.",
                            f"{value:g} lies outside the range {point.range[0]:g} to {point.range[1]:g} and could not be watched.",
                        ),
                    )


def _recipes(document: LineDocument) -> Iterator[LineError]:
    equipment = {unit.id for unit in document.equipment}
    products = {product.id for product in document.products}
    by_path = {point.path: point for point in document.points}
    envelope = {limit.point: limit for limit in document.envelope}
    for index, product in enumerate(document.products):
        for step in product.route:
            if step not in equipment:
                yield _unknown(f"products[{index}].route", step, "equipment")
    for index, recipe in enumerate(document.recipes):
        if recipe.product not in products:
            yield _unknown(f"recipes[{index}].product", recipe.product, "products")
        for number, phase in enumerate(recipe.phases):
            place = f"recipes[{index}].phases[{number}]"
            if phase.equipment not in equipment:
                yield _unknown(f"{place}.equipment", phase.equipment, "equipment")
            for path, value in phase.set_points.items():
                point = by_path.get(path)
                if point is None:
                    yield _unknown(f"{place}.set_points", path, "points")
                    continue
                low, high = _allowed(point, envelope.get(path), envelope.get(point.set_point_of or ""))
                if not low <= value <= high:
                    yield LineError(
                        f"{place}.set_points",
                        Bilingual(
                            f"{path} = {value:g} 는 허용 범위 {low:g}~{high:g} 밖이에요. 레시피나 envelope 를 고쳐 주세요.",
                            f"{path} = {value:g} lies outside {low:g} to {high:g}; correct the recipe or the envelope.",
                        ),
                    )


def _allowed(point: LinePoint, *limits: EnvelopeLimit | None) -> tuple[float, float]:
    low, high = point.range or (float("-inf"), float("inf"))
    for limit in limits:
        if limit is not None:
            low = max(low, limit.low if limit.low is not None else low)
            high = min(high, limit.high if limit.high is not None else high)
    return low, high
