"""Checks of the chapter "The block"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
