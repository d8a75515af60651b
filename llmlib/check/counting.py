"""Checks of the chapter "Counting"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
