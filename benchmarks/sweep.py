"""The baseline's own learning rate: what nanoGPT's recipe needs if its rate is tuned too.

    python -m benchmarks.sweep [--quick]

Each rate is tried on the last tenth of the training split, for half the documented
steps; it falls to its tenth, as documented. With the best of them, the length that
reaches the target is searched as for a rung of the speedrun. One thread. Takes about
ten minutes.
"""

import argparse
from typing import Any

import torch

from benchmarks.machine import describe, write_results
from benchmarks.speedrun import bracket, summary
from benchmarks.training import train_baseline

RATES = (2e-3, 4e-3, 6e-3, 8e-3, 1.2e-2)
STEPS, SEEDS = 1000, 2  # seeds of the search for a length; a rate has one


def at(rate: float, steps: int) -> dict[str, Any]:
    """The baseline's settings with another highest rate and another length."""
    return {"learning_rate": rate, "min_lr": rate / 10, "max_iters": steps}


def sweep(steps: int) -> dict[float, float]:
    """The loss on the tuning split after so many steps, by rate."""
    losses: dict[float, float] = {}
    for rate in RATES:
        losses[rate] = train_baseline(at(rate, steps), seed=0, tuning=True)["loss"]
        print(rate, losses[rate], flush=True)
    return losses


def main() -> None:
    """Sweeps, shortens, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    losses = sweep(3 if quick else STEPS)
    best = min(losses, key=lambda rate: losses[rate])
    if quick:
        return
    runs = bracket(lambda n, seed: train_baseline(at(best, n), seed), STEPS, SEEDS)
    swept = {"steps": STEPS, "losses": losses, "best": best}
    result = summary("nanoGPT's recipe at its best rate", runs)
    write_results("sweep", {"machine": describe(), "sweep": swept, "result": result})


if __name__ == "__main__":
    main()
