"""Checks of the chapter "The KV cache"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
