"""From nanoGPT's recipe to the fast one, one change at a time: seconds and tokens until
the validation loss of nanoGPT's recipe on Tiny Shakespeare is reached.

    python -m benchmarks.speedrun [--seeds 3] [--quick]

Each rung keeps what the ones before it changed. Since a schedule has to know its length,
a rung is trained at several lengths, each CLOSER times the next longer one, and the
shortest whose mean loss over the seeds is low enough is what it needs. One thread. Takes
about half an hour.
"""

import argparse
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from benchmarks.machine import describe, write_results
from benchmarks.training import train, train_baseline
from llmlib import GPTConfig, TrainConfig

TARGET = 1.8976
CLOSER = 0.87


@dataclass(frozen=True)
class Rung:
    """One change: fields of GPTConfig and of TrainConfig, and a length to begin with."""

    name: str
    steps: int
    model: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


PLAIN = Rung(
    "the same, in two bytes",
    2000,
    {"vocab_size": 65, "block_size": 64, "n_layer": 4, "n_head": 4, "n_embd": 128},
    {
        "learning_rate": 1e-3,
        "min_lr": 1e-4,
        "beta2": 0.99,
        "eval_interval": 10**9,
        "precision": "bfloat16",
    },
)
RUNGS = [
    PLAIN,
    Rung(
        "Muon for the matrices",
        900,
        training={
            "optimizer": "muon",
            "learning_rate": 0.02,
            "momentum": 0.8,
            "embedding_lr": 2e-3,
            "vector_lr": 2e-3,
        },
    ),
    Rung(
        "a short warm-up, flat, down to zero",
        600,
        training={
            "schedule": "trapezoid",
            "min_lr": 0.0,
            "warmup_iters": 10,
            "grad_clip": 0.0,
            "weight_decay": 0.0,
        },
    ),
    Rung(
        "start as a table of pairs",
        400,
        {"init": "zero_output", "tie_word_embeddings": False, "embedding_norm": True},
        {"embedding_lr": 0.03, "head_lr": 0.015, "vector_lr": 0.1},
    ),
    Rung("turn instead of add", 350, {"positions": "rotary", "rope_theta": 1000.0}),
    Rung(
        "gates, and norms without weights",
        300,
        {"feed_forward": "swiglu", "norm_affine": False},
    ),
    Rung("a smear of the last three", 160, {"smear": 3}),
    Rung(
        "two heads, twice the rows, higher rates",
        90,
        {"n_head": 2},
        {"batch_size": 24, "learning_rate": 0.06},
    ),
    Rung("two layers", 90, {"n_layer": 2, "n_hidden": 512}),
]


def ladder(rungs: list[Rung]) -> list[Rung]:
    """The rungs, each with all that those before it changed."""
    whole = [rungs[0]]
    for rung in rungs[1:]:
        model, training = (
            whole[-1].model | rung.model,
            whole[-1].training | rung.training,
        )
        whole.append(replace(rung, model=model, training=training))
    return whole


def run(rung: Rung, steps: int, seed: int) -> dict[str, Any]:
    """One training of that length."""
    warmup = min(rung.training.get("warmup_iters", 100), steps // 10)
    settings = rung.training | {"warmup_iters": warmup, "seed": seed}
    return train(GPTConfig(**rung.model), TrainConfig(max_iters=steps, **settings))


def shortest(rung: Rung, seeds: int, target: float) -> list[dict[str, Any]]:
    """The runs of the shortest length whose mean loss reaches the target: shorter and
    shorter while they do, or longer and longer until they do.
    """
    steps, best, climbing = rung.steps, [], False
    while True:
        runs = [run(rung, steps, seed) for seed in range(seeds)]
        loss = sum(r["loss"] for r in runs) / seeds
        print(f"{rung.name}: {steps} steps, loss {loss:.4f}", flush=True)
        if loss <= target and climbing:
            return runs
        if loss > target and best:
            return best
        climbing = loss > target
        best = [] if climbing else runs
        steps = round(steps / CLOSER if climbing else steps * CLOSER)


def main() -> None:
    """Measures every rung and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    first = {"max_iters": 3} if options.quick else {}
    runs = [train_baseline(first, seed) for seed in range(options.seeds)]
    rungs = [{"name": "nanoGPT's recipe", "runs": runs}]
    for rung in ladder(RUNGS):
        if options.quick:
            measured = [run(rung, 3, seed) for seed in range(options.seeds)]
        else:
            measured = shortest(rung, options.seeds, TARGET)
        rungs.append({"name": rung.name, "runs": measured})
    if not options.quick:
        write_results(
            "speedrun", {"machine": describe(), "target": TARGET, "rungs": rungs}
        )


if __name__ == "__main__":
    main()
