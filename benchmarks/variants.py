"""The last recipe of the speedrun, warmed up as `benchmarks.training` does for the first of
its losses, with one thing changed: the loss it then comes to.

    python -m benchmarks.variants [--quick]

Recipe and length are those with which `benchmarks.training` goes for the highest of its
losses; the loss is that of the whole validation split. Nothing is timed. One thread; takes
about a minute.
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
    "no smear": Variant({"smear": 0}),
    "no table": Variant({"ngram_rows": 0}),
}


def run(variant: Variant, steps: int, seed: int) -> float:
    """The loss after one training."""
    settings = RECIPE | {"max_iters": steps} | variant.changes
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
    return f"after {record['steps']} steps\n{aligned(head, *rows)}"


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("variants", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
