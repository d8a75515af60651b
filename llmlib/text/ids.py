"""Token ids are whole numbers from 0 on, as many as a vocabulary has tokens."""

from typing import Any

import torch
from torch import Tensor


def check_form(ids: Any) -> None:
    """TypeError unless ids are a tensor of integers, ValueError unless it is (B, T)."""
    if not isinstance(ids, Tensor) or ids.dtype not in (torch.int64, torch.int32):
        kind = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
        raise TypeError(f"ids must be a tensor of int64 or int32, got {kind}")
    if ids.ndim != 2:
        raise ValueError(f"ids must have the shape (B, T), got {tuple(ids.shape)}")


def check_range(name: str, low: int | Tensor, high: int | Tensor, size: float) -> None:
    """ValueError, naming all, where numbers that run from `low` to `high` leave the
    range from 0 to size - 1.
    """
    if low < 0 or high >= size:
        raise ValueError(
            f"{name} run from {low} to {high}, allowed are 0 to {size - 1}"
        )
