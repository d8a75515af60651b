"""Checks of the chapter "The KV cache"."""

from llmlib.check.checking import Check

SIZE = Check(
    "numbers in the cache",
    right=lambda L, K, D, S: 2 * L * K * D * S,
    cases=lambda: [(4, 2, 16, 100), (12, 12, 64, 1024)],
    mistakes=[
        (
            "Keys and values are both kept: twice as many.",
            lambda L, K, D, S: L * K * D * S,
        ),
        (
            "Every block has a cache of its own.",
            lambda L, K, D, S: 2 * K * D * S,
        ),
        (
            "Every head of keys and values counts.",
            lambda L, K, D, S: 2 * L * D * S,
        ),
        (
            "The queries are not kept: each is asked once.",
            lambda L, K, D, S: 3 * L * K * D * S,
        ),
        (
            "The table of weights is not kept: it is S keys and S values for each head, "
            "not S times S.",
            lambda L, K, D, S: 2 * L * K * D * S * S,
        ),
    ],
)

CHECKS: list[Check] = [SIZE]
