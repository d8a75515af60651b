"""Named ways to train a small GPT: a model's config and a training's config that go
together.
"""

from dataclasses import fields, replace
from typing import Any

from llmlib.model.config import GPTConfig
from llmlib.training.config import TrainConfig

Recipe = tuple[GPTConfig, TrainConfig]
PARTS = {field.name for field in fields(GPTConfig)}


def plain_recipe(
    vocab_size: int,
    block_size: int = 64,
    *,
    n_layer: int = 4,
    n_head: int = 4,
    n_embd: int = 128,
    max_iters: int = 2000,
    **changes: Any,
) -> Recipe:
    """GPT-2 in small, trained the usual way: learned positions, LayerNorm, GELU, tied
    head; AdamW, warm-up and cosine (the settings are those of nanoGPT's recipe for a
    CPU, Karpathy 2022).

    Further keywords are fields of GPTConfig or TrainConfig, and change them. The rate
    falls to a tenth of `learning_rate`, unless `min_lr` is given.
    """
    parts = {"n_layer": n_layer, "n_head": n_head, "n_embd": n_embd}
    settings = {"max_iters": max_iters, "learning_rate": 1e-3}
    model, training = changed(vocab_size, block_size, parts, settings, changes)
    if "min_lr" not in changes and training.schedule == "cosine":
        training = replace(training, min_lr=training.learning_rate / 10)
    return model, training


def fast_recipe(
    vocab_size: int,
    block_size: int = 64,
    *,
    n_layer: int = 4,
    n_head: int = 2,
    n_embd: int = 128,
    max_iters: int = 300,
    **changes: Any,
) -> Recipe:
    """What gets furthest in a minute: the same loss as plain_recipe with a fraction of
    the tokens.

    Rotary positions, norms without weights (one more after the embedding), SwiGLU, an
    untied head, every block and the head starting at zero, and a smear over the three
    tokens before; Muon for the matrices, Adam for the rest; a short warm-up, a flat
    rate, and a long way down to zero. After the speed runs of modded-nanogpt (Jordan et
    al. 2024).

    Further keywords are fields of GPTConfig or TrainConfig, and change them.
    """
    parts = {
        "n_layer": n_layer,
        "n_head": n_head,
        "n_embd": n_embd,
        "positions": "rotary",
        "rope_theta": 1000.0,
        "norm_affine": False,
        "embedding_norm": True,
        "feed_forward": "swiglu",
        "smear": 3,
        "tie_word_embeddings": False,
        "init": "zero_output",
    }
    training = {
        "max_iters": max_iters,
        "batch_size": 16,
        "optimizer": "muon",
        "learning_rate": 0.03,
        "momentum": 0.8,
        "embedding_lr": 0.02,
        "head_lr": 0.01,
        "vector_lr": 0.1,
        "schedule": "trapezoid",
        "warmup_iters": max_iters // 50,
        "cooldown": 0.6,
        "grad_clip": 0.0,
        "weight_decay": 0.0,
    }
    return changed(vocab_size, block_size, parts, training, changes)


def changed(
    vocab_size: int,
    block_size: int,
    parts: dict[str, Any],
    training: dict[str, Any],
    changes: dict[str, Any],
) -> Recipe:
    """Both configs, each with the changes that are its own."""
    for name, value in changes.items():
        (parts if name in PARTS else training)[name] = value
    return GPTConfig(vocab_size, block_size, **parts), TrainConfig(**training)
