"""Tests for the loop of a training, and for what it reports: each takes less than a
second or two, and raises an AssertionError that says in words what is wrong.

A step is a function (model, optimizer, inputs, targets) that makes one step of training
and returns its loss.
That a model should learn one batch by heart is from Karpathy, "A Recipe for Training
Neural Networks" (2019).

Shapes: B batch, T time.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

Step = Callable[[nn.Module, Optimizer, Tensor, Tensor], float]


def gradients(
    step: Step, model: nn.Module, inputs: Tensor, targets: Tensor, times: int
) -> list[dict[str, Tensor]]:
    """What the optimizer is given in each of several steps on one batch that move
    nothing; the model itself stays as it is. AssertionError where one is not finite.
    """
    model, given = deepcopy(model).eval(), []  # dropout would make each step another
    optimizer = SGD(model.parameters(), lr=0.0)

    def note(*_: Any) -> None:
        named = model.named_parameters()
        given.append(
            {
                n: torch.zeros_like(p) if p.grad is None else p.grad.clone()
                for n, p in named
            }
        )

    optimizer.register_step_pre_hook(note)
    for _ in range(times):
        step(model, optimizer, inputs, targets)
    for name, gradient in (item for named in given for item in named.items()):
        if not gradient.isfinite().all():
            raise AssertionError(f"the gradient of {name} is not finite")
    return given


def assert_fresh_gradients(
    step: Step, model: nn.Module, inputs: Tensor, targets: Tensor
) -> None:
    """Two steps on the same batch that move nothing have the same gradient, and every
    parameter has one.
    """
    first, second = gradients(step, model, inputs, targets, 2)
    silent = [name for name, gradient in first.items() if not gradient.any()]
    if silent:
        raise AssertionError(
            f"no gradient reaches {len(silent)} of {len(first)} parameters, among them "
            f"{silent[0]} (nothing comes through weights of zero: if some begin so, "
            "give the model other ones for this test)"
        )
    one, two = (
        torch.cat([g.flatten() for g in given.values()]) for given in (first, second)
    )
    if torch.allclose(one, two, rtol=1e-3, atol=1e-3 * one.abs().max().item()):
        return
    if torch.allclose(2 * one, two, rtol=0.1, atol=0.1 * one.abs().max().item()):
        raise AssertionError(
            "the same batch gives twice the gradient the second time: it is added to the "
            "one before, zero_grad is missing"
        )
    raise AssertionError(
        "the same batch gives another gradient the second time: does a step at the rate "
        "zero move the weights, or depend on chance?"
    )


def assert_weights_move(
    step: Step,
    model: nn.Module,
    inputs: Int[Tensor, "B T"],
    targets: Int[Tensor, "B T"],
    *,
    rate: float,
) -> None:
    """A step of Adam at the smallest rate that is going to be used moves nine in ten of
    the numbers that have a gradient.
    """
    wanted = gradients(step, model, inputs, targets, 1)[0]
    model = deepcopy(model)
    # The first step, at the rate zero, rounds what is going to be rounded anyway.
    for lr in (0.0, rate):
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        step(model, optimizer, inputs, targets)
    stands = [
        (p == before[name])[wanted[name] != 0] for name, p in model.named_parameters()
    ]
    if not any(map(len, stands)):
        raise AssertionError("nothing has a gradient: is backward called?")
    moved = 1 - torch.cat(stands).float().mean().item()
    if moved < 0.9:
        raise AssertionError(
            f"a step at the rate {rate:g} moves only {moved:.0%} of the weights: "
            "smaller updates than their last digit are lost"
        )


def assert_overfits(
    step: Step,
    model: nn.Module,
    inputs: Int[Tensor, "B T"],
    targets: Int[Tensor, "B T"],
    *,
    rate: float = 0.01,
    steps: int = 40,
) -> None:
    """A copy of the model learns one small batch nearly by heart: in so many steps of Adam
    the loss that they report falls to a tenth.
    """
    model = deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    losses = [step(model, optimizer, inputs, targets) for _ in range(steps)]
    if not losses[-1] < 0.1 * losses[0]:
        raise AssertionError(
            f"after {steps} steps on one and the same batch the loss is {losses[-1]:.2f}, "
            f"from {losses[0]:.2f}: the model does not even learn that by heart"
        )


def assert_same_twice(evaluate: Callable[[], float]) -> None:
    """Two evaluations of the same model agree."""
    one, other = evaluate(), evaluate()
    if one != other:
        raise AssertionError(
            f"the same model is measured twice, as {one:.4f} and as {other:.4f}: is "
            "dropout still on?"
        )


def assert_above_floor(loss: float, floor: float) -> None:
    """No loss is below the entropy of what is predicted, both in the same unit."""
    if math.isnan(loss):
        raise AssertionError("the loss is no number")
    if loss < floor:
        raise AssertionError(
            f"a loss of {loss:.2f} is below the floor of {floor:.2f}: too good to be true"
        )
