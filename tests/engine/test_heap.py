"""Freed memory is taken again: no page of it is fetched twice."""

import subprocess
import sys

ROUNDS = """
import resource, sys
import numpy as np
from tio2.engine.processes import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(30):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(32 * 2**20, np.uint8).fill(1)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults_of_the_last_round(mode: str) -> int:
    """Pages that a process fetches to fill 32 MB which it has filled and freed many times before."""
    done = subprocess.run([sys.executable, "-c", ROUNDS, mode], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def test_freed_memory_is_used_again():
    assert faults_of_the_last_round("keep") < 200
