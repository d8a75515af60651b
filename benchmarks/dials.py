"""What the chapter *Training* says of rates, warm-up, clipping, means of weights and where
rows begin: short trainings, each from several seeds.

    python -m benchmarks.dials [--quick]

The small trainings are those of the chapter's first figures; the others are its own models,
for fewer steps. Losses are in nats per token; distances in percent above the floor, for all
tokens and for a part of them. One thread; takes about twenty minutes.
"""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import aligned, describe, report
from benchmarks.village import LAST, LENGTH, RATES, SHAPE, train_one
from llmlib import (
    GPT,
    StoryGrammar,
    Tokenizer,
    Trainer,
    WordTokenizer,
    load_corpus,
    plain_recipe,
    token_bits,
    token_ids,
)

SEEDS = range(6)
FEW = range(3)  # seeds of the longer trainings
SMALL_RATES = (0.001, 0.003, 0.01, 0.03)
SMALL = {"n_layer": 2, "n_embd": 64, "max_iters": 120}
WARM_UP = 12  # steps
CHANGES: dict[str, dict[str, Any]] = {
    "warm-up and cosine": {},
    "no warm-up": {"warmup_iters": 0},
    "at first still": {"warmup_iters": 0},  # its first steps are made at a rate of zero
    "no way down": {"min_lr": None},  # the rate itself
    "not clipped": {"grad_clip": 0.0},
}
PLAIN = {"max_iters": 160, "batch_size": 16}
PLAIN_RATES = (0.001, 0.003, 0.006)
RECIPES = {"the recipe's": {"cooldown": 1.0}, "twice for embedding and head": RATES}
OPENING = 16  # tokens


def small(
    vocab_size: int,
    ids: Tensor,
    val_ids: Tensor,
    change: str,
    rate: float,
    seed: int,
    **length: int,
) -> dict[str, float]:
    """A small training of the plain recipe: the loss at its end, in how many of a hundred
    steps the gradient was longer than the limit, and how long at most.
    """
    settings: dict[str, Any] = {"min_lr": 0.0, "warmup_iters": WARM_UP}
    settings |= {k: rate if v is None else v for k, v in CHANGES[change].items()}
    settings |= {"learning_rate": rate, "seed": seed}
    config, training = plain_recipe(vocab_size, 64, **SMALL | settings | length)
    torch.manual_seed(seed)
    trainer = Trainer(GPT(config), ids, val_ids, training)
    groups = [g for optimizer in trainer.optimizers for g in optimizer.param_groups]
    logs = []
    for step in range(training.max_iters):
        still = change == "at first still" and step < WARM_UP
        for group in groups:
            group["peak_lr"] = 0.0 if still else rate
        logs.append(next(trainer))
    norms = [log.grad_norm for log in logs]
    return {
        "loss": round(logs[-1].val_loss or 0.0, 4),
        "too long": round(100 * mean(norm > 1.0 for norm in norms), 1),
        "longest": round(max(norms), 2),
    }


class Judge:
    """How far a model is above the floor on stories that it has not read."""

    def __init__(
        self, village: StoryGrammar, tokenizer: Tokenizer, ids: Tensor, n: int
    ) -> None:
        self.tokenizer = tokenizer
        self.stories = load_corpus("stories").documents[-n:]
        self.true = [village.surprisal(story) for story in self.stories]
        counts = Counter(ids.tolist())
        half, self.common = len(ids) / 2, set[int]()
        for kind, n in counts.most_common():  # the fewest kinds that make up half of it
            if half > 0:
                self.common.add(kind)
            half -= n

    def percent_above(self, model: GPT) -> dict[str, float]:
        """For all tokens, the first of each story, and the commonest; percent of the floor
        of all.
        """
        lost = dict.fromkeys(("all", "opening", "common"), 0.0)
        for story, true in zip(self.stories, self.true, strict=True):
            begin = 0
            costs = token_bits(model, self.tokenizer, story)
            pieces = self.tokenizer.pieces(story)
            kinds = self.tokenizer.encode(story)
            for i, (cost, piece, kind) in enumerate(
                zip(costs, pieces, kinds, strict=True)
            ):
                more = cost - sum(true[begin : begin + len(piece)])
                begin += len(piece)
                lost["all"] += more
                lost["opening"] += more * (i < OPENING)
                lost["common"] += more * (kind in self.common)
        floor = sum(map(sum, self.true))
        return {name: round(100 * bits / floor, 2) for name, bits in lost.items()}


def measure(quick: bool = False) -> dict[str, Any]:
    """Trains everything, in the order of the chapter."""
    torch.set_num_threads(1)
    seeds, few = (FEW[:1], FEW[:1]) if quick else (SEEDS, FEW)
    length, shorter = (2, {"max_iters": WARM_UP + 1}) if quick else (None, {})
    village = StoryGrammar()
    train = village.sample(4_000 if quick else 32_000, seed=1)
    _, val = load_corpus("stories").split()
    tokenizer = WordTokenizer.train(train)
    ids = token_ids(tokenizer, train)
    val_ids = token_ids(tokenizer, val[: 3_000 if quick else 60_000])
    run = partial(small, tokenizer.vocab_size, ids, val_ids[:8_000])
    judge = Judge(village, tokenizer, ids, 2 if quick else 150)

    def fast(
        seed: int, steps: int, starts: bool, rates: dict[str, Any]
    ) -> dict[str, Any]:
        settings = LENGTH | rates | {"max_iters": length or steps}
        start_ids = tokenizer.start_ids if starts else None
        models, _ = train_one(tokenizer, ids, seed, start_ids, **settings)
        ends = {name: judge.percent_above(model) for name, model in models.items()}
        told = {"seed": seed, "ends": {name: end["all"] for name, end in ends.items()}}
        print(told | ends[LAST], flush=True)
        return told | {part: ends[LAST][part] for part in ("opening", "common")}

    return {
        "machine": describe(),
        "seeds": list(seeds),
        "small": {
            change: {
                str(rate): [run(change, rate, s, **shorter) for s in seeds]
                for rate in SMALL_RATES
            }
            for change in CHANGES
        },
        "plain": {
            str(rate): [plain(tokenizer, ids, val_ids, rate, s, length) for s in few]
            for rate in PLAIN_RATES
        },
        "rates": {
            name: [fast(seed, 500, True, rates) for seed in few]
            for name, rates in RECIPES.items()
        },
        "rows": {
            name: [fast(seed, 300, starts, RATES) for seed in few]
            for name, starts in (("from starts", True), ("from anywhere", False))
        },
    }


def plain(
    tokenizer: Tokenizer,
    ids: Tensor,
    val_ids: Tensor,
    rate: float,
    seed: int,
    steps: int | None,
) -> float:
    """The loss of the chapter's plain training at this rate."""
    settings: dict[str, Any] = {"learning_rate": rate, "min_lr": rate, "seed": seed}
    settings |= PLAIN | ({"max_iters": steps} if steps else {})
    config, training = plain_recipe(tokenizer.vocab_size, 192, **SHAPE | settings)
    torch.manual_seed(seed)
    logs = list(Trainer(GPT(config), ids, val_ids, training, tokenizer.start_ids))
    return round(logs[-1].val_loss or 0.0, 4)


def table(record: dict[str, Any]) -> str:
    """The ends of all trainings; seeds side by side."""

    def row(*name: str, numbers: Iterable[float]) -> tuple[str, ...]:
        return (", ".join(name), " ".join(f"{number:.2f}" for number in numbers))

    rows: list[tuple[str, ...]] = [("training", "by seed")]
    for change, by_rate in record["small"].items():
        for rate, runs in by_rate.items():
            rows.append(row(change, rate, numbers=[run["loss"] for run in runs]))
    for rate, losses in record["plain"].items():
        rows.append(row("plain recipe", rate, numbers=losses))
    for group in ("rates", "rows"):
        for name, runs in record[group].items():
            for end in runs[0]["ends"]:
                numbers = [run["ends"][end] for run in runs]
                rows.append(row(f"{group} {name}", end, numbers=numbers))
            for part in ("opening", "common"):
                numbers = [run[part] for run in runs]
                rows.append(row(f"{group} {name}", part, numbers=numbers))
    return aligned(*rows)


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("dials", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
