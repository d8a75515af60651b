"""Token ids are whole numbers from 0 on, as many as a vocabulary has tokens."""

from torch import Tensor


def check_range(name: str, low: int | Tensor, high: int | Tensor, size: float) -> None:
    """ValueError, naming all, where numbers that run from `low` to `high` leave the
    range from 0 to size - 1.
    """
    if low < 0 or high >= size:
        raise ValueError(
            f"{name} run from {low} to {high}, allowed are 0 to {size - 1}"
        )
