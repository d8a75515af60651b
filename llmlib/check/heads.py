"""Checks of the chapter "What the heads look at"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
