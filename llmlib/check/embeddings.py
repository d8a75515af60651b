"""Checks of the chapter "Embeddings and positions"."""

from llmlib.check.checking import Check

CHECKS: list[Check] = []
