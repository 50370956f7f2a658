"""Signals of the lake: how samples are written, found and read (docs/decisions/0005)."""
