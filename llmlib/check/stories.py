"""Checks of the chapter "A world of small stories"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
