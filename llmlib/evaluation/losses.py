"""Cross-entropy over a large vocabulary, fast on a CPU.

N: positions, V: vocabulary.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

NOTHING_SPECIAL = torch.iinfo(
    torch.int64
).min  # PyTorch would leave out targets of -100
ROWS = 256  # positions at a time: their logits fit into a processor's cache


def mean_cross_entropy(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"]
) -> Float[Tensor, ""]:
    """The mean of -ln softmax(logits)[target], in float32 (or the logits' float64).

    On a CPU the logits pass through the cache once and leave their gradient behind;
    PyTorch's own kernel, used elsewhere, goes through the main memory several times.
    Raises IndexError or RuntimeError for targets outside the vocabulary.
    """
    if logits.device.type == "cpu":
        return _CachedCrossEntropy.apply(logits, targets)
    return F.cross_entropy(widened(logits), targets, ignore_index=NOTHING_SPECIAL)


def widened(logits: Tensor) -> Tensor:
    """The logits in a precision in which exponentials can be summed."""
    return logits if logits.dtype == torch.float64 else logits.float()


class _CachedCrossEntropy(torch.autograd.Function):
    """The gradient of -ln softmax(x)[t] is softmax(x), less 1 at t: it is made while the
    softmax is still in the cache, and kept in the precision of the logits.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        total = widened(logits[:0]).sum()
        learns = ctx.needs_input_grad[0]
        gradient = torch.empty_like(logits) if learns else None
        for first in range(0, len(logits), ROWS):
            rows = slice(first, first + ROWS)
            log_p = widened(logits[rows]).log_softmax(-1)
            target = targets[rows, None]
            total -= log_p.gather(1, target).sum()
            if gradient is not None:
                minus_one = torch.full_like(target, -1, dtype=log_p.dtype)
                log_p.exp_().scatter_add_(1, target, minus_one)
                gradient[rows] = log_p.div_(len(logits))
        ctx.save_for_backward(gradient)
        return total / len(logits)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        scale = upstream[0].item()
        return gradient if scale == 1 else gradient * scale, None
