"""Madang (마당, the shared yard): an open platform for manufacturing AI.

The rooms, from the ground up, each of which imports only those before it:

* [madang.plant][]: the words every room speaks: units, points, equipment, the line document.
* [madang.connect][]: brings files, records and readings in.
* [madang.library][]: keeps versions, knows what data mean, decides every read.
* [madang.models][]: studies that do not fool their reader.
* [madang.factory][]: holds a line to its golden baseline (today: the twin of a firing kiln).
* [madang.workspace][]: one opened installation.

>>> import madang
>>> madang.__version__.count(".")
2
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from madang.workspace import Workspace

# Read once, when a numerical library loads its threads: waiting threads must not spin, or two programs on two cores each take
# several times as long (LightGBM on a busy machine: 10.8 s spinning, 2.4 s not).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.2.0"
__all__ = ["__version__", "open"]


def open(path: str | PathLike[str] = "madang-workspace") -> Workspace:
    """Open the workspace at a path, making it when it is missing.

    Args:
        path: Directory of the workspace.

    Returns:
        The opened workspace; close it, or use it in a ``with`` block.

    Raises:
        madang.errors.InputError: The path is a file, or a workspace of a newer Madang.
    """
    from pathlib import Path

    from madang.workspace import Workspace

    return Workspace.open(Path(path))
