"""Checks of the chapter "The KV cache"."""

from llmlib.check.checking import Check

SIZE = Check(
    "numbers in the cache",
    right=lambda L, H, D, T: 2 * L * H * D * T,
    cases=lambda: [(4, 2, 16, 100), (12, 12, 64, 1024)],
    mistakes=[
        (
            "Keys and values are both kept: twice as many.",
            lambda L, H, D, T: L * H * D * T,
        ),
        (
            "Every block has a cache of its own.",
            lambda L, H, D, T: 2 * H * D * T,
        ),
        (
            "Every head of keys and values counts.",
            lambda L, H, D, T: 2 * L * D * T,
        ),
        (
            "The queries are not kept: each is asked once.",
            lambda L, H, D, T: 3 * L * H * D * T,
        ),
        (
            "The table of weights is not kept: it is T keys and T values for each head, "
            "not T times T.",
            lambda L, H, D, T: 2 * L * H * D * T * T,
        ),
    ],
)

CHECKS: list[Check] = [SIZE]
