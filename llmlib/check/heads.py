"""Checks of the chapter "What the heads look at"."""

from llmlib.check.checking import Check
from llmlib.check.inputs import randn

SHARE = Check(
    "share of attention",
    right=lambda w, reader, sources: w[reader, sources].sum(),
    cases=lambda: [(randn(6, 6).tril().softmax(-1), 4, [0, 2]), (randn(5, 5), 3, [1])],
    mistakes=[
        (
            "Rows and columns have changed places: the one that looks is the row.",
            lambda w, reader, sources: w[sources, reader].sum(),
        ),
        (
            "This is the mean: the shares of several sources add up.",
            lambda w, reader, sources: w[reader, sources].mean(),
        ),
        (
            "You took the largest of the sources: their shares add up.",
            lambda w, reader, sources: w[reader, sources].max(),
        ),
        (
            "You looked at the row after the reader's.",
            lambda w, reader, sources: w[reader + 1, sources].sum(),
        ),
        (
            "You looked at the row before the reader's.",
            lambda w, reader, sources: w[reader - 1, sources].sum(),
        ),
    ],
)

CHECKS: list[Check] = [SHARE]
