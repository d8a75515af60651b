"""Checks of the chapter "Choosing the next token"."""

import torch
from torch import Tensor

from llmlib.check.checking import Check
from llmlib.generation.sampling import keep_min_p, keep_top_p, soften

P = (0.05, 0.4, 0.1, 0.25, 0.2)
Q = (0.7, 0.1, 0.1, 0.06, 0.04)
R = (0.125, 0.5, 0.25, 0.125)  # the third is exactly half the largest


def normalised(kept: Tensor) -> Tensor:
    """Made to sum to one."""
    return kept / kept.sum()


def below(p: Tensor, top_p: float) -> Tensor:
    """The likeliest that do not yet reach top_p."""
    largest, ids = p.sort(descending=True, stable=True)
    inside = largest.cumsum(0) < top_p
    return torch.zeros_like(p).scatter(0, ids[inside], largest[inside])


def in_order(p: Tensor, top_p: float) -> Tensor:
    """The first in the order of ids, likely or not, that reach top_p."""
    return p * (p.cumsum(0) - p < top_p)


TEMPERATURE = Check(
    "temperature",
    right=soften,
    cases=lambda: [
        (torch.tensor([2.0, 1.0, -1.0]), 0.5),
        (torch.tensor([0.0, 3.0, 1.0]), 2.0),
        (torch.tensor([0.0, 3.0, 1.0]), 0),
    ],
    mistakes=[
        (
            "You multiplied by the temperature: a high one should flatten, so divide.",
            lambda z, t: (z * t).softmax(0),
        ),
        (
            "The temperature has no effect: a softmax of probabilities or of logits "
            "that were never divided.",
            lambda z, t: z.softmax(0),
        ),
        (
            "You divided the probabilities, and dividing all by one number changes "
            "nothing once they sum to one. Divide the logits.",
            lambda z, t: z.softmax(0) / t if t else soften(z, 0),
        ),
        (
            "At temperature 0 you divide by zero: there the largest logit has it all.",
            lambda z, t: (z / torch.tensor(float(t))).softmax(0),
        ),
    ],
)

MIN_P = Check(
    "min-p",
    right=lambda p, m: normalised(keep_min_p(p, m)),
    cases=lambda: [
        (torch.tensor(P), 0.3),
        (torch.tensor(Q), 0.1),
        (torch.tensor(R), 0.5),
    ],
    mistakes=[
        ("What is left does not sum to one.", keep_min_p),
        (
            "A token exactly at the border stays: only those below it go.",
            lambda p, m: normalised(p * (p > m * p.max())),
        ),
        (
            "You cut at min_p itself: it is a share of the likeliest token.",
            lambda p, m: normalised(p * (p >= m)),
        ),
        (
            "You kept what should go and dropped the rest.",
            lambda p, m: normalised(p * (p < m * p.max())),
        ),
        (
            "You set the others to zero before a softmax: these are probabilities "
            "already, so divide by the sum.",
            lambda p, m: keep_min_p(p, m).softmax(0),
        ),
    ],
)

TOP_P = Check(
    "top-p",
    right=lambda p, top: normalised(keep_top_p(p, top)),
    cases=lambda: [
        (torch.tensor(P), 0.6),
        (torch.tensor(Q), 0.5),
        (torch.tensor(R), 0.5),  # one token has it all
        (torch.tensor(R), 0.8),  # two alike, and one of them is enough
    ],
    mistakes=[
        ("What is left does not sum to one.", keep_top_p),
        (
            "The token that crosses the border is missing: without it the sum does not "
            "reach top_p.",
            lambda p, top: normalised(below(p, top)),
        ),
        (
            "You went through the tokens in the order of their ids: begin with the "
            "likeliest.",
            lambda p, top: normalised(in_order(p, top)),
        ),
        (
            "You kept tokens whose own probability reaches top_p; it is their sum that "
            "has to reach it.",
            lambda p, top: normalised(p * (p >= top)),
        ),
        (
            "The result is in order of probability: each has to go back to its place.",
            lambda p, top: normalised(keep_top_p(p, top)).sort(descending=True).values,
        ),
    ],
)

CHECKS: list[Check] = [TEMPERATURE, MIN_P, TOP_P]
