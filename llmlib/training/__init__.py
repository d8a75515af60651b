"""Storey 4: from batches to a trained model, and safely to disk and back."""
