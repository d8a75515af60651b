"""Checks of the chapter "The GPT"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
