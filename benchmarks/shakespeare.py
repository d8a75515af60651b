"""Both recipes on Tiny Shakespeare, one character a token: loss on the whole validation split.

    python -m benchmarks.shakespeare [--quick]

The plain recipe has the settings of nanoGPT's documented recipe for a CPU: 4 layers of
128 channels, context 64, 2,000 steps of 12 rows. Takes about four minutes on two cores.
"""

from typing import Any

from benchmarks.machine import aligned, describe, report
from benchmarks.training import shakespeare, train
from llmlib import fast_recipe, plain_recipe

SEEDS = range(3)


def measure(quick: bool = False) -> dict[str, Any]:
    """Both recipes over the seeds."""
    runs = []
    for seed in SEEDS[:1] if quick else SEEDS:
        for recipe in ("fast", "plain"):
            runs.append(run(recipe, seed, {"max_iters": 3} if quick else {}))
            print(runs[-1], flush=True)
    return {"machine": describe(), "runs": runs}


def run(recipe: str, seed: int, changes: dict[str, Any]) -> dict[str, Any]:
    """Trains one model from one seed; what it is and how far it got."""
    tokenizer, _, _ = shakespeare()
    settings = {"seed": seed, "eval_interval": 10**6}
    if recipe == "plain":
        make = plain_recipe
    else:
        make, settings = fast_recipe, settings | {"max_iters": 150}
    model_config, config = make(tokenizer.vocab_size, 64, **settings | changes)
    return {
        "recipe": recipe,
        "batch_size": config.batch_size,
        "block_size": 64,
        "precision": config.resolved().precision,
        **train(model_config, config),
    }


def table(record: dict[str, Any]) -> str:
    """A line for each training."""
    rows = [
        (
            f"{run['recipe']}, seed {run['seed']}",
            f"{run['parameters']:,}",
            run["precision"],
            run["steps"],
            f"{run['tokens']:,}",
            f"{run['seconds']:.1f}",
            f"{run['loss']:.4f}",
        )
        for run in record["runs"]
    ]
    head = ("recipe", "parameters", "precision", "steps", "tokens", "seconds", "loss")
    return aligned(head, *rows)


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("shakespeare", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
