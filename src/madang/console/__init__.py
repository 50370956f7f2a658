"""The pages for people, drawn on the server in Korean and English, and the report of a study as one file.

>>> "http" in report_html.__doc__
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from madang.console._format import Formats
from madang.console._report import report_html

if TYPE_CHECKING:
    from madang.console._console import Console

__all__ = ["Console", "Formats", "report_html"]


def __getattr__(name: str) -> object:
    # The pages need the web framework; a report from the command line does not.
    if name == "Console":
        from madang.console._console import Console

        return Console
    raise AttributeError(name)
