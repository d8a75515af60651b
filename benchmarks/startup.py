"""How long a process needs before it can begin: PyTorch alone, with llmlib, and with what
other libraries import to do the same.

    python -m benchmarks.startup [--quick]
"""

import argparse
import subprocess
import sys
from functools import partial

from benchmarks.machine import alternate, describe, spread, write_results

IMPORTS = {
    "nothing": "pass",
    "torch": "import torch",
    "torch, llmlib": "import torch, llmlib",
    "torch, transformers": "import torch; from transformers import GPT2LMHeadModel",
}


def start(statement: str) -> None:
    """A Python process that runs one statement."""
    subprocess.run([sys.executable, "-c", statement], check=True)


def main() -> None:
    """Measures all in turns and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round")
    options = parser.parse_args()
    runs = {name: partial(start, statement) for name, statement in IMPORTS.items()}
    taken = alternate(runs, rounds=1 if options.quick else 9)
    seconds = {name: spread(values, 3) for name, values in taken.items()}
    for name, values in seconds.items():
        print(f"{name:22}{values['median']:6.2f} s")
    added = [b - a for a, b in zip(taken["torch"], taken["torch, llmlib"], strict=True)]
    print(f"llmlib adds {spread(added, 3)['median']:.2f} s to torch")
    if not options.quick:
        record = {"machine": describe("transformers"), "seconds": seconds}
        write_results("startup", record | {"llmlib adds": spread(added, 3)})


if __name__ == "__main__":
    main()
