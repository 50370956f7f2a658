"""A process that needed much memory once does not keep it for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys, threading
from madang.workspace._memory import give_back

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def fill():  # pieces below the size that is given back at once, the last of each hundred kept
    global kept
    pieces = [bytearray(20_000) for _ in range(10_000)]
    kept = pieces[::100]

threads = [threading.Thread(target=fill) for _ in range(2)]
[t.start() for t in threads]
[t.join() for t in threads]
before = resident()
give_back()
print(before, resident())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists() or not hasattr(os, "confstr"), reason="needs Linux")
def test_free_memory_between_pieces_in_use_goes_back_to_the_system() -> None:
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    if not libc:
        pytest.skip("the C library has no malloc_trim")
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120)
    before, after = map(float, done.stdout.split())
    assert before - after > 100
