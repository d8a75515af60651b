"""The rungs between nanoGPT's recipe and the fast one: what each changes."""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Rung:
    """What it changes of the plain recipe, fields of GPTConfig and of TrainConfig, and a
    length to begin with.
    """

    name: str
    steps: int
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


RUNGS = [
    Rung("the same, in two bytes", 2050, training={"precision": "bfloat16"}),
    Rung(
        "Muon for the matrices",
        500,
        training={
            "optimizer": "muon",
            "learning_rate": 0.02,
            "momentum": 0.95,
            "embedding_lr": 2e-3,
            "vector_lr": 2e-3,
        },
    ),
    Rung(
        "a short warm-up, flat, down to zero",
        475,
        training={
            "schedule": "trapezoid",
            "min_lr": 0.0,
            "warmup_iters": 10,
            "grad_clip": 0.0,
            "weight_decay": 0.0,
        },
    ),
    Rung("turn instead of add", 305, {"positions": "rotary", "rope_theta": 1000.0}),
    Rung(
        "start as a table of pairs",
        270,
        {"init": "zero_output", "tie_word_embeddings": False, "embedding_norm": True},
        {"embedding_lr": 0.02, "head_lr": 0.01, "vector_lr": 0.1},
    ),
    Rung(
        "a higher rate, a shorter memory",
        228,
        training={"learning_rate": 0.03, "momentum": 0.8},
    ),
    Rung(
        "gates, and norms without weights",
        196,
        {"feed_forward": "swiglu", "n_hidden": 336, "norm_affine": False},
    ),
    Rung("a smear of the last three", 112, {"smear": 3}),
    Rung(
        "twice the rows, half the heads",
        66,
        {"n_head": 2},
        {
            "batch_size": 24,
            "learning_rate": 0.05,
            "embedding_lr": 0.03,
            "head_lr": 0.015,
        },
    ),
    Rung("two layers", 73, {"n_layer": 2, "n_hidden": 512}, {"learning_rate": 0.06}),
    Rung("a table of n-grams", 54, {"ngram_rows": 2048}),
    Rung(
        "one layer, a larger table",
        45,
        {"n_layer": 1, "n_hidden": 128, "ngram_rows": 5248},
        {
            "batch_size": 32,
            "learning_rate": 0.07,
            "momentum": 0.7,
            "embedding_lr": 0.1,
        },
    ),
]


def ladder(rungs: list[Rung]) -> list[Rung]:
    """The rungs, each with all that those before it changed."""
    whole = [rungs[0]]
    for rung in rungs[1:]:
        model, training = (
            whole[-1].model | rung.model,
            whole[-1].training | rung.training,
        )
        whole.append(replace(rung, model=model, training=training))
    return whole
