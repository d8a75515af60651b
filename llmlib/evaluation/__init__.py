"""Storey 2: how well models predict, and the n-gram models to beat."""
