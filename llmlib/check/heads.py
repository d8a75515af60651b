"""Checks of the chapter "What the heads look at"."""

from llmlib.check.checking import Check
from llmlib.check.inputs import randn

SHARE = Check(
    "share of attention",
    right=lambda w, reader, sources: w[:, :, reader, sources].sum(-1),
    cases=lambda: [
        (randn(2, 4, 6, 6).softmax(-1), 4, [0, 2]),
        (randn(3, 2, 5, 5), 3, [1]),
    ],
    mistakes=[
        (
            "Rows and columns have changed places: the one that looks is the row.",
            lambda w, reader, sources: w[:, :, sources, reader].sum(-1),
        ),
        (
            "This is the mean: the shares of several sources add up.",
            lambda w, reader, sources: w[:, :, reader, sources].mean(-1),
        ),
        (
            "Each head has a share of its own: sum over the sources only.",
            lambda w, reader, sources: w[:, :, reader, sources].sum(),
        ),
        (
            "You took the largest of the sources: their shares add up.",
            lambda w, reader, sources: w[:, :, reader, sources].amax(-1),
        ),
        (
            "You looked at the row after the reader's.",
            lambda w, reader, sources: w[:, :, reader + 1, sources].sum(-1),
        ),
        (
            "You looked at the row before the reader's.",
            lambda w, reader, sources: w[:, :, reader - 1, sources].sum(-1),
        ),
    ],
)

CHECKS: list[Check] = [SHARE]
