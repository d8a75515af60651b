"""Storey 5: from logits to a chosen id, and from a model to text."""
