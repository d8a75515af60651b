"""Checks of the chapter "Training"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
