"""factory/twin."""
