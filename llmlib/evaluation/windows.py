"""Texts of any length, cut into the windows that a model reads and scores.

B: batch, T: time (tokens).
"""

from collections.abc import Iterator
from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

BATCH_TOKENS = 4096  # tokens in a batch of windows, padding included


class Window(NamedTuple):
    """A part of one text: the model reads its positions start..stop-1, and the
    predictions at scored..stop-1 count.
    """

    text: int
    start: int
    stop: int
    scored: int


def sliding_windows(text: int, length: int, first: int, width: int) -> Iterator[Window]:
    """Windows of at most ``width`` over the ``length`` positions of a text that score
    each one from ``first`` on exactly once. They advance by ``width // 2``, so that
    every position but those of the first window comes after at least half a window.
    """
    step = max(1, width // 2)
    stop = 0
    for start in range(0, length, step):
        scored, stop = max(stop, first), min(start + width, length)
        if scored < stop:
            yield Window(text, start, stop, scored)
        if stop == length:
            return


def batches(windows: list[Window]) -> Iterator[list[Window]]:
    """The windows, longest first, in batches of about BATCH_TOKENS, so that little of a
    batch is padding.
    """
    windows = sorted(windows, key=lambda w: w.start - w.stop)
    while windows:
        n = at_once(windows[0].stop - windows[0].start)
        yield windows[:n]
        windows = windows[n:]


def at_once(width: int) -> int:
    """How many windows of that width make a batch of about BATCH_TOKENS, at least 1."""
    return max(1, BATCH_TOKENS // width)


def padded(rows: list[Int[Tensor, " _"]]) -> Int[Tensor, "B T"]:
    """Rows of different lengths side by side; 0 fills the end, where no earlier
    position can see it.
    """
    return pad_sequence(rows, batch_first=True)
