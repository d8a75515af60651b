"""Checks of the chapter "The speedrun"."""

import torch
from torch import Tensor

from llmlib.check.checking import Check
from llmlib.check.inputs import randn

ROUNDS = 8


def right(G: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Divided by its length, then 1.5 X - 0.5 X Xᵀ X eight times."""
    return cubic(G / G.norm(), rounds)


def cubic(X: Tensor, rounds: int = ROUNDS) -> Tensor:
    """The cubic whose fixed point is 1, over and over."""
    for _ in range(rounds):
        X = 1.5 * X - 0.5 * X @ X.mT @ X
    return X


def elementwise(G: Tensor) -> Tensor:
    """The cubic of every number, not of the singular values."""
    X = G / G.norm()
    for _ in range(ROUNDS):
        X = 1.5 * X - 0.5 * X**3
    return X


def slow() -> Tensor:
    """A matrix whose weak directions are still on their way after eight rounds."""
    strong = randn(4, 1, seed=3) @ randn(1, 5, seed=4)
    return strong + 0.02 * randn(4, 5, seed=5)


ORTHOGONALIZE = Check(
    "straighten a matrix",
    right=right,
    cases=lambda: [
        (randn(3, 5),),
        (20 * randn(4, 4, seed=1),),
        (randn(2, 6, seed=2),),
        (slow(),),
    ],
    mistakes=[
        (
            "The matrix is not divided by its length first: singular values above √3 run "
            "away.",
            cubic,
        ),
        (
            "You divided by the largest number: the length, √ of the sum of squares, is "
            "what no singular value can exceed.",
            lambda G: cubic(G / G.abs().max()),
        ),
        (
            "Each row is divided by its own length: that turns the matrix into another. "
            "Divide all of it by one number.",
            lambda G: cubic(G / G.norm(dim=1, keepdim=True)),
        ),
        (
            "X³ is taken of every number by itself: the third power of the singular "
            "values is X Xᵀ X.",
            elementwise,
        ),
        (
            "One round is not enough: small values grow by half in each. Do eight.",
            lambda G: right(G, rounds=1),
        ),
        ("That is one round less than eight.", lambda G: right(G, ROUNDS - 1)),
        ("That is one round more than eight.", lambda G: right(G, ROUNDS + 1)),
        (
            "What comes back is the transpose.",
            lambda G: right(G).mT,
        ),
    ],
)


def smear(x: Tensor, weight: Tensor) -> Tensor:
    """Each token and, weighted, those just before it."""
    out = x.clone()
    for j in range(len(weight)):
        out[:, j + 1 :] += weight[j] * x[:, : -j - 1]
    return out


def rolled(x: Tensor, weight: Tensor) -> Tensor:
    """Round the corner, so that the first tokens are handed the last ones."""
    out = x.clone()
    for j in range(len(weight)):
        out += weight[j] * x.roll(j + 1, 1)
    return out


def cumulative(x: Tensor, weight: Tensor) -> Tensor:
    """Adds to x itself, so that later rounds smear what is smeared already."""
    x = x.clone()
    for j in range(len(weight)):
        x[:, j + 1 :] += weight[j] * x[:, : -j - 1].clone()
    return x


def forward_in_time(x: Tensor, weight: Tensor) -> Tensor:
    """Takes in the tokens after each."""
    return smear(x.flip(1), weight).flip(1)


SMEAR = Check(
    "smear",
    right=smear,
    cases=lambda: [
        (randn(2, 6, 4), randn(3, 4, seed=1)),
        (randn(1, 5, 3, seed=2), randn(2, 3, seed=3)),
    ],
    mistakes=[
        (
            "Each token takes in those after it: that is the future.",
            forward_in_time,
        ),
        (
            "The first tokens are handed the last ones of their row: you rolled it "
            "round. Before the first there is nothing.",
            rolled,
        ),
        (
            "weight[0] belongs to the token just before; yours is for the one farthest "
            "back.",
            lambda x, weight: smear(x, weight.flip(0)),
        ),
        (
            "Off by one: weight[0] falls on the token itself.",
            lambda x, weight: (
                smear(x, torch.cat([weight[1:], 0 * weight[:1]])) + weight[0] * x
            ),
        ),
        (
            "What you add is smeared already: all tokens before are to be those of the "
            "x that came in.",
            cumulative,
        ),
        (
            "The token itself is missing: x is added to, not replaced.",
            lambda x, weight: smear(x, weight) - x,
        ),
    ],
)

CHECKS: list[Check] = [ORTHOGONALIZE, SMEAR]
