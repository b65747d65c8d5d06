"""This process's memory: what tensors give back stays with it, since fetching it anew takes as long as computing."""

import ctypes
import sys

MIB = 2**20
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Ask the C library to keep what is freed, for the rest of the process, and to take the next array from it.

    By default glibc takes each large array from the system and returns it when it is freed. The system clears every
    page of it again: nearly half of the CPU time of a whole-image inference. Kept, memory fragments: the peak of such
    an inference rises by a third (docs/notebook/dense.md).

    Returns:
        Whether the C library can do so; glibc can, others leave all as it is.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, -1))


def peak_resident_mib() -> float:
    """Most memory that this process has held so far, in MiB."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset / MIB
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
