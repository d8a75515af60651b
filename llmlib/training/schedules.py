"""Learning-rate schedules: pure functions from a step (0, 1, ...) to a multiplier in
[0, 1].

Every rate of every optimizer is its own highest value times the multiplier of the step.
"""

import math

from llmlib.training.config import TrainConfig


def cosine(
    step: int, *, warmup_iters: int, max_iters: int, floor: float = 0.0
) -> float:
    """Linear warm-up to 1, then half a cosine down to `floor` (SGDR, Loshchilov &
    Hutter 2017).

    (step + 1) / (warmup_iters + 1) at first; then floor + (1 - floor) (1 + cos(π t)) /
    2 with t = (step - warmup_iters) / (max_iters - warmup_iters), and `floor` from
    max_iters on.
    """
    if step < warmup_iters:
        return (step + 1) / (warmup_iters + 1)
    if step >= max_iters:
        return floor
    t = (step - warmup_iters) / (max_iters - warmup_iters)
    return floor + (1 - floor) * (1 + math.cos(math.pi * t)) / 2


def trapezoid(
    step: int, *, warmup_iters: int, max_iters: int, cooldown: float
) -> float:
    """Linear warm-up to 1, flat, then linear to zero over the last `cooldown` share of
    the steps ("warm-up, stable, decay", Hu et al. 2024; Hägele et al. 2024).

    min(1, (step + 1) / (warmup_iters + 1), (max_iters - step) / (cooldown ·
    max_iters)), and 0 from max_iters on. Zero itself is never the rate of a step that
    is made.
    """
    rising = (step + 1) / (warmup_iters + 1)
    falling = (max_iters - step) / (cooldown * max_iters)
    return max(0.0, min(1.0, rising, falling))


def multiplier(step: int, config: TrainConfig) -> float:
    """The multiplier of a step under the schedule that the config names."""
    length = {"warmup_iters": config.warmup_steps, "max_iters": config.max_iters}
    if config.schedule == "cosine":
        return cosine(step, **length, floor=config.min_lr / config.learning_rate)
    return trapezoid(step, **length, cooldown=config.cooldown)
