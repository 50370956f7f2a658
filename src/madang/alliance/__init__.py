"""Brings firms together (begins later; its place in the direction of imports is kept)."""
