"""What the chapter *The speedrun* says of single choices: recipes of the race, each with one
thing changed, and the loss that they then come to.

    python -m benchmarks.variants [--quick]

Three series, of lengths that reach a loss: the last recipe, for the highest of the losses of
`benchmarks.training`; the rung of the ladder at which Muon's rate and momentum change; and
the recipe for the lowest loss. The loss is that of the whole validation split. Nothing is
timed. One thread; takes about eight minutes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import mean
from typing import Any

import torch

from benchmarks import speedrun
from benchmarks.ladder import RUNGS, Rung, ladder
from benchmarks.machine import aligned, describe, report
from benchmarks.training import OURS, TABLE, Polynomials, train_fast
from llmlib.training.optimizers import NEWTON_SCHULZ, POLAR_EXPRESS

SEEDS = range(3)
AS_IT_IS = "as it is"


@dataclass(frozen=True)
class Variant:
    """Fields of GPTConfig and TrainConfig, and the polynomials of Muon."""

    changes: dict[str, Any] = field(default_factory=dict)
    polynomials: Polynomials = POLAR_EXPRESS


@dataclass(frozen=True)
class Series:
    """Variants of one training, which gives the loss for a variant, a number of steps and a
    seed.
    """

    loss: Callable[[Variant, int, int], float]
    steps: int
    variants: dict[str, Variant]


def recipe_loss(
    settings: dict[str, Any], variant: Variant, steps: int, seed: int
) -> float:
    """The loss after one training with the fast recipe."""
    settings = settings | variant.changes | {"max_iters": steps}
    return train_fast(settings, seed, variant.polynomials)["loss"]


def rung_loss(rung: Rung, variant: Variant, steps: int, seed: int) -> float:
    """The loss after one training of a rung."""
    changed = Rung(rung.name, steps, rung.model, rung.training | variant.changes)
    return speedrun.run(changed, steps, seed)["loss"]


HIGHER = next(r for r in ladder(RUNGS) if r.name == "a higher rate, a shorter memory")
SERIES = {
    "the last recipe": Series(
        partial(recipe_loss, OURS[1.8976]),
        OURS[1.8976]["max_iters"],
        {
            AS_IT_IS: Variant(),
            "five rounds of one": Variant(polynomials=NEWTON_SCHULZ),
            "two polynomials": Variant(polynomials=POLAR_EXPRESS[:2]),
            "a cosine": Variant({"schedule": "cosine"}),
            "clipping and decay": Variant({"grad_clip": 1.0, "weight_decay": 0.1}),
            "no smear": Variant({"smear": 0}),
            "no table": Variant({"ngram_rows": 0}),
            "no table, wider": Variant({"ngram_rows": 0, "n_hidden": 1872}),
            "a smear of five": Variant({"smear": 5}),
            "momentum 0.9": Variant({"momentum": 0.9}),
            "momentum 0.95": Variant({"momentum": 0.95}),
        },
    ),
    HIGHER.name: Series(
        partial(rung_loss, HIGHER),
        HIGHER.steps,
        {
            f"rate {rate}, momentum {momentum}": Variant(
                {"learning_rate": rate, "momentum": momentum}
            )
            for momentum in (0.95, 0.8)
            for rate in (0.02, 0.03, 0.04)
        },
    ),
    "for 1.60": Series(
        partial(recipe_loss, OURS[1.60]),
        OURS[1.60]["max_iters"],
        {
            AS_IT_IS: Variant(),
            "one layer and the table": Variant(
                {k: TABLE[k] for k in ("n_layer", "n_hidden", "ngram_rows")}
                | {"n_head": 2}
            ),
        },
    ),
}


def measure(quick: bool = False) -> dict[str, Any]:
    """The losses of every variant, by seed."""
    torch.set_num_threads(1)
    seeds = SEEDS[:1] if quick else SEEDS
    record: dict[str, Any] = {}
    for title, series in SERIES.items():
        steps = 3 if quick else series.steps
        losses: dict[str, list[float]] = {}
        record[title] = {"steps": steps, "losses": losses}
        for name, variant in series.variants.items():
            losses[name] = [series.loss(variant, steps, seed) for seed in seeds]
            print(title, name, losses[name], flush=True)
    return {"machine": describe(), "series": record}


def table(record: dict[str, Any]) -> str:
    """A line for each variant: its mean, and the seeds."""
    parts = []
    for title, series in record["series"].items():
        rows = [
            (name, f"{mean(losses):.4f}", " ".join(f"{loss:.4f}" for loss in losses))
            for name, losses in series["losses"].items()
        ]
        head = (f"{title}, {series['steps']} steps", "mean loss", "by seed")
        parts.append(aligned(head, *rows))
    return "\n\n".join(parts)


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("variants", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
