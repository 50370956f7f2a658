"""The settings of a Modbus connection, read once."""

from __future__ import annotations

from urllib.parse import urlsplit

from madang.connect._source import ConnectionSettings
from madang.connect.modbus._address import ORDERS, BadAddressError, Item, parse
from madang.errors import UsageError


def items_of(settings: ConnectionSettings) -> dict[str, Item]:
    """Return the points that are polled, by name.

    Raises:
        UsageError: An address cannot be understood.
    """
    unit, order = unit_of(settings), order_of(settings)
    items: dict[str, Item] = {}
    for part in settings.options.get("points", "").replace("\n", ";").split(";"):
        if part.strip():
            name, sign, address = part.partition("=")
            # In an address without a name the first sign belongs to one of its own parts.
            named = bool(sign) and ":" not in name and "/" not in name
            text = address if named else part
            key = name.strip() if named else part.strip()
            items[key] = _item(settings, text.strip(), key, unit, order)
    if not settings.tags:
        return items
    return {name: items.get(name) or _item(settings, name, name, unit, order) for name in settings.tags}


def _item(settings: ConnectionSettings, text: str, name: str, unit: int, order: str) -> Item:
    try:
        return parse(text, name=name, unit_id=unit, order=order)
    except BadAddressError as error:
        raise UsageError(
            "bad_address",
            ko=f"'{name}' 의 주소를 이해할 수 없어요. 문제가 된 부분: {error}",
            en=f"The address of '{name}' cannot be understood. The part in question: {error}",
            next_ko="hr:40001:float32:cdab (1부터) 또는 holding/0:float32 (0부터) 처럼 적어 주세요.",
            next_en="Write hr:40001:float32:cdab (counts from 1) or holding/0:float32 (counts from 0).",
            where={"connection": settings.name, "point": name, "part": str(error)},
        ) from None


def unit_of(settings: ConnectionSettings) -> int:
    """Return the number of the device where an address says none."""
    unit = int(number_of(settings, "unit_id", 1, 0))
    if unit > 255:
        raise bad_option(settings, "unit_id", "0-255")
    return unit


def order_of(settings: ConnectionSettings) -> str:
    """Return the order of bytes where an address says none."""
    order = settings.options.get("order", "abcd").lower()
    if order not in ORDERS:
        raise bad_option(settings, "order", ", ".join(ORDERS))
    return order


def place_of(settings: ConnectionSettings) -> tuple[str, int]:
    """Return host and port."""
    try:
        parts = urlsplit(settings.url if "://" in settings.url else f"modbus://{settings.url}")
        host, port = parts.hostname, parts.port or 502
    except ValueError:
        host, port = None, 0
    if not host:
        raise bad_option(settings, "url", "modbus://HOST:502")
    return host, port


def number_of(settings: ConnectionSettings, name: str, usual: float, least: float) -> float:
    """Return an option that is a number, at least `least`."""
    try:
        value = float(settings.options.get(name, usual))
    except ValueError:
        value = least - 1
    if not least <= value < 1e7:
        raise bad_option(settings, name, f">= {least:g}")
    return value


def bad_option(settings: ConnectionSettings, name: str, allowed: str) -> UsageError:
    """Return the error for an option that cannot be understood."""
    return UsageError(
        "bad_option",
        ko=f"연결 '{settings.name}' 의 '{name}' 을 이해할 수 없어요. 쓸 수 있는 값: {allowed}",
        en=f"'{name}' of the connection '{settings.name}' cannot be understood. Allowed: {allowed}",
        next_ko=f"--set {name}=... 로 다시 적어 주세요.",
        next_en=f"Write it again with --set {name}=...",
        where={"connection": settings.name, "option": name},
    )
