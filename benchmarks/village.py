"""The training of the chapter *Training* from several seeds: its time, and how far above
the floor it ends, alone and two at a time.

    python -m benchmarks.village [--quick]

Two models together predict with the mean of their log-probabilities, made to sum to one
again. All are trained on the same 32,000 stories, each seed with weights and an order of
its own. Takes about ten minutes on two cores.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import aligned, describe, report
from llmlib import (
    GPT,
    BPETokenizer,
    StoryGrammar,
    Tokenizer,
    Trainer,
    bits_per_character,
    distance_to_floor,
    fast_recipe,
    load_corpus,
    size_report,
    token_ids,
)

SEEDS = range(5)
SHAPE = {"n_layer": 2, "n_head": 2, "n_embd": 128}
RATES = {"embedding_lr": 0.04, "head_lr": 0.02, "cooldown": 1.0}


class Together:
    """Several models of one vocabulary as one: the mean of their log-probabilities."""

    def __init__(self, models: Sequence[GPT]) -> None:
        self.models, self.block_size = models, models[0].block_size

    def __call__(self, ids: Tensor) -> Tensor:
        each = [model(ids).log_softmax(dim=-1) for model in self.models]
        return torch.stack(each).mean(dim=0)  # whoever reads logits makes it sum to one


def measure(quick: bool = False) -> dict[str, Any]:
    """Trains a model from each seed, and scores each and every pair."""
    steps, seeds = (3, SEEDS[:2]) if quick else (1750, SEEDS)
    village = StoryGrammar()
    train = village.sample(1_000 if quick else 32_000, seed=1)
    tokenizer = BPETokenizer.train(train[: 50_000 if quick else 1_000_000], 2048)
    ids = token_ids(tokenizer, train)
    stories = load_corpus("stories").documents[-10 if quick else -150 :]
    floor = -sum(map(village.log2_prob, stories)) / sum(map(len, stories))

    def above(*models: GPT) -> float:
        bits = bits_per_character(Together(models), tokenizer, stories)
        return round(100 * distance_to_floor(bits, floor), 2)

    models, runs = [], []
    for seed in seeds:
        model, run = train_one(tokenizer, ids, steps, seed)
        models.append(model)
        runs.append({"seed": seed, **run, "percent_above": above(model)})
        print(runs[-1], flush=True)
    pairs = [
        {"seeds": [a, b], "percent_above": above(models[a], models[b])}
        for a, b in combinations(seeds, 2)
    ]
    return {
        "machine": describe(),
        "floor": round(floor, 4),
        "runs": runs,
        "pairs": pairs,
    }


def train_one(
    tokenizer: Tokenizer, ids: Tensor, steps: int, seed: int
) -> tuple[GPT, dict[str, Any]]:
    """A model, and what its training took."""
    config, training = fast_recipe(
        tokenizer.vocab_size, 192, **SHAPE, **RATES, max_iters=steps, seed=seed
    )
    torch.manual_seed(seed)
    model = GPT(config)
    # Rows of 176 ids, as in the chapter. Nothing is validated before the end.
    training = replace(training, block_size=176, eval_interval=steps)
    logs = list(Trainer(model, ids, ids[:2_000], training, tokenizer.start_ids))
    return model, {
        "parameters": size_report(config).parameters,
        "steps": steps,
        "tokens": sum(log.tokens for log in logs),
        "seconds": round(sum(log.seconds for log in logs), 1),
    }


def table(record: dict[str, Any]) -> str:
    """A line for each training and each pair."""
    alone = [
        (f"seed {r['seed']}", f"{r['seconds']:.0f}", f"{r['percent_above']:.2f}%")
        for r in record["runs"]
    ]
    together = [
        (f"seeds {a} and {b}", "", f"{pair['percent_above']:.2f}%")
        for pair in record["pairs"]
        for a, b in [pair["seeds"]]
    ]
    return aligned(("model", "seconds", "above the floor"), *alone, *together)


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("village", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
