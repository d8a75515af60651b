"""The KV cache: what attention has already computed for the positions behind it, kept
for those to come.

Shapes: B batch, K key-value heads, T time, S positions the cache has room for, D head
size, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

if TYPE_CHECKING:
    from llmlib.model.gpt import GPT

LONGEST_NGRAM = 4  # tokens that an NGramEmbedding looks up together


class KVCache:
    """Room for the keys and values of one run of a model: block_size positions of
    batch_size texts.

    `model(ids, cache)` reads ids as the continuation of what the cache holds and
    appends to it. However a text is cut into such calls, the logits are those of one
    call over the whole. What it holds carries no gradients.

    Raises ValueError if the model's mask lets positions see what comes after them, and
    for a batch_size below 1.
    """

    def __init__(self, model: GPT, batch_size: int = 1) -> None:
        config = model.config
        if config.attention == "everything":
            raise ValueError(
                "a cache needs attention that looks back only, got attention='everything'"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        shape = batch_size, config.kv_heads, config.block_size, config.head_size
        weight = model.embed_tokens.weight
        self.keys: list[Float[Tensor, "B K S D"]] = [
            weight.new_zeros(shape) for _ in range(config.n_layer)
        ]
        self.values: list[Float[Tensor, "B K S D"]] = [
            torch.zeros_like(keys) for keys in self.keys
        ]
        # with a smear, the embeddings too, behind as many zeros as it reaches back
        places = config.smear + config.block_size if config.smear else 0
        self.embedded: Float[Tensor, "B places C"] = weight.new_zeros(
            batch_size, places, config.n_embd
        )
        # and with a table of n-grams, the ids
        places = LONGEST_NGRAM - 1 + config.block_size if config.ngram_rows else 0
        self.ids: Int[Tensor, "B places"] = weight.new_zeros(
            batch_size, places, dtype=torch.int64
        )
        self.length = 0  # positions filled so far

    @property
    def batch_size(self) -> int:
        """How many texts it has room for, side by side."""
        return len(self.keys[0])

    def layer(self, index: int) -> LayerCache:
        """The part that block `index` reads and writes."""
        return LayerCache(self.keys[index], self.values[index], self.length)

    def advance(self, length: int) -> None:
        """Count `length` more positions as filled. The model calls this once all its
        blocks have appended.
        """
        self.length += length

    def take_back(self, length: int) -> None:
        """Forget the last `length` positions. ValueError for more than there are."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot take back {length} of {self.length} positions")
        self.length -= length

    def reset(self) -> None:
        """Forget everything; the room stays."""
        self.length = 0

    def append_embedded(
        self, x: Float[Tensor, "B T C"], reach: int
    ) -> Float[Tensor, "B reach_and_T C"]:
        """Write the embeddings of T new positions; give them back with the `reach`
        before them, which are zeros at the beginning.
        """
        self.embedded.narrow(1, reach + self.length, x.shape[1]).copy_(x.detach())
        return self.embedded.narrow(1, self.length, reach + x.shape[1])

    def append_ids(
        self, ids: Int[Tensor, "B T"], reach: int
    ) -> Int[Tensor, "B reach_and_T"]:
        """The same for the ids of T new positions."""
        self.ids.narrow(1, reach + self.length, ids.shape[1]).copy_(ids)
        return self.ids.narrow(1, self.length, reach + ids.shape[1])

    def reorder(self, rows: Int[Tensor, " B"]) -> None:
        """Row i becomes what row rows[i] was, as a beam search needs when a beam
        overtakes another.
        """
        for stored in self.keys + self.values:
            filled = stored[..., : self.length, :]
            filled.copy_(filled[rows])
        self.embedded, self.ids = self.embedded[rows], self.ids[rows]


class LayerCache:
    """One block's part of a KVCache, of which `length` positions are filled."""

    def __init__(
        self,
        keys: Float[Tensor, "B K S D"],
        values: Float[Tensor, "B K S D"],
        length: int,
    ) -> None:
        self.keys, self.values, self.length = keys, values, length

    def append(
        self, k: Float[Tensor, "B K T D"], v: Float[Tensor, "B K T D"]
    ) -> tuple[Float[Tensor, "B K S D"], Float[Tensor, "B K S D"]]:
        """Write the keys and values of T new positions; give back all so far, the new
        ones included.
        """
        start, time = self.length, k.shape[2]
        self.keys.narrow(2, start, time).copy_(k.detach())
        self.values.narrow(2, start, time).copy_(v.detach())
        end = start + time
        return self.keys.narrow(2, 0, end), self.values.narrow(2, 0, end)
