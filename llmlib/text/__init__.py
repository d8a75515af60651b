"""Storey 1: text, from where it comes to the batches that a model reads."""
