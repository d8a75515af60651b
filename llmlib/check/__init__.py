"""Storey 8: checks of the exercises, which say in words what is wrong."""

from llmlib.check.checking import check, diagnosis

__all__ = ["check", "diagnosis"]
