"""The published figures: each bench prints its figure, the peer beside it in the same run, and the goal."""
