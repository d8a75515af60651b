"""From nanoGPT's recipe to the fast one, rung by rung: seconds and tokens until
the validation loss of nanoGPT's recipe on Tiny Shakespeare is reached.

    python -m benchmarks.speedrun [--only RUNG ...] [--seeds 3] [--rounds 60] [--quick]

Each rung keeps what the ones before it changed. Since a schedule has to know its length,
a rung is trained at several lengths, each CLOSER times the next longer one, until one
misses the target on the mean over the seeds and its neighbour reaches it; what the rung
needs lies on the line between the two.

How many steps a rung needs does not depend on the speed of the machine, which drifts. How
long a step takes does, and is measured for all rungs in turns. One thread. Takes about
half an hour.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import mean, median
from typing import Any

import torch

from benchmarks.baseline import Baseline, BaselineGPT, BaselineTraining
from benchmarks.ladder import RUNGS, Rung, ladder
from benchmarks.machine import (
    RESULTS,
    aligned,
    alternate,
    describe,
    peaks,
    ranged,
    spread,
    write_results,
)
from benchmarks.training import shakespeare, train, train_baseline
from llmlib import GPT, Trainer, plain_recipe

TARGET = 1.8976
FIRST = "nanoGPT's recipe"
CLOSER = 0.9
HEADING = ("", "parameters", "steps", "tokens", "seconds", "by seed")


def run(rung: Rung, steps: int, seed: int) -> dict[str, Any]:
    """One training of that length."""
    tokenizer, _, _ = shakespeare()
    model_config, config = plain_recipe(
        tokenizer.vocab_size, 64, max_iters=steps, eval_interval=10**9, seed=seed
    )
    warmup = min(rung.training.get("warmup_iters", 100), steps // 10)
    config = replace(config, **rung.training | {"warmup_iters": warmup})
    return train(replace(model_config, **rung.model), config)


def bracket(
    train_for: Callable[[int, int], dict[str, Any]], steps: int, seeds: int
) -> list[dict[str, Any]]:
    """Runs of two neighbouring lengths: the shorter one misses the target on the mean
    over the seeds, the longer one reaches it. `train_for` makes a run, of so many steps
    from a seed.
    """
    missing: list[dict[str, Any]] = []
    reaching: list[dict[str, Any]] = []
    while not (missing and reaching):
        runs = [train_for(steps, seed) for seed in range(seeds)]
        loss = mean(run["loss"] for run in runs)
        print(f"{steps} steps, loss {loss:.4f}", flush=True)
        if loss > TARGET:
            missing, steps = runs, round(steps / CLOSER)
        else:
            reaching, steps = runs, round(steps * CLOSER)
    return missing + reaching


def needed(shorter: list[dict[str, Any]], longer: list[dict[str, Any]]) -> float:
    """The steps after which the mean loss is the target's, on the line through both."""
    (x0, y0), (x1, y1) = (
        (runs[0]["steps"], mean(run["loss"] for run in runs))
        for runs in (shorter, longer)
    )
    return x0 + (x1 - x0) * (y0 - TARGET) / (y0 - y1)


def racers() -> dict[str, Iterator[object]]:
    """A training of every rung, on noise: a step takes as long, whatever it reads."""
    noise = torch.randint(65, (10_000,))
    baseline = Baseline()
    trainings: dict[str, Iterator[object]] = {
        FIRST: BaselineTraining(BaselineGPT(baseline), noise, baseline)
    }
    for rung in ladder(RUNGS):
        shape, settings = plain_recipe(65, **rung.model | rung.training)
        trainings[rung.name] = Trainer(GPT(shape), noise, noise, settings)
    return trainings


def paces(rounds: int) -> dict[str, float]:
    """The seconds of a step of every rung: the median of so many, made in turns."""
    steps = {name: partial(next, training) for name, training in racers().items()}
    taken = alternate(steps, rounds)
    return {name: median(seconds) for name, seconds in taken.items()}


def summary(
    name: str, every: list[dict[str, Any]], pace: float | None = None
) -> dict[str, Any]:
    """What a rung needs, all seeds together and each by itself, and how that was found:
    the runs of two lengths. `pace` is the seconds of a step; without it, that of the runs.
    """
    if pace is None:
        pace = sum(r["seconds"] for r in every) / sum(r["steps"] for r in every)
    row = every[0]["tokens"] // every[0]["steps"]
    lengths = sorted({run["steps"] for run in every})
    runs = [[run for run in every if run["steps"] == length] for length in lengths]
    steps = needed(*runs)
    by_seed = [needed([a], [b]) for a, b in zip(*runs, strict=True)]
    return {
        "name": name,
        "parameters": every[0]["parameters"],
        "steps": round(steps),
        "tokens": round(steps * row),
        "seconds": round(steps * pace, 3),
        "seconds by seed": [round(n * pace, 3) for n in by_seed],
        "runs": every,
    }


def row(rung: dict[str, Any]) -> tuple[str, ...]:
    """What a rung needs, under HEADING."""
    counts = (f"{rung[key]:,}" for key in ("parameters", "steps", "tokens"))
    by_seed = ranged(spread(rung["seconds by seed"]))
    return (rung["name"], *counts, f"{rung['seconds']:.2f}", by_seed)


def table(record: dict[str, Any]) -> str:
    """A line for each rung, with how many times shorter it is than the first."""
    first = record["rungs"][0]["seconds"]
    rows = [(*row(rung), f"{first / rung['seconds']:.2f}") for rung in record["rungs"]]
    return aligned((*HEADING, "times shorter"), *rows)


def main(arguments: list[str] | None = None) -> None:
    """Measures every rung and writes the results."""
    makers: dict[str, tuple[Callable[[int, int], dict[str, Any]], int]] = {
        FIRST: (lambda steps, seed: train_baseline({"max_iters": steps}, seed), 2000)
    }
    makers |= {rung.name: (partial(run, rung), rung.steps) for rung in ladder(RUNGS)}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    rungs: Any = {"choices": list(makers), "metavar": "RUNG"}
    parser.add_argument("--only", nargs="*", **rungs, help="these; the others stay")
    parser.add_argument("--rounds", type=int, default=60, help="of a step of each")
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    path = RESULTS / "speedrun.json"
    kept = json.loads(path.read_text())["rungs"] if options.only else []
    runs = {rung["name"]: rung["runs"] for rung in kept}
    for name in options.only or makers:
        print(name, flush=True)
        train_for, steps = makers[name]
        if options.quick:
            train_for(3, 0)
        else:
            runs[name] = bracket(train_for, steps, options.seeds)
    if not options.quick:
        pace = paces(options.rounds)
        rungs = [summary(name, runs[name], pace[name]) for name in makers]
        found = {"machine": describe(), "peak": peaks()}
        record = found | {"target": TARGET, "rungs": rungs}
        write_results("speedrun", record)
        print(table(record))


if __name__ == "__main__":
    main()
