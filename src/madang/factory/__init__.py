"""What holds a line to its best and runs it. In this release only the twin of the built-in line exists."""
