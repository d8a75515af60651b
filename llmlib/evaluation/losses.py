"""Cross-entropy over a large vocabulary, fast on a CPU.

N: positions, V: vocabulary.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

# PyTorch would leave out targets of -100.
NO_IGNORE_INDEX = torch.iinfo(torch.int64).min
ROWS = 256  # positions at a time: their logits fit into a processor's cache


def mean_cross_entropy(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"]
) -> Float[Tensor, ""]:
    """The mean of -ln softmax(logits)[target], in float32 (or the logits' float64).

    Where it is learnt from on a CPU, the logits pass through the cache once and leave
    their gradient behind; PyTorch's own kernel, used elsewhere, goes through the main
    memory several times.
    Raises IndexError or RuntimeError for targets outside the vocabulary; on a CPU,
    RuntimeError where a second derivative is asked for, and in a second backward, if
    the gradient that the first gave has been changed in place: it is the one kept.
    """
    if logits.device.type == "cpu" and logits.requires_grad:
        return _CachedCrossEntropy.apply(logits, targets)
    return F.cross_entropy(widened(logits), targets, ignore_index=NO_IGNORE_INDEX)


def widened(logits: Tensor) -> Tensor:
    """The logits in a precision in which exponentials can be summed."""
    return logits if logits.dtype == torch.float64 else logits.float()


class _CachedCrossEntropy(torch.autograd.Function):
    """The gradient of -ln softmax(x)[t] is softmax(x), less 1 at t: the same pass that
    makes the softmax leaves it behind, in the precision of the logits.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        total = widened(logits[:0]).sum()
        gradient = torch.empty_like(logits)
        for first in range(0, len(logits), ROWS):
            rows = slice(first, first + ROWS)
            target = targets[rows, None]
            p = widened(logits[rows]).softmax(-1)
            p_target = p.gather(1, target)
            log_p = p_target.log()
            # Where one is too small for its precision, the long way.
            if (p_target < torch.finfo(p.dtype).tiny).any():
                log_p = widened(logits[rows]).log_softmax(-1).gather(1, target)
            total -= log_p.sum()
            gradient[rows] = p.scatter_(1, target, p_target - 1).div_(len(logits))
        ctx.save_for_backward(gradient)
        return total / len(logits)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        if torch.is_grad_enabled():  # create_graph=True: what is kept is a constant
            raise RuntimeError(
                "this loss has no second derivative on a CPU: take F.cross_entropy"
            )
        (gradient,) = ctx.saved_tensors
        scale = upstream[0].item()
        return gradient if scale == 1 else gradient * scale, None
