"""The doors for programs and browsers: ``/api/v1``, ``/health`` and the console, served on this machine only.

`make_app` gives the application over an opened workspace; `serve` runs it until it is stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from madang.api._app import make_app
    from madang.api._desk import Desk
    from madang.api._live_desk import LiveDesk
    from madang.api._serve import serve
    from madang.api._studies import Studies

__all__ = ["Desk", "LiveDesk", "Studies", "make_app", "serve"]

_HOMES = {"make_app": "_app", "serve": "_serve", "Desk": "_desk", "LiveDesk": "_live_desk", "Studies": "_studies"}


def __getattr__(name: str) -> object:
    # The web framework takes a while to load, and the study's worker needs none of it.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"madang.api.{_HOMES[name]}"), name)
    raise AttributeError(name)
