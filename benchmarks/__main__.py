"""All measurements, one after the other: python -m benchmarks [--quick | --tables].

With --quick, only those that can be quick, in tiny sizes; with --tables nothing is
measured, and the tables of the committed results are written into benchmarks/README.md.
"""

import json
import subprocess
import sys
from importlib import import_module

from benchmarks.machine import RESULTS

NAMES = (
    "training",
    "speedrun",
    "sweep",
    "variants",
    "shakespeare",
    "throughput",
    "generation",
    "guessing",
    "rules",
    "bpe",
    "startup",
    "vocabulary",
    "parts",
    "dials",
    "village",
    "book",
)
QUICK = set(NAMES) - {"vocabulary"}
README = RESULTS.parent / "README.md"
INTRODUCTION = """# Benchmarks

What was measured last. Each table is made from `results/`, by `python -m benchmarks
--tables`; the command above it measures again, `make bench` all of them. A time is worth
little on another machine; ratios, of runs that took turns in one process, hold better.
Where three numbers are given, they are a median and, in brackets, the least and the most.
"""


def tables() -> str:
    """The results of every measurement, to be read."""
    parts = [INTRODUCTION]
    for name in NAMES:
        module = import_module(f"benchmarks.{name}")
        record = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        title = (module.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        machine = record["machine"]
        versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
        parts.append(
            f"## `{name}`\n\n{title}\n\n"
            f"    {record['command']}\n\n"
            f"{machine['processor']} ({machine['capability']}), {machine['cores']} cores, "
            f"Python {machine['python']}, {versions}:\n\n"
            f"```text\n{module.table(record).strip()}\n```\n"
        )
    return "\n".join(parts)


def main() -> None:
    """Runs each in a process of its own, so that none warms another up; stops at the first
    that fails.
    """
    options = sys.argv[1:]
    quick, measured = options == ["--quick"], options != ["--tables"]
    for name in (name for name in NAMES if measured and (not quick or name in QUICK)):
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        subprocess.run(command, check=True)
    if not quick:
        README.write_text(tables(), encoding="utf-8")


if __name__ == "__main__":
    main()
