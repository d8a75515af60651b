"""What the chapters on the model leave to more trainings than a page has time for: kinds of
positions after 1,500 steps, and many heads with other ways to tell where.

    python -m benchmarks.parts [--quick]

Both are the trainings of *Embeddings and positions* and of *Many heads*, with the settings
that the record names. One thread; takes about ten minutes.
"""

from dataclasses import replace
from math import log
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import aligned, describe, report
from llmlib import (
    GPT,
    BPETokenizer,
    Trainer,
    WordTokenizer,
    fast_recipe,
    load_corpus,
    token_ids,
)

SEEDS = range(3)
STEPS = 1500  # six times as many as on the page
KINDS = ("none", "learned", "sinusoidal", "rotary")
RATES: dict[str, Any] = {"embedding_lr": 0.05, "head_lr": 0.02, "precision": "float32"}
SMALL = {"n_layer": 2, "n_embd": 64}
ROW, READ = 32, 64  # words in a row of the training, and of the measurement
WHERE: dict[str, dict[str, Any]] = {
    "rotary": {},
    "learned positions": {"positions": "learned"},
    "rotary and a smear": {"smear": 3},
}


def positions(quick: bool) -> dict[str, list[dict[str, float]]]:
    """Nats per word within the rows of the training and beyond them, by kind and seed."""
    train, val = load_corpus("stories").split()
    tokenizer = WordTokenizer.train(train[:1_000_000])
    ids, val_ids = token_ids(tokenizer, train[:1_000_000]), token_ids(tokenizer, val)
    n, seeds = (10, SEEDS[:1]) if quick else (800, SEEDS)
    rows = val_ids[: n * (READ + 1)].view(n, READ + 1)
    length = {"n_head": 2, "max_iters": 3 if quick else STEPS}
    found: dict[str, list[dict[str, float]]] = {}
    for kind in KINDS:
        found[kind] = []
        for seed in seeds:
            shape, config = fast_recipe(
                tokenizer.vocab_size, READ, **SMALL, **length, **RATES, seed=seed
            )
            torch.manual_seed(seed)
            gpt = GPT(replace(shape, positions=kind, smear=0))
            list(Trainer(gpt, ids, val_ids[:1000], replace(config, block_size=ROW)))
            losses = by_position(gpt, rows)
            within, beyond = losses[8:ROW].mean(), losses[ROW:].mean()
            found[kind].append(
                {"within": round(within.item(), 3), "beyond": round(beyond.item(), 3)}
            )
            print(kind, found[kind][-1], flush=True)
    return found


@torch.no_grad()
def by_position(model: GPT, rows: Tensor) -> Tensor:
    """The mean loss at each position of the rows, in nats."""
    losses = torch.zeros(rows.shape[1] - 1)
    for few in rows.split(100):
        chances = model(few[:, :-1]).log_softmax(dim=-1)
        losses -= chances.gather(-1, few[:, 1:, None])[..., 0].sum(dim=0)
    return losses / len(rows)


def heads(quick: bool) -> dict[str, dict[str, list[float]]]:
    """Bits per character with one head and with eight, by seed, for other ways to tell
    where.
    """
    train, val = load_corpus("stories").split()
    val = val[: 2_000 if quick else 30_000]
    tokenizer = BPETokenizer.train(train[:300_000], vocab_size=512)
    ids, val_ids = token_ids(tokenizer, train[:1_000_000]), token_ids(tokenizer, val)

    def bits(n_head: int, seed: int, change: dict[str, Any]) -> float:
        length = {"n_head": n_head, "max_iters": 3 if quick else 130, "batch_size": 8}
        shape, config = fast_recipe(512, 128, **SMALL, **length, seed=seed)
        torch.manual_seed(seed)
        model = GPT(replace(shape, **{"smear": 0} | change))
        *_, last = Trainer(model, ids, val_ids, config)
        return round((last.val_loss or 0) * len(val_ids) / len(val) / log(2), 3)

    found: dict[str, dict[str, list[float]]] = {}
    for name, change in WHERE.items():
        seeds = SEEDS[:1] if quick else SEEDS
        found[name] = {
            f"{n} head{'s' * (n > 1)}": [bits(n, seed, change) for seed in seeds]
            for n in (1, 8)
        }
        print(name, found[name], flush=True)
    return found


def measure(quick: bool = False) -> dict[str, Any]:
    """Trains both series."""
    torch.set_num_threads(1)
    return {
        "machine": describe(),
        "steps": STEPS,
        "positions": positions(quick),
        "heads": heads(quick),
    }


def table(record: dict[str, Any]) -> str:
    """Means of each, and the seeds."""
    rows = [
        (f"{kind}, {side}", f"{mean(losses):.3f}", " ".join(f"{x:.3f}" for x in losses))
        for kind, runs in record["positions"].items()
        for side in ("within", "beyond")
        for losses in [[run[side] for run in runs]]
    ]
    more = [
        (f"{name}, {n}", f"{mean(bits):.3f}", " ".join(f"{x:.3f}" for x in bits))
        for name, by_number in record["heads"].items()
        for n, bits in by_number.items()
    ]
    return "\n\n".join(
        [
            aligned(("nats per word", "mean", "by seed"), *rows),
            aligned(("bits per character", "mean", "by seed"), *more),
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("parts", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
