"""Both recipes on Tiny Shakespeare, one character a token: loss on the whole validation split.

    python -m benchmarks.shakespeare

The plain recipe has the settings of nanoGPT's documented recipe for a CPU: 4 layers of
128 channels, context 64, 2,000 steps of 12 rows. Takes about four minutes on two cores.
"""

from typing import Any

from benchmarks.machine import describe, write_results
from benchmarks.training import shakespeare, train
from llmlib import fast_recipe, plain_recipe

SEEDS = range(3)


def measure(recipe: str, seed: int) -> dict[str, Any]:
    """Trains one model from one seed; what it is and how far it got."""
    tokenizer, _, _ = shakespeare()
    settings: dict[str, Any] = {"seed": seed, "eval_interval": 10**6}
    if recipe == "plain":
        model_config, config = plain_recipe(tokenizer.vocab_size, 64, **settings)
    else:
        model_config, config = fast_recipe(
            tokenizer.vocab_size, 64, max_iters=150, **settings
        )
    return {
        "recipe": recipe,
        "batch_size": config.batch_size,
        "block_size": 64,
        "precision": config.resolved().precision,
        **train(model_config, config),
    }


def main() -> None:
    """Measures both recipes over the seeds and writes the results."""
    runs = []
    for seed in SEEDS:
        for recipe in ("fast", "plain"):
            runs.append(measure(recipe, seed))
            print(runs[-1], flush=True)
    write_results("shakespeare", {"machine": describe(), "runs": runs})


if __name__ == "__main__":
    main()
