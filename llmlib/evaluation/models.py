"""What evaluation and generation ask of a model: any callable from ids (B, T), int64,
to logits (B, T, V).

A GPT is one, and so is a bigram table, an n-gram count or a function. Its attribute
``block_size``, if it has one and that is not None, is the longest T that it reads.
Position t of the logits may depend on ids 0..t only.

B: batch, T: time (tokens), V: vocabulary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

Model = Callable[[Tensor], Tensor]


def unwrapped(model: Any) -> Any:
    """The model itself, out of what torch.compile and distributed training wrap
    around it.
    """
    inner: Any = getattr(model, "_orig_mod", None)
    if isinstance(model, DataParallel | DistributedDataParallel):
        inner = model.module
    return model if inner is None else unwrapped(inner)


def longest_read(model: Model) -> int | None:
    """The model's block_size; None where it has no limit."""
    return getattr(unwrapped(model), "block_size", None)


def device_of(model: Model) -> torch.device:
    """Where the model's parameters are; the CPU for a model without any."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((parameter.device for parameter in parameters), torch.device("cpu"))


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """No gradients inside and, if the model is in training mode, dropout off; every
    module gets its mode back.
    """
    modules = model.modules() if isinstance(model, nn.Module) and model.training else ()
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True
