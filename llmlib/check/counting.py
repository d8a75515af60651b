"""Checks of the chapter "Counting"."""

import torch
from torch import Tensor

from llmlib.check.checking import Check
from llmlib.check.inputs import randn


def picked(table: Tensor, targets: Tensor) -> Tensor:
    """In each row, the entry of its target."""
    return table.gather(-1, targets[:, None])[:, 0]


LOSS = Check(
    "cross-entropy",
    right=lambda z, y: -picked(z.log_softmax(-1), y).mean(),
    cases=lambda: [
        (randn(6, 5), torch.tensor([0, 4, 2, 2, 1, 3])),
        (200 * randn(3, 4, seed=1), torch.tensor([1, 0, 3])),
        (300 + randn(3, 4, seed=2), torch.tensor([2, 2, 0])),
        (randn(2, 3, seed=3) - torch.tensor([[0.0], [300.0]]), torch.tensor([1, 0])),
    ],
    mistakes=[
        (
            "The sign is wrong: the loss is minus the logarithm.",
            lambda z, y: picked(z.log_softmax(-1), y).mean(),
        ),
        (
            "This is the sum: the loss is the mean over all tokens.",
            lambda z, y: -picked(z.log_softmax(-1), y).sum(),
        ),
        (
            "These are bits: the loss of training is in nats.",
            lambda z, y: -picked(z.log_softmax(-1), y).mean() / torch.tensor(2.0).log(),
        ),
        (
            "The logits are not probabilities yet: a softmax comes first.",
            lambda z, y: -picked(z, y).mean(),
        ),
        (
            "The softmax runs over the tokens: it has to run over the vocabulary.",
            lambda z, y: -picked(z.log_softmax(0), y).mean(),
        ),
        (
            "Large logits overflow: e to the power of 200 has no place in a float. "
            "Take the largest logit off first, or use log_softmax.",
            lambda z, y: (
                -picked(z.exp() / z.exp().sum(-1, keepdim=True), y).log().mean()
            ),
        ),
        *(
            (
                "A row far below the largest logit comes out as nan or infinite: take each "
                "row's own maximum.",
                lambda z, y, log_shares=log_shares: (
                    -picked(log_shares(z - z.max()), y).mean()
                ),
            )
            for log_shares in (
                lambda z: (z.exp() / z.exp().sum(-1, keepdim=True)).log(),
                lambda z: z - z.exp().sum(-1, keepdim=True).log(),
            )
        ),
        (
            "You took every row at every target: each row has one target of its own.",
            lambda z, y: -z.log_softmax(-1)[:, y].mean(),
        ),
        (
            "This is a mean of probabilities: take the logarithm of each, then the mean.",
            lambda z, y: -picked(z.softmax(-1), y).mean().log(),
        ),
    ],
)

CHECKS: list[Check] = [LOSS]
