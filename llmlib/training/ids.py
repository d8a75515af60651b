"""The ids that a training reads, checked before the first step."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from llmlib.evaluation.models import unwrapped
from llmlib.text.ids import check_range


def checked_ids(
    name: str, ids: Int[Tensor, " N"] | list[int], model: Any, at_least: int
) -> Int[Tensor, " N"]:
    """The ids as one row of int64 on the CPU; raises what Trainer raises."""
    row = torch.as_tensor(ids).cpu()
    if len(row.shape) != 1 or len(row) < at_least:
        shape = tuple(row.shape)
        raise ValueError(f"{name} need at least {at_least} ids in a row, got {shape}")
    if row.is_floating_point() or row.is_complex() or row.dtype == torch.bool:
        raise TypeError(f"{name} must be integers, got {row.dtype}")
    row = row.long().contiguous()  # before the check: uint16, say, has no aminmax
    check_range(name, *row.aminmax(), unwrapped(model).vocab_size)
    return row
