"""The plane of the first two principal components, against torch's."""

import numpy as np
import pytest
import torch

from llmlib.inside.embeddings import principal_plane


def test_the_plane_is_that_of_torch():
    vectors = np.random.default_rng(0).normal(size=(9, 5)).astype("float32")
    plane, shares = principal_plane(vectors)
    _, sizes, right = torch.pca_lowrank(torch.tensor(vectors), q=5, niter=20)
    expected = torch.tensor(vectors - vectors.mean(0)) @ right[:, :2]
    assert np.allclose(np.abs(plane), expected.abs().numpy(), atol=1e-4)
    assert shares[0] == pytest.approx(float(sizes[0] ** 2 / (sizes**2).sum()), abs=1e-4)


def test_the_largest_channel_of_each_component_is_positive():
    for seed in range(4):
        vectors = np.random.default_rng(seed).normal(size=(9, 5))
        plane, _ = principal_plane(vectors)
        axes = plane.T @ (vectors - vectors.mean(0))
        for axis in axes:
            assert axis.max() == np.abs(axis).max()
