"""Checks of the chapter "One attention head"."""

from llmlib.check.checking import Check
from llmlib.check.inputs import randn

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
    ],
)

CHECKS: list[Check] = [SCORES]
