"""Freed memory stays with the process, where the C library can be asked to keep it."""

import ctypes
import resource
import sys

import torch

from llmlib.training.memory import keep_freed_memory

MEGABYTES = 48  # more than malloc keeps unasked


def page_faults(cycles):
    """How many pages were fetched while that much memory was taken, filled and freed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(cycles):
        torch.ones(MEGABYTES * 2**18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_memory_that_was_freed_costs_no_page_faults():
    keep_freed_memory()
    page_faults(10)
    again = page_faults(4)
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        assert again < MEGABYTES * 2**20 // resource.getpagesize()
