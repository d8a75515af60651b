"""Storey 3, the model: from token ids to logits for the token that comes next."""
