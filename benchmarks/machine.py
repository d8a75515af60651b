"""What every measurement here shares: turns taken in one process, medians with their
spread, and a description of the machine beside the results.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from llmlib.training.config import fast_precision

RESULTS = Path(__file__).parent / "results"


def gpt2_files() -> tuple[Path, Path]:
    """Where GPT-2's vocab.json and merges.txt lie: the folder gpt2 of LLMLIB_DATA."""
    folder = Path(os.environ.get("LLMLIB_DATA", ".")) / "gpt2"
    return folder / "vocab.json", folder / "merges.txt"


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def alternate(
    runs: Mapping[str, Callable[[], object]], rounds: int = 5, warm_up: bool = True
) -> dict[str, list[float]]:
    """The seconds of each of `rounds` calls of each function, in turns: A B A B …, so
    that a machine whose speed drifts is as unfair to one as to the other.
    """
    if warm_up:
        for run in runs.values():
            run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(seconds(run))
    return taken


def peaks(size: int = 1024, rounds: int = 20) -> dict[str, int]:
    """FLOPs a second of the fastest product of two square matrices, by number type."""
    found = {}
    for name in ("float32", "bfloat16"):
        a, b = (torch.randn(size, size).to(getattr(torch, name)) for _ in range(2))
        taken = alternate({"product": partial(torch.matmul, a, b)}, rounds)["product"]
        found[name] = round(2 * size**3 / min(taken))
    return found


def spread(values: list[float], digits: int = 4) -> dict[str, float]:
    """Median, least and most of some measurements."""
    numbers = {"median": statistics.median(values), "min": min(values)}
    return {k: round(v, digits) for k, v in {**numbers, "max": max(values)}.items()}


def ratios(slow: list[float], fast: list[float]) -> dict[str, float]:
    """How many times longer `slow` took than `fast`, round by round."""
    return spread([a / b for a, b in zip(slow, fast, strict=True)], digits=2)


def ranged(numbers: Mapping[str, float], digits: int = 2) -> str:
    """A median and its spread, to be read: "1.50 (1.25 to 2.00)"."""
    median, least, most = (
        f"{numbers[key]:,.{digits}f}" for key in ("median", "min", "max")
    )
    return f"{median} ({least} to {most})"


def aligned(*rows: Sequence[object]) -> str:
    """Rows as lines, the header among them: what they begin with on the left, the columns
    after it on the right.
    """
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = []
    for first, *others in texts:
        cells = [f"{cell:>{n}}" for cell, n in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
    return "\n".join(lines)


def describe(*packages: str) -> dict[str, Any]:
    """The machine, and the versions that a measurement ran with."""
    named = [line for line in _cpuinfo() if line.startswith("model name")]
    return {
        "processor": named[0].split(":")[1].strip() if named else platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": fast_precision("cpu") == "bfloat16",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", *packages)},
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def write_results(name: str, record: Mapping[str, Any]) -> Path:
    """Writes results/NAME.json: the record, under the command that makes it again."""
    path = RESULTS / f"{name}.json"
    whole = {"command": f"python -m benchmarks.{name}", **record}
    text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


def report(
    name: str,
    description: str | None,
    measure: Callable[[bool], dict[str, Any]],
    table: Callable[[dict[str, Any]], str],
    arguments: list[str] | None,
) -> None:
    """What the main of a measurement does: measures, prints the table and, without
    --quick, writes the results.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no results")
    quick = parser.parse_args(arguments).quick
    record = measure(quick)
    print(table(record))
    if not quick:
        write_results(name, record)
