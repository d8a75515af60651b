"""Memory that stays: what one step frees, the next one takes again."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
ONE_GIGABYTE = 2**30


def keep_freed_memory() -> None:
    """Asks the C library to keep what is freed instead of returning it to the system.

    A step on the CPU takes and frees tens of megabytes. Returned, they come back page
    by page, each zeroed first: about a quarter of a step's time. Only glibc can be asked
    (mallopt, on Linux); elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, ONE_GIGABYTE)
        libc.mallopt(M_MMAP_THRESHOLD, ONE_GIGABYTE)
