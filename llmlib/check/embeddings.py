"""Checks of the chapter "Embeddings and positions"."""

import torch
from torch import Tensor

from llmlib.check.checking import Check
from llmlib.check.inputs import randn

COSINES = Check(
    "cosine similarities",
    right=lambda a, b: (a @ b.T) / (lengths(a) * lengths(b).T),
    cases=lambda: [
        (randn(4, 6), randn(3, 6, seed=1)),
        (randn(3, 3, seed=2), 5 * randn(3, 3, seed=3)),
    ],
    mistakes=[
        (
            "These are dot products: divide by the lengths of both vectors.",
            lambda a, b: a @ b.T,
        ),
        (
            "You divided by one of the two lengths only: a longer vector in the other "
            "table still counts for more.",
            lambda a, b: (a @ b.T) / lengths(a),
        ),
        (
            "You divided by one of the two lengths only: a longer vector in the other "
            "table still counts for more.",
            lambda a, b: (a @ b.T) / lengths(b).T,
        ),
        (
            "The lengths are squared: a length is the square root of the sum of squares.",
            lambda a, b: (a @ b.T) / (lengths(a) * lengths(b).T) ** 2,
        ),
        (
            "The lengths are those of the columns: there should be one for each row, "
            "summed over the channels.",
            lambda a, b: (a / a.norm(dim=0)) @ (b / b.norm(dim=0)).T,
        ),
        (
            "These are distances, 1 minus the cosine: like vectors should have 1, not 0.",
            lambda a, b: 1 - (a @ b.T) / (lengths(a) * lengths(b).T),
        ),
        (
            "Rows and columns have changed places: row i should belong to vector i of "
            "the first table.",
            lambda a, b: (b @ a.T) / (lengths(b) * lengths(a).T),
        ),
    ],
)


def lengths(vectors: Tensor) -> Tensor:
    """The length of each row, as a column."""
    return vectors.norm(dim=1, keepdim=True)


def angles(positions: Tensor, exponents: Tensor, theta: float = 10_000.0) -> Tensor:
    """position / theta^exponent, a row for each position."""
    return positions[:, None] / theta**exponents


def pairs(channels: int) -> Tensor:
    """2i / C for each pair i of channels."""
    return torch.arange(0, channels, 2) / channels


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """x with channel i and channel i + D/2 turned together by column i of turns."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat(
        [
            first * turns.cos() - second * turns.sin(),
            second * turns.cos() + first * turns.sin(),
        ],
        dim=-1,
    )


def turned_neighbours(x: Tensor, turns: Tensor) -> Tensor:
    """The same for channels 2i and 2i + 1."""
    halves = turned(torch.cat([x[:, ::2], x[:, 1::2]], dim=-1), turns)
    return torch.stack(halves.chunk(2, dim=-1), dim=-1).flatten(1)


TURN = Check(
    "rotary positions",
    right=lambda x, t: turned(x, angles(t, pairs(x.shape[1]))),
    cases=lambda: [
        (randn(4, 8), torch.tensor([0, 1, 2, 3])),
        (randn(3, 6, seed=1), torch.tensor([17, 5, 90])),
    ],
    mistakes=[
        (
            "The vectors turn the wrong way round: look at the sign of the sines.",
            lambda x, t: turned(x, -angles(t, pairs(x.shape[1]))),
        ),
        (
            "You turned neighbouring channels together: here, channel i goes with "
            "channel i + D/2.",
            lambda x, t: turned_neighbours(x, angles(t, pairs(x.shape[1]))),
        ),
        (
            "You turned each vector by its row in x: `positions` says where it stands.",
            lambda x, t: turned(x, angles(torch.arange(len(x)), pairs(x.shape[1]))),
        ),
        (
            "All pairs turn at the same speed: pair i should be slower by "
            "10,000^(2i/D).",
            lambda x, t: turned(x, angles(t, 0 * pairs(x.shape[1]))),
        ),
        (
            "The exponent is i / D: it should be 2i / D for pair i.",
            lambda x, t: turned(x, angles(t, pairs(x.shape[1]) / 2)),
        ),
        (
            "The second half is made from a first half that was already turned: keep "
            "the old one until both are done.",
            lambda x, t: half_turned(x, angles(t, pairs(x.shape[1]))),
        ),
    ],
)


def half_turned(x: Tensor, turns: Tensor) -> Tensor:
    """As turned, but the second half is computed from the new first half."""
    first, second = x.chunk(2, dim=-1)
    first = first * turns.cos() - second * turns.sin()
    return torch.cat([first, second * turns.cos() + first * turns.sin()], dim=-1)


CHECKS: list[Check] = [COSINES, TURN]
