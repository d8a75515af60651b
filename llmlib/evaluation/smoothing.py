"""Modified Kneser-Ney smoothing: what is taken from counts, and what that leaves.

N-grams are grouped by context: `starts` says where each context's begin, and ends with
how many there are.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Estimate(NamedTuple):
    """p(w | h) = share(h w) + left(h) p(w | h')."""

    share: Float[np.ndarray, " n_grams"]
    left: Float[np.ndarray, " n_left"]  # last, 1 for a context that never occurred


def smoothed(
    counts: Int[np.ndarray, " n_grams"], starts: Int[np.ndarray, " n_starts"]
) -> Estimate:
    """The share of each n-gram and what is left of each context, by the formula in
    NGram.
    """
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    totals = _sums(counts, starts)
    left = np.where(totals > 0, _sums(discounts, starts) / np.maximum(totals, 1), 1.0)
    share = (counts - discounts) / np.repeat(np.maximum(totals, 1), np.diff(starts))
    return Estimate(share.astype(np.float32), np.append(left, 1).astype(np.float32))


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The sum of the values of each context."""
    return np.diff(np.append(0, np.cumsum(values))[starts])


def _discounts(counts: Int[np.ndarray, " n_grams"]) -> Float[np.ndarray, "4"]:
    """What is taken from counts of 0, 1, 2 and >= 3, from how many n-grams have counts
    1 to 4 (n1 to n4).

    D_i = i - (i + 1) Y n_{i+1} / n_i with Y = n1 / (n1 + 2 n2) (Chen and Goodman 1999,
    equation 26). Where the counts are too few or too odd for that (a discount must lie
    between 0 and its count), Y itself serves for all (Ney et al. 1994), or 0.75.
    """
    n1, n2, n3, n4 = (np.count_nonzero(counts == i) for i in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2) if n1 and n2 else 0.75
    if n1 and n2 and n3:
        modified = np.array(
            [0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        )
        if np.all(modified[1:] > 0):
            return modified
    return np.array([0, y, y, y])
