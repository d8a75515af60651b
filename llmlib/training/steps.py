"""What a step of training tells: its log, or why there can be none."""

from dataclasses import dataclass


class TrainingDivergedError(ValueError):
    """A loss or a gradient is infinite or not a number."""


@dataclass(frozen=True)
class StepLog:
    """What one step did.

    `step` counts from 1. `loss` is the mean over the step's batch before the weights
    moved, `val_loss` the mean over all validation ids after they did (with start_ids,
    over the first block_size of each document), where it was measured; both in nats a
    token. `learning_rate` is the step's, `grad_norm` the gradient's length before
    clipping, `tokens` the ids predicted in the step, `seconds` its time, validation
    apart.
    """

    step: int
    loss: float
    val_loss: float | None
    learning_rate: float
    grad_norm: float
    tokens: int
    seconds: float
