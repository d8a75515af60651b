"""The training of the chapter *Training* from several seeds: how far above the floor it
ends, alone and together, and in what order it learns to remember.

    python -m benchmarks.village [--quick]

Models together predict with the mean of their log-probabilities, made to sum to one again.
All are trained on the same 32,000 stories, each seed with weights and an order of its own;
three of them once more in rows that begin anywhere, not only where a story does. The head
is the mean of the heads of the last third of the steps; beside it, what the last weights
lose, and the mean of all weights. One thread; takes about half an hour.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from math import log2
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
from llmlib.evaluation.dependences import Place, candidate_bits, mean_by_kind

SEEDS = range(5)
SHAPE = {"n_layer": 2, "n_head": 2, "n_embd": 128}
LENGTH = {"max_iters": 1500, "batch_size": 20}
RATES: dict[str, Any] = {"embedding_lr": 0.04, "head_lr": 0.02, "cooldown": 1.0}
ROW = 160  # ids, fewer than the model can read
LAST, HEADS, ALL = "last weights", "mean of the heads", "mean of all weights"
WATCHED = (50, 100, 150, 200, 300, 400, 600, 800, 1000, 1500)  # with three seeds
KINDS = ("elder", "name", "object", "pronoun", "quotation")
PLACES = 25  # of a kind, at most


class Together:
    """Several models of one vocabulary as one: the mean of their log-probabilities."""

    def __init__(self, models: Sequence[GPT]) -> None:
        self.models, self.block_size = models, models[0].block_size

    def __call__(self, ids: Tensor) -> Tensor:
        each = [model(ids).log_softmax(dim=-1) for model in self.models]
        return torch.stack(each).mean(dim=0)  # whoever reads logits makes it sum to one


def measure(quick: bool = False) -> dict[str, Any]:
    """Trains a model from each seed, and scores each, every pair, and all together."""
    torch.set_num_threads(1)
    length, seeds = ({"max_iters": 3}, SEEDS[:2]) if quick else (LENGTH, SEEDS)
    watched = (1, 3) if quick else WATCHED
    village = StoryGrammar()
    train = village.sample(1_000 if quick else 32_000, seed=1)
    tokenizer = WordTokenizer.train(train)
    ids = token_ids(tokenizer, train)
    stories = load_corpus("stories").documents[-10 if quick else -150 :]
    floor = village.bits_per_character(stories)
    places = questions(village, PLACES // 12 if quick else PLACES)

    def above(*models: GPT) -> float:
        bits = bits_per_character(Together(models), tokenizer, stories)
        return round(100 * distance_to_floor(bits, floor), 2)

    def run(seed: int, starts: list[int] | None) -> tuple[GPT, dict[str, Any]]:
        order: dict[str, dict[str, list[float]]] = {}
        if starts and seed < 3:
            order = {kind: {"right": [], "bits": []} for kind in KINDS}

        def watch(step: int, model: GPT) -> None:
            if order and step in watched:
                for kind, (right, bits) in answers(model, tokenizer, places).items():
                    order[kind]["right"].append(round(100 * right, 1))
                    order[kind]["bits"].append(round(bits, 3))

        models, told = train_one(tokenizer, ids, seed, starts, watch, **RATES, **length)
        ends = {name: above(model) for name, model in models.items()}
        told = {"seed": seed, **told, "percent_above": ends[HEADS], "ends": ends}
        print(told, flush=True)
        return models[HEADS], told | {"order": order}

    models, runs = zip(*(run(seed, tokenizer.start_ids) for seed in seeds), strict=True)
    anywhere = [run(seed, None)[1] for seed in seeds[:3]]
    pairs = [
        {"seeds": [a, b], "percent_above": above(models[a], models[b])}
        for a, b in combinations(seeds, 2)
    ]
    return {
        "machine": describe(),
        "floor": round(floor, 4),
        "watched": list(watched),
        "runs": list(runs),
        "pairs": pairs,
        "all": above(*models),
        "anywhere": anywhere,
    }


def questions(village: StoryGrammar, n: int) -> list[Place]:
    """The first places of each kind in stories that no model here has read."""
    places: dict[str, list[Place]] = {kind: [] for kind in KINDS}
    for seed in range(10_000_000, 10_000_060):
        story, marked = village.annotated(seed)
        for place in marked:
            if place.kind in places:
                places[place.kind].append((story, place))
    return [place for found in places.values() for place in found[:n]]


def answers(
    model: GPT, tokenizer: Tokenizer, places: Sequence[Place]
) -> dict[str, list[float]]:
    """By kind: the share of right answers, and the bits that the right one costs when only
    the candidates can come.
    """
    told = []
    for cost, (story, place) in zip(
        candidate_bits(model, tokenizer, places), places, strict=True
    ):
        right = story[place.start : place.end]
        chosen = min(cost, key=cost.__getitem__)
        bits = log2(sum(2 ** (cost[right] - c) for c in cost.values()))
        told.append((place.kind, torch.tensor([chosen == right, bits])))
    return {kind: mean.tolist() for kind, mean in mean_by_kind(told).items()}


def train_one(
    tokenizer: Tokenizer,
    ids: Tensor,
    seed: int,
    starts: list[int] | None,
    watch: Callable[[int, GPT], None] = lambda step, model: None,
    **settings: Any,
) -> tuple[dict[str, GPT], dict[str, Any]]:
    """The model as it ends, with the mean of its heads and with the mean of all its
    weights over the last third of the steps; and what the training took. It may be watched
    after each step.
    """
    config, training = fast_recipe(
        tokenizer.vocab_size, 192, **SHAPE, **settings, seed=seed
    )
    torch.manual_seed(seed)
    model = GPT(config)
    # Nothing is validated before the end.
    steps = training.max_iters
    training = replace(training, block_size=ROW, eval_interval=steps)
    logs, averaged = [], max(1, steps // 3)
    sums = {name: torch.zeros_like(p) for name, p in model.state_dict().items()}
    for log in Trainer(model, ids, ids[:2_000], training, starts):
        logs.append(log)
        watch(log.step, model)
        if log.step > steps - averaged:
            for name, weight in model.state_dict().items():
                sums[name] += weight
    mean = {name: weight / averaged for name, weight in sums.items()}
    models = {LAST: model, HEADS: deepcopy(model), ALL: deepcopy(model)}
    models[HEADS].lm_head.weight.data = mean["lm_head.weight"]
    models[ALL].load_state_dict(mean)
    return models, {
        "parameters": size_report(config).parameters,
        "steps": steps,
        "tokens": sum(log.tokens for log in logs),
    }


def table(record: dict[str, Any]) -> str:
    """A line for each training, each pair, and all together."""

    def lines(runs: list[dict[str, Any]], name: str) -> list[tuple[str, ...]]:
        return [
            (
                name.format(r["seed"]),
                *(f"{r['ends'][end]:.2f}%" for end in (HEADS, LAST, ALL)),
            )
            for r in runs
        ]

    together = [
        (f"seeds {a} and {b}", f"{pair['percent_above']:.2f}%", "", "")
        for pair in record["pairs"]
        for a, b in [pair["seeds"]]
    ]
    return aligned(
        ("percent above the floor", HEADS, LAST, ALL),
        *lines(record["runs"], "seed {}"),
        *together,
        ("all together", f"{record['all']:.2f}%", "", ""),
        *lines(record["anywhere"], "seed {}, rows from anywhere"),
    )


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("village", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
