"""Sizes and counts are whole numbers, of Python or of NumPy."""

from numbers import Integral
from typing import Any


def checked_count(name: str, value: Any, least: int = 1) -> int:
    """The value as an int. Raises TypeError unless it is an integer, ValueError where it
    is less than `least`; both name it.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)
