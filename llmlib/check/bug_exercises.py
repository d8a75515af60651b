"""Checks of the chapter "When training goes wrong"."""

from typing import Any

import torch
from torch import Tensor

from llmlib.check.checking import Check

Pair = tuple[Tensor, Tensor]


def windows(ids: Tensor, T: int) -> Pair:
    """The right ones."""
    n = (len(ids) - 1) // T
    return ids[: n * T].view(n, T), ids[1 : n * T + 1].view(n, T)


def shifted_by(ids: Tensor, T: int, shift: int) -> Pair:
    """Targets another number of tokens ahead."""
    n = (len(ids) - shift) // T
    return ids[: n * T].view(n, T), ids[shift : n * T + shift].view(n, T)


def rolled_rows(ids: Tensor, T: int) -> Pair:
    """The last target of each row is its first token."""
    inputs, _ = windows(ids, T)
    return inputs, inputs.roll(-1, 1)


def rolled_text(ids: Tensor, T: int) -> Pair:
    """The last token of the text is followed by its first."""
    n = len(ids) // T
    return ids[: n * T].view(n, T), ids.roll(-1)[: n * T].view(n, T)


def cut_apart(ids: Tensor, T: int) -> Pair:
    """No two windows share a token, not even one as target and the other as input."""
    pieces = ids.unfold(0, T + 1, T + 1)
    return pieces[:, :-1], pieces[:, 1:]


def overlapping(ids: Tensor, T: int) -> Pair:
    """A window begins at every token."""
    pieces = ids.unfold(0, T + 1, 1)
    return pieces[:, :-1], pieces[:, 1:]


WINDOWS = Check(
    "inputs and targets",
    right=windows,
    cases=lambda: [(torch.arange(n) * 7 % 11, 4) for n in (12, 13, 22)],
    mistakes=[
        (
            "Inputs and targets are the same: the model would learn to copy.",
            lambda ids, T: shifted_by(ids, T, 0),
        ),
        (
            "The targets are two tokens ahead.",
            lambda ids, T: shifted_by(ids, T, 2),
        ),
        (
            "The last target of each row is the row's own first token: you rolled it "
            "round.",
            rolled_rows,
        ),
        (
            "The last token of the text has nothing after it, and you gave it the first "
            "one: you rolled the text round.",
            rolled_text,
        ),
        (
            "One token in T + 1 is never predicted: the last target of a window is the "
            "first input of the next.",
            cut_apart,
        ),
        (
            "The windows overlap: each should begin where the one before ends.",
            overlapping,
        ),
    ],
)

MEAN_OF_PIECES = Check(
    "the loss of all pieces",
    right=lambda losses, counts: ((losses * counts).sum() / counts.sum()).item(),
    cases=lambda: [
        (torch.tensor([2.0, 5.0, 1.0]), torch.tensor([10, 2, 30])),
        (torch.tensor([3.0, 4.0]), torch.tensor([8, 8])),
    ],
    mistakes=[
        (
            "This is the mean of the means: a token in a short piece counts for more than "
            "one in a long piece.",
            lambda losses, counts: losses.mean(),
        ),
        (
            "You added the losses of the pieces: the more pieces, the larger the loss.",
            lambda losses, counts: losses.sum(),
        ),
        (
            "That is the surprise of all tokens together: divide by how many they are.",
            lambda losses, counts: (losses * counts).sum(),
        ),
        (
            "Divide by the number of tokens, not by that of the pieces.",
            lambda losses, counts: (losses * counts).sum() / len(losses),
        ),
        (
            "A piece with more tokens should weigh more, not less.",
            lambda losses, counts: (losses / counts).sum() / (1 / counts).sum(),
        ),
    ],
)


def first(where: Tensor) -> list[int] | None:
    """Column and row of the first entry that is true, row by row."""
    found = where.nonzero()
    return found[0].flip(0).tolist() if len(found) else None


def tables() -> list[tuple[Any, ...]]:
    """A causal model, one that sees its next token a little, and one that sees all."""
    seen = torch.ones(5, 5).triu() * 0.7
    little = seen.clone()
    little[3, 2] = 0.002
    little[4, 0] = 0.9  # the first by columns, not by rows
    return [(seen,), (little,), (torch.ones(4, 4),)]


FIRST_LEAK = Check(
    "who sees the future",
    right=lambda moved: first(moved.tril(-1) > 0),
    cases=tables,
    mistakes=[
        (
            "Every position may see itself: leave the diagonal out.",
            lambda moved: first(moved.tril() > 0),
        ),
        (
            "You found a position that sees what is behind it, as it should: a leak is a "
            "position that stands before the token.",
            lambda moved: first(moved.triu(1) > 0),
        ),
        (
            "The position comes first, then the token: [position, token].",
            lambda moved: (first(moved.tril(-1) > 0) or [])[::-1] or None,
        ),
        (
            "You overlooked a small one: what may not be seen moves nothing at all.",
            lambda moved: first(moved.tril(-1) > 0.1),
        ),
        (
            "You say whether there is a leak, not where.",
            lambda moved: bool((moved.tril(-1) > 0).any()),
        ),
    ],
)

CHECKS: list[Check] = [WINDOWS, MEAN_OF_PIECES, FIRST_LEAK]
