"""Checks of the chapter "Many heads"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
