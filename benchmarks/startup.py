"""How long a process needs before it can begin: PyTorch alone, with llmlib, and with what
other libraries import to do the same.

    python -m benchmarks.startup [--quick]
"""

import subprocess
import sys
from functools import partial
from typing import Any

from benchmarks.machine import aligned, alternate, describe, ranged, report, spread

IMPORTS = {
    "nothing": "pass",
    "torch": "import torch",
    "torch, llmlib": "import torch, llmlib",
    "torch, transformers": "import torch; from transformers import GPT2LMHeadModel",
}


def start(statement: str) -> None:
    """A Python process that runs one statement."""
    subprocess.run([sys.executable, "-c", statement], check=True)


def measure(quick: bool = False) -> dict[str, Any]:
    """All in turns."""
    runs = {name: partial(start, statement) for name, statement in IMPORTS.items()}
    taken = alternate(runs, rounds=1 if quick else 9)
    added = [b - a for a, b in zip(taken["torch"], taken["torch, llmlib"], strict=True)]
    return {
        "machine": describe("transformers"),
        "seconds": {name: spread(values, 3) for name, values in taken.items()},
        "llmlib adds": spread(added, 3),
    }


def table(record: dict[str, Any]) -> str:
    """Seconds until each is imported, and what llmlib adds to torch, round by round."""
    rows = {**record["seconds"], "llmlib adds to torch": record["llmlib adds"]}
    lines = [(name, ranged(values, 3)) for name, values in rows.items()]
    return aligned(("imported", "seconds"), *lines)


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("startup", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
