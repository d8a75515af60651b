"""Checks of the chapter "Training"."""

import math

from llmlib.check.checking import Check
from llmlib.training.schedules import trapezoid

WARMUP, FALLS, LAST = 10, 40, 100


def right(step: int) -> float:
    """Ten steps of warm-up, level up to step 40, then a straight line to zero at step
    100.
    """
    cooldown = (LAST - FALLS) / LAST
    return trapezoid(step, warmup_iters=WARMUP, max_iters=LAST, cooldown=cooldown)


def then(step: int, value: float) -> float:
    """The warm-up, and after it some value, but never above one."""
    return right(step) if step < WARMUP else min(1.0, value)


SCHEDULE = Check(
    "trapezoid",
    right=right,
    cases=lambda: [(step,) for step in (0, 4, 9, 10, 33, 40, 41, 55, 70, 80, 99)],
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
            "The rate never falls.",
            lambda s: then(s, 1.0),
        ),
        (
            "It falls from the end of the warm-up on: it should be level up to step 40.",
            lambda s: then(s, (LAST - s) / (LAST - WARMUP)),
        ),
        (
            "It is level up to step 60 and falls in 40 steps: the other way round.",
            lambda s: then(s, (LAST - s) / FALLS),
        ),
        (
            "The last step that is made, 99, has the rate zero: step 100 should be the first.",
            lambda s: then(s, (LAST - 1 - s) / (LAST - 1 - FALLS)),
        ),
        (
            "This falls along a cosine, not in a straight line.",
            lambda s: then(
                s,
                (1 + math.cos(math.pi * max(0, s - FALLS) / (LAST - FALLS))) / 2,
            ),
        ),
    ],
)

CHECKS: list[Check] = [SCHEDULE]
