"""One opened installation: a folder becomes stores, clock, settings and a library.

with Workspace.open("madang-workspace") as workspace:
workspace.library.intake([Path("meter.csv")])
"""

from __future__ import annotations

from madang.workspace._workspace import FORMAT, Settings, Workspace

__all__ = ["FORMAT", "Settings", "Workspace"]
