"""Storey 8: what a reader sees of the code, the numbers and the model."""
