"""Batches: what a model reads in one step of training, and what follows it.

Shapes: N ids of a corpus, B batch, T time.
"""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

from llmlib.text.ids import check_range
from llmlib.text.tokenizers import Tokenizer


def token_ids(tokenizer: Tokenizer, text: str) -> Int64[Tensor, " N"]:
    """The ids of `text` as a tensor."""
    return torch.tensor(tokenizer.encode(text), dtype=torch.int64)


def document_starts(
    ids: Int64[Tensor, " N"], start_ids: list[int], block_size: int
) -> Int64[Tensor, " S"]:
    """Where rows of block_size may begin so that they hold a document from its start: at
    `start_ids`, with room for them before the row.

    With a tokenizer's own start_ids a model reads each document as it is evaluated; what
    stands further in than block_size is never read, so documents should be short.
    Raises ValueError where there is no such place.
    """
    if not start_ids:
        raise ValueError("start_ids must hold at least one id, got none")
    # The last place has room for a row after its start_ids.
    n_places = max(0, len(ids) - block_size - len(start_ids) + 1)
    stands = torch.ones(n_places, dtype=torch.bool)
    for i, start_id in enumerate(start_ids):
        stands &= ids[i : i + n_places] == start_id
    starts = stands.nonzero().flatten()
    if not len(starts):
        raise ValueError(
            f"no row of {block_size} ids begins with {start_ids} in {len(ids)} ids"
        )
    return starts


def batch_at(
    ids: Int64[Tensor, " N"],
    batch_size: int,
    block_size: int,
    *,
    step: int,
    seed: int = 0,
    rank: int = 0,
    starts: Int64[Tensor, " S"] | None = None,
) -> tuple[Int64[Tensor, "B T"], Int64[Tensor, "B T"]]:
    """The inputs and targets of a step: targets[b, t] is what follows inputs[b, t].

    Each row starts at one of the N - T places of `ids`, all equally likely. Where
    `starts` are given, rows start there, at each once before at any twice, in an order
    that is drawn anew for every round. A pure function of its arguments: what is drawn
    comes from a counter-based generator (Philox, Salmon et al. 2011) with the key
    (seed, rank), so each step's batch can be had without those before it, and each rank
    draws its own.

    Raises TypeError if `ids` is no int64 tensor; ValueError if it is not longer than
    block_size, if a number is out of its range, or if there are no `starts` or one has
    no room for a row and what follows it.
    """
    _check(ids, batch_size, block_size)
    n_places = len(ids) - block_size
    for name, number in {"step": step, "seed": seed, "rank": rank}.items():
        if not 0 <= number < 2**64:
            raise ValueError(f"{name} must lie between 0 and 2**64 - 1, got {number}")
    # index_select copies rows on one thread; indexing would wake all of them for little.
    if starts is None:
        drawn = _draw(batch_size, seed, rank, step, 0) % n_places
        places = torch.from_numpy(drawn.astype(np.int64))  # (B,)
    else:
        if not len(starts):
            raise ValueError("starts must hold at least one place, got none")
        check_range("starts", *starts.aminmax(), n_places)
        rows = range(step * batch_size, (step + 1) * batch_size)
        turns = [divmod(row, len(starts)) for row in rows]  # the round, and where in it
        chosen = [_order(len(starts), seed, rank, nth)[i] for nth, i in turns]
        places = starts.index_select(0, torch.tensor(chosen))
    windows = ids.unfold(0, block_size, 1)  # (N - T + 1, T), a view
    return windows.index_select(0, places), windows.index_select(0, places + 1)


@lru_cache(maxsize=2)  # of this round and the next
def _order(n: int, seed: int, rank: int, nth: int) -> NDArray[np.int64]:
    """The numbers below n, in the order of the nth round."""
    return np.argsort(_draw(n, seed, rank, nth % 2**64, 1), kind="stable")


def _draw(n: int, seed: int, rank: int, at: int, purpose: int) -> NDArray[np.uint64]:
    """n words of 64 random bits."""
    key = np.array([seed, rank], dtype=np.uint64)
    # The lowest word of the counter counts on within a draw.
    counter = np.array([0, at, purpose, 0], dtype=np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(n)


def _check(ids: Tensor, batch_size: int, block_size: int) -> None:
    if not isinstance(ids, Tensor) or ids.dtype != torch.int64:
        kind = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
        raise TypeError(f"ids must be an int64 tensor, got {kind}")
    if ids.ndim != 1:
        raise ValueError(f"ids must be one row, got the shape {tuple(ids.shape)}")
    if batch_size < 1 or block_size < 1:
        raise ValueError(
            "batch_size and block_size must be at least 1, "
            f"got {batch_size} and {block_size}"
        )
    if len(ids) <= block_size:
        raise ValueError(
            f"the text has {len(ids)} ids, but a context of {block_size} and what "
            f"follows it need {block_size + 1}"
        )
