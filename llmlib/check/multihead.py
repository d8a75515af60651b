"""Checks of the chapter "Many heads"."""

import torch
from torch import Tensor

from llmlib.check.checking import Check
from llmlib.check.inputs import randn

SPLIT = Check(
    "split heads",
    right=lambda x, n_head: x.unflatten(2, (n_head, -1)).transpose(1, 2),
    cases=lambda: [(randn(2, 5, 12), 3), (randn(1, 4, 16, seed=1), 4)],
    mistakes=[
        (
            "The shape is right, but each head holds pieces of other tokens: cut the "
            "channels of every token first, and only then let heads and tokens change "
            "places.",
            lambda x, n_head: x.reshape(len(x), n_head, x.shape[1], -1),
        ),
        (
            "The channels are cut, but the tokens still stand before the heads: the shape "
            "should be B, H, T, D.",
            lambda x, n_head: x.unflatten(2, (n_head, -1)),
        ),
        (
            "The number of heads and the size of a head have changed places.",
            lambda x, n_head: x.unflatten(2, (-1, n_head)).transpose(1, 2),
        ),
        (
            "A head should hold channels that stand side by side; yours takes every H-th.",
            lambda x, n_head: x.unflatten(2, (-1, n_head)).permute(0, 3, 1, 2),
        ),
        (
            "You transposed the last two: it is the heads and the tokens that should "
            "change places.",
            lambda x, n_head: x.unflatten(2, (n_head, -1)).transpose(2, 3),
        ),
    ],
)

JOIN = Check(
    "join heads",
    right=lambda gathered: gathered.transpose(1, 2).flatten(2),
    cases=lambda: [(randn(2, 3, 5, 4),), (randn(1, 4, 4, 4, seed=1),)],
    mistakes=[
        (
            "The shape is right, but tokens are mixed: before the channels are joined, the "
            "heads must go back behind the tokens.",
            lambda gathered: gathered.reshape(len(gathered), gathered.shape[2], -1),
        ),
        (
            "The heads are back behind the tokens, but still apart: H and D should become "
            "one dimension of C channels.",
            lambda gathered: gathered.transpose(1, 2),
        ),
        (
            "The channels of the heads are shuffled: all of head 0 comes first, then all "
            "of head 1.",
            lambda gathered: gathered.permute(0, 2, 3, 1).flatten(2),
        ),
        (
            "You added the heads: they should stand side by side. (The output projection "
            "adds, each through a matrix of its own.)",
            lambda gathered: gathered.sum(1),
        ),
        (
            "You took the mean of the heads: they should stand side by side.",
            lambda gathered: gathered.mean(1),
        ),
    ],
)


def window_cases() -> list[tuple[Tensor, Tensor, int]]:
    """Windows over eight positions, and over the last four of them."""
    places = torch.arange(8)
    return [
        (places[:, None], places[None, :], 3),
        (places[4:, None], places[None, :], 1),
    ]


WINDOW = Check(
    "sliding window",
    right=lambda query, key, window: (key <= query) & (query - key < window),
    cases=window_cases,
    mistakes=[
        (
            "Off by one: a window of w is the position itself and the w - 1 before it; "
            "yours sees one more.",
            lambda query, key, window: (key <= query) & (query - key <= window),
        ),
        (
            "It looks ahead: the window ends where it should, but nothing hides the "
            "positions after the query.",
            lambda query, key, window: query - key < window,
        ),
        (
            "The window lies on both sides of the query: in a model that writes, what "
            "comes after it must stay hidden.",
            lambda query, key, window: (query - key).abs() < window,
        ),
        (
            "A position does not see itself: it should, as the first of its window.",
            lambda query, key, window: (key < query) & (query - key < window),
        ),
        (
            "It is the wrong way round: True should stand where a query may look, and "
            "yours stands where it may not.",
            lambda query, key, window: (key > query) | (query - key >= window),
        ),
        (
            "There is a causal mask and no window: keys too far back should be hidden too.",
            lambda query, key, window: key <= query,
        ),
    ],
)

CHECKS: list[Check] = [SPLIT, JOIN, WINDOW]
