"""The training of the chapter *Training* from several seeds: its time, and how far above
the floor it ends, alone and two at a time.

    python -m benchmarks.village [--quick]

Two models together predict with the mean of their log-probabilities, made to sum to one
again. All are trained on the same 32,000 stories, each seed with weights and an order of
its own; three of them once more in rows that begin anywhere, not only where a story does.
The head is the mean of the heads of the last third of the steps.
Takes about fifteen minutes on two cores.
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
    StoryGrammar,
    Tokenizer,
    Trainer,
    WordTokenizer,
    bits_per_character,
    distance_to_floor,
    fast_recipe,
    load_corpus,
    size_report,
    token_ids,
)

SEEDS = range(5)
SHAPE = {"n_layer": 2, "n_head": 2, "n_embd": 128}
LENGTH = {"max_iters": 1500, "batch_size": 20}
RATES: dict[str, Any] = {"embedding_lr": 0.04, "head_lr": 0.02, "cooldown": 1.0}
ROW = 160  # ids, fewer than the model can read


class Together:
    """Several models of one vocabulary as one: the mean of their log-probabilities."""

    def __init__(self, models: Sequence[GPT]) -> None:
        self.models, self.block_size = models, models[0].block_size

    def __call__(self, ids: Tensor) -> Tensor:
        each = [model(ids).log_softmax(dim=-1) for model in self.models]
        return torch.stack(each).mean(dim=0)  # whoever reads logits makes it sum to one


def measure(quick: bool = False) -> dict[str, Any]:
    """Trains a model from each seed, and scores each and every pair."""
    length, seeds = ({"max_iters": 3}, SEEDS[:2]) if quick else (LENGTH, SEEDS)
    village = StoryGrammar()
    train = village.sample(1_000 if quick else 32_000, seed=1)
    tokenizer = WordTokenizer.train(train)
    ids = token_ids(tokenizer, train)
    stories = load_corpus("stories").documents[-10 if quick else -150 :]
    floor = village.bits_per_character(stories)

    def above(*models: GPT) -> float:
        bits = bits_per_character(Together(models), tokenizer, stories)
        return round(100 * distance_to_floor(bits, floor), 2)

    def run(seed: int, starts: list[int] | None) -> tuple[GPT, dict[str, Any]]:
        model, told = train_one(tokenizer, ids, length, seed, starts)
        told = {"seed": seed, **told, "percent_above": above(model)}
        print(told, flush=True)
        return model, told

    models, runs = zip(*(run(seed, tokenizer.start_ids) for seed in seeds), strict=True)
    anywhere = [run(seed, None)[1] for seed in seeds[:3]]
    pairs = [
        {"seeds": [a, b], "percent_above": above(models[a], models[b])}
        for a, b in combinations(seeds, 2)
    ]
    return {
        "machine": describe(),
        "floor": round(floor, 4),
        "runs": list(runs),
        "pairs": pairs,
        "anywhere": anywhere,
    }


def train_one(
    tokenizer: Tokenizer,
    ids: Tensor,
    length: dict[str, int],
    seed: int,
    starts: list[int] | None,
) -> tuple[GPT, dict[str, Any]]:
    """A model, and what its training took."""
    config, training = fast_recipe(
        tokenizer.vocab_size, 192, **SHAPE, **RATES, **length, seed=seed
    )
    torch.manual_seed(seed)
    model = GPT(config)
    # Nothing is validated before the end.
    steps = training.max_iters
    training = replace(training, block_size=ROW, eval_interval=steps)
    logs, averaged = [], max(1, steps // 3)
    head_sum = torch.zeros_like(model.lm_head.weight)
    for log in Trainer(model, ids, ids[:2_000], training, starts):
        logs.append(log)
        if log.step > steps - averaged:
            head_sum += model.lm_head.weight.detach()
    model.lm_head.weight.data = head_sum / averaged
    return model, {
        "parameters": size_report(config).parameters,
        "steps": steps,
        "tokens": sum(log.tokens for log in logs),
        "seconds": round(sum(log.seconds for log in logs), 1),
    }


def table(record: dict[str, Any]) -> str:
    """A line for each training and each pair."""

    def lines(runs: list[dict[str, Any]], name: str) -> list[tuple[str, str, str]]:
        return [
            (
                name.format(r["seed"]),
                f"{r['seconds']:.0f}",
                f"{r['percent_above']:.2f}%",
            )
            for r in runs
        ]

    together = [
        (f"seeds {a} and {b}", "", f"{pair['percent_above']:.2f}%")
        for pair in record["pairs"]
        for a, b in [pair["seeds"]]
    ]
    return aligned(
        ("model", "seconds", "above the floor"),
        *lines(record["runs"], "seed {}"),
        *together,
        *lines(record["anywhere"], "seed {}, rows from anywhere"),
    )


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("village", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
