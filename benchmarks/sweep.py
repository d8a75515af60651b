"""The baseline's own learning rate: what nanoGPT's recipe needs if its rate is tuned too.

    python -m benchmarks.sweep [--quick]

Each rate is tried on the last tenth of the training split, for half the documented
steps; it falls to its tenth, as documented. With the best of them, the length that
reaches the target is searched as for a rung of the speedrun. One thread. Takes about
ten minutes.
"""

from typing import Any

import torch

from benchmarks.machine import aligned, describe, report
from benchmarks.speedrun import HEADING, bracket, row, summary
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


def measure(quick: bool = False) -> dict[str, Any]:
    """The losses by rate and, unless quick, the length at the best of them."""
    torch.set_num_threads(1)
    steps = 3 if quick else STEPS
    losses = sweep(steps)
    best = min(losses, key=lambda rate: losses[rate])
    swept = {"steps": steps, "losses": losses, "best": best}
    record = {"machine": describe(), "sweep": swept}
    if quick:
        return record
    runs = bracket(lambda n, seed: train_baseline(at(best, n), seed), STEPS, SEEDS)
    return record | {"result": summary("nanoGPT's recipe at its best rate", runs)}


def table(record: dict[str, Any]) -> str:
    """The loss by rate, and what the best rate needs."""
    swept = record["sweep"]
    rows = [(rate, f"{loss:.4f}") for rate, loss in swept["losses"].items()]
    heading = ("rate", f"loss after {swept['steps']} steps")
    lines = [aligned(heading, *rows), f"best rate: {swept['best']}"]
    if "result" in record:
        lines += ["", aligned(HEADING, row(record["result"]))]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Sweeps, shortens, prints and writes the results."""
    report("sweep", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
