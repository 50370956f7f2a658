"""One request of one reader: language, theme, and how a page is filled and answered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from madang.console._format import Formats
from madang.console._pages import render, words
from madang.console._texts import LANGS, Lang, choose_language

if TYPE_CHECKING:
    from madang.console._console import Console

YEAR: Final = 365 * 86_400
"""Seconds for which a file that never changes is kept, and a choice remembered."""
_PAGE: Final = 50
_THEMES: Final = ("light", "dark", "system")
_PAGES: Final = (
    ("home", "/", "h"),
    ("connections", "/connections", "c"),
    ("trends", "/trends", "t"),
    ("studies", "/studies", "s"),
    ("library", "/library", "l"),
    ("mapping", "/mapping", "m"),
    ("quality", "/quality", "q"),
)


@lru_cache(maxsize=64)
def static_url(path: str) -> str:
    content = files("madang.console").joinpath("static").joinpath(path).read_bytes()
    return f"/static/{path}?v={hashlib.sha256(content).hexdigest()[:12]}"


class View:
    """One request of one reader: language, theme, and how to fill a page."""

    def __init__(self, console: Console, request: Request, here: str) -> None:
        self.console = console
        self.request = request
        self.here = here
        query = request.query_params
        self.lang: Lang = choose_language(
            query.get("lang"), request.cookies.get("lang"), request.headers.get("accept-language")
        )
        theme = query.get("theme") or request.cookies.get("theme") or "system"
        self.theme = theme if theme in _THEMES else "system"
        self._words = words(self.lang, console._desk.zone)
        self.t: Callable[..., str] = self._words["t"]
        self.word: Callable[..., str] = self._words["word"]
        self.pick: Callable[..., str] = self._words["pick"]
        self.f: Formats = self._words["f"]

    def base(self) -> dict[str, Any]:
        """What every template of this reader needs."""
        return {
            **self._words,
            "theme": self.theme,
            "static": static_url,
            "with_query": self._with_query,
            "path": self.request.url.path,
            "here_url": self._with_query(),
            "may": getattr(self.request.state, "may", None) or _anything,
            "now": self.console._now(),
        }

    def snippets(self, command: str, call: str) -> dict[str, str]:
        """The same view from the command line and from Python."""
        folder = str(self.console._desk.path)
        return {
            "cli": f"madang --workspace {shell(folder)} {command}",
            "python": f"import madang\nws = madang.open({folder!r})\n{call}",
        }

    def page(
        self,
        template: str,
        context: Mapping[str, Any],
        *,
        status: int = 200,
        datasets: Sequence[Mapping[str, Any]] | None = None,
        waiting: bool = True,
        bare: bool = False,
    ) -> Response:
        """Fill a page and remember the reader's choices of language and theme; a `bare` one tells nothing of the workspace."""
        desk = self.console._desk
        waiting = waiting and not bare
        asks, quarantined = self.console._waiting(desk.datasets() if datasets is None and waiting else datasets or [])
        counts = {"mapping": asks, "quality": quarantined}
        filled = {
            "flash": self._flash(),
            "snippets": None,
            **self.base(),
            "workspace": {"name": "" if bare else desk.path.name, "path": "" if bare else str(desk.path)},
            "pages": []
            if bare
            else [{"id": i, "href": href, "key": key, "waiting": counts.get(i, 0)} for i, href, key in _PAGES],
            "here": self.here,
            "person": getattr(self.request.state, "person", None),
            **context,
        }
        response = HTMLResponse(render(template, filled), status_code=status, headers={"Cache-Control": "no-store"})
        for name, value, allowed in (("lang", self.lang, LANGS), ("theme", self.theme, _THEMES)):
            if self.request.query_params.get(name) in allowed:
                response.set_cookie(name, value, max_age=YEAR, samesite="strict", httponly=True)
        if self.request.cookies.get("flash"):
            response.delete_cookie("flash")
        return response

    def _with_query(self, **changes: object) -> str:
        # A choice once made is remembered; addresses stay short. A name may stand there again and again.
        left = {"lang", "theme", "row", "state"} | changes.keys()
        query = [(name, value) for name, value in self.request.query_params.multi_items() if name not in left]
        query += [(name, str(value)) for name, value in changes.items() if value is not None]
        return f"{self.request.url.path}?{urlencode(query)}" if query else self.request.url.path

    def _flash(self) -> str | None:
        kind, _, rest = self.request.cookies.get("flash", "").partition(":")
        dataset, _, version = rest.rpartition(":")
        keys = {"undone": "finding.undone", "redone": "finding.redone", "replayed": "quality.replayed", "said": "card.said"}
        keys |= {"asked": "gaps.asked", "kept": "trends.kept", "added": "connections.added"}
        return self.t(keys[kind], dataset=unquote(dataset), version=version.rpartition("@")[2]) if kind in keys else None


def _anything(_route: str) -> bool:
    return True


def see(url: str, flash: str | None = None) -> Response:
    response = RedirectResponse(url, status_code=303)
    if flash:
        response.set_cookie("flash", quote(flash, safe=":@"), max_age=30, samesite="strict", httponly=True)
    return response


def download(page: str, name: str, lang: str) -> Response:
    # The file carries its style inside; it is sent to be kept, not to be shown under this site's policy.
    return HTMLResponse(page, headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{name}-{lang}.html')}"})


def local_address(url: str) -> str:
    """Keep an address only when it lies on this site."""
    parts = urlsplit(url)
    return url if url.startswith("/") and not url.startswith(("//", "/\\")) and not parts.netloc else "/"


def paged(rows: Sequence[Any], number: int) -> tuple[Sequence[Any], dict[str, int]]:
    last = max(1, -(-len(rows) // _PAGE))
    number = min(number, last)
    first = (number - 1) * _PAGE
    shown = rows[first : first + _PAGE]
    return shown, {"number": number, "last": last, "rows": len(rows), "first_row": first + 1, "last_row": first + len(shown)}


def shell(words: str) -> str:
    import shlex

    return shlex.quote(words)
