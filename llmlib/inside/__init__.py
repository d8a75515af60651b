"""Storey 6, inside: what the parts of a trained model do."""
