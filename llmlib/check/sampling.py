"""Checks of the chapter "Choosing the next token"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
