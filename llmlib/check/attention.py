"""Checks of the chapter "One attention head"."""

import torch
from torch import Tensor

from llmlib.check.checking import Check
from llmlib.check.inputs import randn


def future(scores: Tensor, diagonal: int = 1) -> Tensor:
    """Which keys stand after their queries."""
    return torch.ones_like(scores).triu(diagonal).bool()


MEANS = Check(
    "running means",
    right=lambda x: x.cumsum(0) / torch.arange(1, len(x) + 1)[:, None],
    cases=lambda: [(randn(6, 3),), (randn(1, 4),)],
    mistakes=[
        (
            "Each row is the mean of all rows: row t must not see what comes after it.",
            lambda x: x.mean(0).expand_as(x),
        ),
        (
            "These are sums: divide row t by how many rows it has added up.",
            lambda x: x.cumsum(0),
        ),
        (
            "You divided every row by T, but row t is the mean of t + 1 rows.",
            lambda x: x.cumsum(0) / len(x),
        ),
        (
            "You divided row t by t: counting from 0 there are t + 1 rows up to it.",
            lambda x: x.cumsum(0) / torch.arange(len(x))[:, None],
        ),
        (
            "Row t has to be part of its own mean.",
            lambda x: (x.cumsum(0) - x) / torch.arange(1, len(x) + 1)[:, None],
        ),
        (
            "You summed along the channels: the rows are the tokens.",
            lambda x: x.cumsum(1) / torch.arange(1, x.shape[1] + 1),
        ),
    ],
)

SCORES = Check(
    "attention scores",
    right=lambda q, k: q @ k.mT / q.shape[-1] ** 0.5,
    cases=lambda: [(randn(2, 5, 8), randn(2, 5, 8, seed=1))],
    mistakes=[
        (
            "The scores are not scaled: divide by the square root of the head size.",
            lambda q, k: q @ k.mT,
        ),
        (
            "You divided by the head size: it should be its square root.",
            lambda q, k: q @ k.mT / q.shape[-1],
        ),
        (
            "You scaled by the number of tokens, not by the head size.",
            lambda q, k: q @ k.mT / q.shape[-2] ** 0.5,
        ),
        (
            "Queries and keys have changed places: row i should hold what query i asks.",
            lambda q, k: k @ q.mT / q.shape[-1] ** 0.5,
        ),
        (
            "You multiplied by the root of the head size instead of dividing.",
            lambda q, k: q @ k.mT * q.shape[-1] ** 0.5,
        ),
    ],
)

WEIGHTS = Check(
    "causal weights",
    right=lambda s: s.masked_fill(future(s), -torch.inf).softmax(-1),
    cases=lambda: [(randn(5, 5),), (10 * randn(3, 3, seed=1),)],
    mistakes=[
        ("The future is not masked.", lambda s: s.softmax(-1)),
        (
            "The future was set to zero after the softmax: rows no longer sum to one.",
            lambda s: s.softmax(-1).masked_fill(future(s), 0.0),
        ),
        (
            "A score of zero is not hidden: its exponential is one. "
            "Use minus infinity.",
            lambda s: s.masked_fill(future(s), 0.0).softmax(-1),
        ),
        (
            "The softmax runs down the columns: the weights of one query are a row.",
            lambda s: s.masked_fill(future(s), -torch.inf).softmax(-2),
        ),
        (
            "Each token should see itself: the mask begins above the diagonal.",
            lambda s: s.masked_fill(future(s, 0), -torch.inf).softmax(-1),
        ),
        (
            "You hid the past and left the future: the mask is on the wrong side.",
            lambda s: s.masked_fill(future(s).T, -torch.inf).softmax(-1),
        ),
    ],
)

CHECKS: list[Check] = [MEANS, SCORES, WEIGHTS]
