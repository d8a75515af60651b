"""Checks of the chapter "Training"."""

import math

from llmlib.check.checking import Check
from llmlib.training.schedules import cosine

WARMUP, LAST = 10, 100


def right(step: int) -> float:
    """Ten steps of warm-up, then half a cosine down to zero at step 100."""
    return cosine(step, warmup_iters=WARMUP, max_iters=LAST)


def then(step: int, value: float) -> float:
    """The warm-up, and after it some value."""
    return right(step) if step < WARMUP else value


SCHEDULE = Check(
    "warm-up and cosine",
    right=right,
    cases=lambda: [(step,) for step in (0, 4, 9, 10, 33, 55, 80, 99)],
    mistakes=[
        (
            "The first step has the rate zero and does nothing: count from step + 1.",
            lambda s: s / WARMUP if s < WARMUP else right(s),
        ),
        (
            "The last step of the warm-up has all of the rate already: step 10 is the first "
            "that should, so step s has (s + 1) / 11.",
            lambda s: (s + 1) / WARMUP if s < WARMUP else right(s),
        ),
        (
            "There is no warm-up: the first steps are as long as the longest.",
            lambda s: right(s) if s >= WARMUP else 1.0,
        ),
        (
            "The cosine begins at step 0: when the warm-up ends it is already lower.",
            lambda s: then(s, (1 + math.cos(math.pi * s / LAST)) / 2),
        ),
        (
            "That is a whole wave: the rate goes up again. Half a cosine ends at pi.",
            lambda s: then(
                s, (1 + math.cos(2 * math.pi * (s - WARMUP) / (LAST - WARMUP))) / 2
            ),
        ),
        (
            "A plain cosine falls below zero: add one and halve.",
            lambda s: then(s, math.cos(math.pi * (s - WARMUP) / (LAST - WARMUP))),
        ),
        (
            "This falls in a straight line, not along a cosine.",
            lambda s: then(s, 1 - (s - WARMUP) / (LAST - WARMUP)),
        ),
    ],
)

CHECKS: list[Check] = [SCHEDULE]
