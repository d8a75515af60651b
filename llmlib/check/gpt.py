"""Checks of the chapter "The GPT"."""

from llmlib.check.checking import Check


def counted(
    V: int,
    T: int,
    C: int,
    L: int,
    *,
    heads: int = 1,
    positions: int = 1,
    attention: int = 4,
    feed: int = 8,
    norms: int = 1,
) -> int:
    """Parameters of a GPT-2 in small, its parts taken so many times."""
    block = (attention + feed) * C * C + norms * 2 * C
    return heads * V * C + positions * T * C + L * block + norms * C


PARAMETERS = Check(
    "count parameters",
    right=counted,
    cases=lambda: [(512, 128, 128, 4), (1000, 64, 32, 2)],
    mistakes=[
        (
            "The head counts twice: it is the embedding's own table (they are tied).",
            lambda V, T, C, L: counted(V, T, C, L, heads=2),
        ),
        (
            "The table of positions is missing: T rows.",
            lambda V, T, C, L: counted(V, T, C, L, positions=0),
        ),
        (
            "Attention has four matrices: the one that mixes the results is missing.",
            lambda V, T, C, L: counted(V, T, C, L, attention=3),
        ),
        (
            "The feed-forward layer has two matrices, one there and one back.",
            lambda V, T, C, L: counted(V, T, C, L, feed=4),
        ),
        (
            "The norms have learnt numbers, too: C each, two a block and one at the end.",
            lambda V, T, C, L: counted(V, T, C, L, norms=0),
        ),
        (
            "C too few: one norm stands after the last block.",
            lambda V, T, C, L: counted(V, T, C, L) - C,
        ),
        (
            "You counted one block: there are L.",
            lambda V, T, C, L: counted(V, T, C, 1),
        ),
    ],
)

CHECKS: list[Check] = [PARAMETERS]
