"""The last recipe of the speedrun, warmed up as `benchmarks.training` does for the first of
its losses, with one thing changed (or, in the last variant, several): the loss it then
comes to.

    python -m benchmarks.variants [--quick]

Recipe and length (but of the last variant, which is shorter) are those with which
`benchmarks.training` goes for the highest of its losses; the loss is that of the whole
validation split. Nothing is timed. One thread; takes about two minutes.
"""

from dataclasses import dataclass, field
from statistics import mean
from typing import Any

import torch

from benchmarks.machine import aligned, describe, report
from benchmarks.training import OURS, Polynomials, train_fast
from llmlib.training.optimizers import NEWTON_SCHULZ, POLAR_EXPRESS

RECIPE = OURS[1.8976]
SEEDS = range(3)


@dataclass(frozen=True)
class Variant:
    """Fields of GPTConfig and TrainConfig, and the polynomials of Muon."""

    changes: dict[str, Any] = field(default_factory=dict)
    polynomials: Polynomials = POLAR_EXPRESS


VARIANTS = {
    "as it is": Variant(),
    "five rounds of one": Variant(polynomials=NEWTON_SCHULZ),
    "two polynomials": Variant(polynomials=POLAR_EXPRESS[:2]),
    "a cosine": Variant({"schedule": "cosine"}),
    "clipping and decay": Variant({"grad_clip": 1.0, "weight_decay": 0.1}),
    "a table of n-grams": Variant({"ngram_rows": 2048}),
    "one layer, larger table": Variant(
        {
            "n_layer": 1,
            "n_hidden": 128,
            "ngram_rows": 5248,
            "max_iters": 50,
            "batch_size": 32,
            "learning_rate": 0.07,
            "momentum": 0.7,
            "embedding_lr": 0.1,
        }
    ),
}


def run(variant: Variant, steps: int, seed: int) -> float:
    """The loss after one training."""
    settings = RECIPE | variant.changes
    settings["max_iters"] = min(steps, settings["max_iters"])
    return train_fast(settings, seed, variant.polynomials)["loss"]


def measure(quick: bool = False) -> dict[str, Any]:
    """The losses of every variant, by seed."""
    torch.set_num_threads(1)
    steps, seeds = (3, SEEDS[:1]) if quick else (RECIPE["max_iters"], SEEDS)
    losses: dict[str, list[float]] = {}
    for name, variant in VARIANTS.items():
        losses[name] = [run(variant, steps, seed) for seed in seeds]
        print(name, losses[name], flush=True)
    return {"machine": describe(), "steps": steps, "losses": losses}


def table(record: dict[str, Any]) -> str:
    """A line for each variant: its mean, and the seeds."""
    head = ("the last recipe with", "mean loss", "by seed")
    rows = [
        (name, f"{mean(losses):.4f}", " ".join(f"{loss:.4f}" for loss in losses))
        for name, losses in record["losses"].items()
    ]
    return f"after {record['steps']} steps at most\n{aligned(head, *rows)}"


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("variants", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
