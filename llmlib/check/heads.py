"""Checks of the chapter "What the heads look at"."""

from torch import Tensor

from llmlib.check.checking import Check
from llmlib.check.inputs import randn


def excess(weights: Tensor, reader: int, sources: list[int]) -> Tensor:
    """The share of the sources less what an even glance would give them."""
    return weights[:, :, reader, sources].sum(-1) - len(sources) / (reader + 1)


SHARE = Check(
    "share of attention",
    right=excess,
    cases=lambda: [
        (randn(2, 4, 6, 6).softmax(-1), 4, [0, 2]),
        (randn(3, 2, 5, 5), 3, [1]),
    ],
    mistakes=[
        (
            "You forgot to take off what an even glance would give to the sources.",
            lambda w, reader, sources: w[:, :, reader, sources].sum(-1),
        ),
        (
            "An even glance falls on the reader as well: it reads reader + 1 tokens.",
            lambda w, reader, sources: (
                w[:, :, reader, sources].sum(-1) - len(sources) / reader
            ),
        ),
        (
            "An even glance goes no further than the reader: what comes after it is hidden.",
            lambda w, reader, sources: (
                w[:, :, reader, sources].sum(-1) - len(sources) / w.shape[-1]
            ),
        ),
        (
            "This is how many times as much: take the difference.",
            lambda w, reader, sources: (
                w[:, :, reader, sources].sum(-1) * (reader + 1) / len(sources)
            ),
        ),
        (
            "Rows and columns have changed places: the one that looks is the row.",
            lambda w, reader, sources: excess(w.mT, reader, sources),
        ),
        (
            "This is the mean: the shares of several sources add up.",
            lambda w, reader, sources: (
                w[:, :, reader, sources].mean(-1) - len(sources) / (reader + 1)
            ),
        ),
        (
            "Each head has a share of its own: sum over the sources only.",
            lambda w, reader, sources: excess(w, reader, sources).sum(),
        ),
        (
            "You took the largest of the sources: their shares add up.",
            lambda w, reader, sources: (
                w[:, :, reader, sources].amax(-1) - len(sources) / (reader + 1)
            ),
        ),
        (
            "You looked at the row after the reader's.",
            lambda w, reader, sources: excess(w, reader + 1, sources),
        ),
        (
            "You looked at the row before the reader's.",
            lambda w, reader, sources: excess(w, reader - 1, sources),
        ),
    ],
)

CHECKS: list[Check] = [SHARE]
