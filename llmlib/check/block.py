"""Checks of the chapter "The block"."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from llmlib.check.checking import Check
from llmlib.check.inputs import randn


def standard(x: Tensor, correction: int = 0, eps: float = 1e-5) -> Tensor:
    """Rows with mean 0 and variance 1."""
    variance, mean = torch.var_mean(x, -1, keepdim=True, correction=correction)
    return (x - mean) / (variance + eps).sqrt()


def normed_batch(x: Tensor, gain: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """What comes of taking mean and variance over the first dimension."""
    variance, mean = torch.var_mean(x, 0, keepdim=True, correction=0)
    return (x - mean) / (variance + eps).sqrt() * gain + bias


def whole(x: Tensor, gain: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """What comes of taking mean and variance over everything at once."""
    return (x - x.mean()) / (x.var(correction=0) + eps).sqrt() * gain + bias


def rows() -> list[tuple[Any, ...]]:
    """Rows, gains and biases; those of the second case are so small that ε counts."""
    gain, bias = 1 + randn(8, seed=1) / 2, randn(8, seed=2)
    return [(3 * randn(2, 5, 8) + 1, gain, bias), (randn(5, 8) / 500, gain, bias)]


LAYER_NORM = Check(
    "layer norm",
    right=lambda x, gain, bias, eps=1e-5: standard(x, eps=eps) * gain + bias,
    cases=rows,
    mistakes=[
        (
            "Your variance divides by C - 1, as for a sample; here the mean of the squared "
            "distances is wanted, which divides by C.",
            lambda x, gain, bias: standard(x, correction=1) * gain + bias,
        ),
        (
            "Mean and variance are taken over the first dimension: each token should be "
            "normed by itself, over its channels.",
            normed_batch,
        ),
        (
            "Mean and variance are taken over all numbers at once: each token has its own.",
            whole,
        ),
        (
            "The rows are standard, but the gain is missing.",
            lambda x, gain, bias: standard(x) + bias,
        ),
        (
            "The rows are standard, but the bias is missing.",
            lambda x, gain, bias: standard(x) * gain,
        ),
        (
            "The rows are standard, but gain and bias are missing.",
            lambda x, gain, bias: standard(x),
        ),
        (
            "Gain and bias are in the wrong order: scale first, then shift.",
            lambda x, gain, bias: (standard(x) + bias) * gain,
        ),
        (
            "Epsilon stands outside the root: rows that are nearly constant show it.",
            lambda x, gain, bias: (
                (x - x.mean(-1, keepdim=True))
                / (x.std(-1, keepdim=True, correction=0) + 1e-5)
                * gain
                + bias
            ),
        ),
        (
            "You divided by the variance: it should be its square root.",
            lambda x, gain, bias: (
                (x - x.mean(-1, keepdim=True))
                / (x.var(-1, keepdim=True, correction=0) + 1e-5)
                * gain
                + bias
            ),
        ),
        (
            "This is RMSNorm: LayerNorm subtracts the mean first.",
            lambda x, gain, bias: (
                x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain + bias
            ),
        ),
        (
            "The mean is not subtracted in the numerator.",
            lambda x, gain, bias: (
                x / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt() * gain + bias
            ),
        ),
    ],
)

Part = Callable[[Tensor], Tensor]


def block(x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part) -> Tensor:
    """The right one."""
    x = x + attend(norm1(x))
    return x + feed(norm2(x))


def post_norm(x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part) -> Tensor:
    """The norms stand after the sums."""
    x = norm1(x + attend(x))
    return norm2(x + feed(x))


def after_parts(
    x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part
) -> Tensor:
    """The norms stand on the branches, but after the parts."""
    x = x + norm1(attend(x))
    return x + norm2(feed(x))


def from_normed(
    x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part
) -> Tensor:
    """The sums begin with what the norms gave."""
    x = norm1(x)
    x = norm2(x + attend(x))
    return x + feed(x)


def adds_to_old(
    x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part
) -> Tensor:
    """The second sum forgets what attention brought."""
    gathered = x + attend(norm1(x))
    return x + feed(norm2(gathered))


def parallel(x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part) -> Tensor:
    """Both parts read the same rows."""
    return x + attend(norm1(x)) + feed(norm2(x))


def without_sum(
    x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part
) -> Tensor:
    """Each part replaces what it reads."""
    return feed(norm2(attend(norm1(x))))


def one_norm(x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part) -> Tensor:
    """The first norm serves both parts."""
    x = x + attend(norm1(x))
    return x + feed(norm1(x))


def swapped(x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part) -> Tensor:
    """Each part has the norm of the other."""
    return block(x, norm2, attend, norm1, feed)


def bare_feed(x: Tensor, norm1: Part, attend: Part, norm2: Part, feed: Part) -> Tensor:
    """The second part reads the stream as it is."""
    x = x + attend(norm1(x))
    return x + feed(x)


def parts() -> list[tuple[Any, ...]]:
    """Rows, and four functions that can be told apart."""
    mix, widen = randn(8, 8, seed=1), randn(8, 8, seed=2)
    return [
        (
            2 * randn(2, 5, 8, seed=seed) + 1,
            lambda x: 1.5 * standard(x),
            lambda x: (x @ mix).cumsum(dim=-2),
            lambda x: 0.5 * standard(x),
            lambda x: (x @ widen).relu(),
        )
        for seed in (3, 4)
    ]


BLOCK = Check(
    "pre-norm block",
    right=block,
    cases=parts,
    mistakes=[
        (
            "This is post-norm: the norms should stand before the parts, on what they read, "
            "and not on the sums.",
            post_norm,
        ),
        (
            "The norms are on the branches, but after the parts: what a part *reads* should "
            "be normed.",
            after_parts,
        ),
        (
            "You add to the normed rows: the sum should begin with the stream as it was, "
            "and the norm be for the part alone.",
            from_normed,
        ),
        (
            "Your second sum begins with the first input, so what attention gathered is "
            "lost from the stream.",
            adds_to_old,
        ),
        (
            "Both parts read the same rows: the feed-forward layer should see what attention "
            "has added.",
            parallel,
        ),
        (
            "Nothing is added: each part replaces what it read.",
            without_sum,
        ),
        (
            "You used the first norm twice: the second has learnt numbers of its own.",
            one_norm,
        ),
        (
            "The norms have changed places: norm1 belongs to attention, norm2 to the "
            "feed-forward layer.",
            swapped,
        ),
        (
            "The feed-forward layer reads the stream without a norm.",
            bare_feed,
        ),
    ],
)

CHECKS: list[Check] = [LAYER_NORM, BLOCK]
