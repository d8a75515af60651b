"""Checks of the chapter "A world of small stories"."""

import math
from collections.abc import Callable

from llmlib.check.checking import Check

CASES = ([0.5, 0.25, 0.25], [0.9, 0.1], [1.0, 0.0], [0.2] * 5)


def summed(term: Callable[[float], float]) -> Callable[[list[float]], float]:
    """Adds up a term for each probability."""
    return lambda p: sum(map(term, p))


ENTROPY = Check(
    "entropy",
    right=summed(lambda p: -p * math.log2(p) if p else 0.0),
    cases=lambda: [(list(case),) for case in CASES],
    mistakes=[
        (
            "These are nats: bits need the logarithm to base 2.",
            summed(lambda p: -p * math.log(p) if p else 0.0),
        ),
        (
            "The sign is wrong: a logarithm of a probability is negative, a surprise is not.",
            summed(lambda p: p * math.log2(p) if p else 0.0),
        ),
        (
            "You added up the surprises: each has to be weighted by how often it comes.",
            summed(lambda p: -math.log2(p) if p else 0.0),
        ),
        (
            "You took the plain mean of the surprises: each has to be weighted by how "
            "often it comes.",
            lambda p: sum(-math.log2(x) for x in p if x) / len(p),
        ),
        (
            "What never happens adds nothing, but its logarithm has no value: leave it out.",
            summed(lambda p: -p * math.log2(p)),
        ),
    ],
)

CHECKS: list[Check] = [ENTROPY]
