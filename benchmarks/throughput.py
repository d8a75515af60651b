"""How many tokens a second a training step takes in, what share of the processor's peak
that is, and how time and memory grow with context, width and batch.

    python -m benchmarks.throughput [--quick]

One thread, on Linux. The peak is measured: the fastest product of two large matrices.
The baseline is never compiled, as its recipe for a processor has it; what is named
"compiled" is ours alone, beside the baseline as it is. Takes about seven minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.baseline import Baseline, BaselineGPT, BaselineTraining
from benchmarks.machine import (
    aligned,
    alternate,
    describe,
    peaks,
    ranged,
    ratios,
    seconds,
    spread,
    write_results,
)
from llmlib import GPT, Trainer, fast_recipe, size_report

SHAPES = {
    "0.8 M": {"block_size": 64, "n_layer": 4, "n_embd": 128, "batch_size": 16},
    "10.7 M": {"block_size": 256, "n_layer": 6, "n_embd": 384, "batch_size": 8},
}
HEADS = {"0.8 M": 2, "10.7 M": 6}
GROWTH = {
    "block_size": [64, 128, 256, 512, 1024],
    "n_embd": [128, 192, 256, 384, 512, 768],
    "batch_size": [1, 2, 4, 8, 16, 32, 64],
}
MIDDLE = {"block_size": 128, "n_layer": 4, "n_embd": 128, "batch_size": 8}
"""The point from which each of them grows."""


def make_trainer(shape: dict[str, int], n_head: int = 2, **training: Any) -> Trainer:
    """A training with the fast recipe on ids without sense, which cost the same."""
    model_config, config = fast_recipe(
        65,
        shape["block_size"],
        n_layer=shape["n_layer"],
        n_head=n_head,
        n_embd=shape["n_embd"],
        batch_size=shape["batch_size"],
        max_iters=10**6,
        eval_interval=10**6,
        **training,
    )
    ids = torch.randint(65, (100_000,))
    return Trainer(GPT(model_config), ids, ids[:2000], config)


def flops_per_token(trainer: Trainer) -> int:
    """Of a step; going back costs twice as much as going forward."""
    assert isinstance(trainer.model, GPT)
    return 3 * size_report(trainer.model.config).flops_per_token


def make_baseline(shape: dict[str, int], n_head: int) -> BaselineTraining:
    """The baseline at that shape, whose batch is ours; only the heads may be others."""
    config = replace(Baseline(), n_head=n_head, max_iters=10**6, **shape)
    return BaselineTraining(BaselineGPT(config), torch.randint(65, (100_000,)), config)


def compare(name: str, rounds: int, **training: Any) -> dict[str, Any]:
    """Steps of ours and of the baseline in turns: tokens a second, share of the peak."""
    shape, heads = SHAPES[name], HEADS[name]
    ours = make_trainer(shape, heads, **training)
    theirs = make_baseline(shape, max(4, heads))  # its recipe has 4
    first = seconds(lambda: next(ours))
    taken = alternate(
        {"ours": lambda: next(ours), "baseline": lambda: next(theirs)}, rounds
    )
    tokens = shape["batch_size"] * shape["block_size"]
    flops = tokens * flops_per_token(ours)
    rate = {who: spread([tokens / s for s in taken[who]], 0) for who in taken}
    return {
        "shape": shape,
        "seconds of the first step": round(first, 2),
        "tokens a second": rate,
        "times faster": ratios(taken["baseline"], taken["ours"]),
        "FLOPs a second": spread([flops / s for s in taken["ours"]], 0),
    }


def grow(quick: bool) -> dict[str, list[dict[str, Any]]]:
    """Each of GROWTH by itself, every point in a process of its own, whose memory it is."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for name, values in GROWTH.items():
        curves[name] = []
        for value in values[:2] if quick else values:
            shape = json.dumps(MIDDLE | {name: value})
            command = [sys.executable, "-m", "benchmarks.throughput", "--one", shape]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            curves[name].append({name: value} | json.loads(done.stdout))
            print(curves[name][-1], flush=True)
    return curves


def kilobytes(field: str) -> int:
    """This process's memory now ("VmRSS") or at its most ("VmHWM"), as Linux counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def one_point(shape: dict[str, int], steps: int = 8) -> dict[str, Any]:
    """Tokens a second and megabytes of a few steps, beyond what a process begins with."""
    before = kilobytes("VmRSS")
    trainer = make_trainer(shape)
    taken = alternate({"step": lambda: next(trainer)}, steps)["step"]
    more = kilobytes("VmHWM") - before
    tokens = shape["batch_size"] * shape["block_size"]
    return {
        "tokens a second": spread([tokens / s for s in taken], 0),
        "megabytes": round(more / 1024, 1),
        "FLOPs a token": flops_per_token(trainer),
    }


def measure(quick: bool = False) -> dict[str, Any]:
    """The peak, steps beside the baseline's, and how steps grow."""
    record: dict[str, Any] = {"machine": describe()}
    record["peak"] = peaks()
    rounds = 2 if quick else 30
    record["steps"] = {name: compare(name, rounds) for name in SHAPES}
    if not quick:
        with tempfile.TemporaryDirectory() as empty:  # not what an earlier run compiled
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = empty
            record["steps"]["10.7 M, compiled"] = compare(
                "10.7 M", rounds, compile=True
            )
    precision = precision_of(record)
    for measured in record["steps"].values():
        share = measured["FLOPs a second"]["median"] / record["peak"][precision]
        measured[f"share of the {precision} peak"] = round(share, 3)
    record["growth"] = grow(quick)
    return record


def precision_of(record: dict[str, Any]) -> str:
    """What a training takes by itself on the machine of a record."""
    return "bfloat16" if record["machine"]["bfloat16"] else "float32"


def table(record: dict[str, Any]) -> str:
    """The peak, a line for each shape, and a table for each of GROWTH."""
    peaks = [f"{flops / 1e9:.0f} in {name}" for name, flops in record["peak"].items()]
    heading = ("shape", "ours, tokens/s", "baseline, not compiled, tokens/s")
    share = f"share of the {precision_of(record)} peak"
    more = ("times faster", "10^9 FLOPs/s", f"{share}, %", "first step, s")
    rows = []
    for name, step in record["steps"].items():
        both = [ranged(step["tokens a second"][who], 0) for who in ("ours", "baseline")]
        pace = round(step["FLOPs a second"]["median"] / 1e9)
        times, first = ranged(step["times faster"]), step["seconds of the first step"]
        rows.append((name, *both, times, pace, f"{100 * step[share]:.1f}", first))
    tables = [aligned((*heading, *more), *rows)]
    for name, points in record["growth"].items():
        lines = [[name, "tokens/s", "megabytes", "10^6 FLOPs/token"]]
        for point in points:
            cost = point["megabytes"], f"{point['FLOPs a token'] / 1e6:.1f}"
            lines.append([point[name], ranged(point["tokens a second"], 0), *cost])
        tables.append(aligned(*lines))
    return "\n\n".join([f"peak, 10^9 FLOPs/s: {', '.join(peaks)}", *tables])


def main() -> None:
    """Measures all, prints it and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print(json.dumps(one_point(json.loads(options.one))))
        return
    record = measure(options.quick)
    print(table(record))
    if not options.quick:
        write_results("throughput", record)


if __name__ == "__main__":
    main()
