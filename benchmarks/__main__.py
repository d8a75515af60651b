"""All measurements, one after the other: python -m benchmarks [--quick]."""

import subprocess
import sys

NAMES = (
    "startup",
    "bpe",
    "throughput",
    "generation",
    "guessing",
    "shakespeare",
    "training",
    "speedrun",
    "sweep",
    "variants",
    "vocabulary",
    "village",
    "book",
)
QUICK = set(NAMES) - {"vocabulary"}


def main() -> None:
    """Runs each in a process of its own, so that none warms another up; stops at the first
    that fails. With --quick, only those that can be.
    """
    quick = sys.argv[1:] == ["--quick"]
    for name in (name for name in NAMES if not quick or name in QUICK):
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
