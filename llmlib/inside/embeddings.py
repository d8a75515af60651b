"""Embeddings as points of a plane.

Shapes: N vectors, C channels.
"""

from typing import Any

import numpy as np
from jaxtyping import Float


def principal_plane(
    vectors: Float[Any, "N C"],
) -> tuple[Float[np.ndarray, "N 2"], tuple[float, float]]:
    """The vectors in the plane of their first two principal components (Pearson, 1901),
    and which share of the variance each component has. Needs N, C >= 2.
    """
    left, sizes, right = np.linalg.svd(vectors - vectors.mean(0), full_matrices=False)
    # A component's sign is arbitrary: its largest channel is made positive, so that the
    # picture is always the same.
    signs = np.sign(right[[0, 1], np.abs(right[:2]).argmax(1)])
    shares = sizes[:2] ** 2 / max(float((sizes**2).sum()), 1e-30)
    return left[:, :2] * sizes[:2] * signs, (float(shares[0]), float(shares[1]))
