"""Attention: each position gathers what it needs from the positions its mask lets it
see.

Shapes: B batch, T time (queries), S time (keys: T, or more with a cache), C channels, H
heads, K heads of keys and values, D head size.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from llmlib.model.cache import LayerCache
from llmlib.model.positions import RotaryPositions
from llmlib.text.counts import checked_count

Mask = Callable[[Tensor, Tensor], Tensor]
"""From query positions (T, 1) and key positions (1, S) to who may see whom (T, S).

Every query must see at least one key: a softmax over nothing has no value.
"""


def causal(query: Tensor, key: Tensor) -> Tensor:
    """Every position sees itself and all before it."""
    return key <= query


def everything(query: Tensor, key: Tensor) -> Tensor:
    """Every position sees every other, as in an encoder."""
    return torch.ones_like(query - key, dtype=torch.bool)


def sliding_window(window: int) -> Mask:
    """Every position sees itself and the window - 1 before it (Longformer, Beltagy et
    al. 2020). Raises ValueError for a window below 1, TypeError for one that is no
    integer.
    """
    window = checked_count("window", window)

    def mask(query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (query - key < window)

    return mask


def strided(window: int, stride: int) -> Mask:
    """A sliding window, and beyond it every stride-th position back (sparse
    transformer, Child et al. 2019). Raises ValueError for numbers below 1, TypeError
    for those that are no integers.
    """
    window = checked_count("window", window)
    stride = checked_count("stride", stride)

    def mask(query: Tensor, key: Tensor) -> Tensor:
        distance = query - key
        return (distance >= 0) & ((distance < window) | (distance % stride == 0))

    return mask


def attention_weights(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    allowed: Bool[Tensor, "T S"],
) -> Float[Tensor, "B H T S"]:
    """softmax(Q Kᵀ / √D), with nothing on the positions that are not allowed (Vaswani
    et al. 2017, equation 1).
    """
    # Adding is faster than filling in, forward and back.
    hidden = torch.zeros_like(allowed, dtype=q.dtype).masked_fill_(~allowed, -math.inf)
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1) + hidden  # (B, H, T, S)
    return scores.softmax(dim=-1)


class Attention(nn.Module):
    """Multi-head self-attention with optional grouped queries (Vaswani et al. 2017;
    Ainslie et al. 2023).

    Queries, keys and values are made from all n_embd channels, and split over n_head
    heads of size D = n_embd / n_head. With n_kv_head < n_head, groups of n_head /
    n_kv_head query heads share one head of keys and values. `mask` says who sees whom,
    `rotary` turns queries and keys by their position. `dropout` falls on the attention
    weights and on the result.

    Raises ValueError if n_embd is not a multiple of n_head, or n_head not a multiple of
    n_kv_head.
    """

    def __init__(
        self,
        n_embd: int,
        n_head: int,
        n_kv_head: int | None = None,
        *,
        mask: Mask = causal,
        rotary: RotaryPositions | None = None,
        dropout: float = 0.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        n_kv_head = n_head if n_kv_head is None else n_kv_head
        check_heads(n_embd, n_head, n_kv_head)
        self.n_head, self.n_kv_head = n_head, n_kv_head
        self.head_size = n_embd // n_head
        self.mask, self.rotary, self.dropout = mask, rotary, nn.Dropout(dropout)
        self.q_proj = nn.Linear(n_embd, n_embd, bias=bias)
        self.k_proj = nn.Linear(n_embd, n_kv_head * self.head_size, bias=bias)
        self.v_proj = nn.Linear(n_embd, n_kv_head * self.head_size, bias=bias)
        self.o_proj = nn.Linear(n_embd, n_embd, bias=bias)
        self.record: Callable[[Tensor], None] | None = None  # set by `observe`

    def forward(
        self, x: Float[Tensor, "B T C"], cache: LayerCache | None = None
    ) -> Float[Tensor, "B T C"]:
        """What each position gathers. With a cache, x continues the positions whose
        keys and values it holds.
        """
        heads = (-1, self.head_size)
        q, k, v = (t.unflatten(-1, heads) for t in self.project(x))  # (B, T, H or K, D)
        start = 0 if cache is None else cache.length
        if self.rotary is not None:
            q, k = self.rotary(q, start), self.rotary(k, start)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # (B, H, T, D)
        if cache is not None:
            k, v = cache.append(k, v)  # (B, H, S, D)
        gathered = self.attend(q, k, v, start)
        return self.dropout(self.o_proj(gathered.transpose(1, 2).flatten(2)))

    def project(self, x: Float[Tensor, "B T C"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of each position, their heads side by side."""
        return self.q_proj(x), self.k_proj(x), self.v_proj(x)

    def attend(
        self,
        q: Float[Tensor, "B H T D"],
        k: Float[Tensor, "B K S D"],
        v: Float[Tensor, "B K S D"],
        start: int,
    ) -> Float[Tensor, "B H T D"]:
        """softmax(Q Kᵀ / √D) V, the queries standing at positions start, start + 1, …,
        each group of them with its own of the K heads of keys and values.

        The last lines are the definition, and what `observe` records. The lines
        before take the same numbers from PyTorch's fused kernel, where that is faster;
        a single causal query sees all keys, and needs no mask.
        """
        # In bfloat16 on a CPU the fused kernel is slow.
        slow = q.device.type == "cpu" and q.dtype == torch.bfloat16
        fused = self.record is None and not slow
        p = self.dropout.p if self.training else 0.0
        group = self.n_head // self.n_kv_head  # queries that share a head of keys
        options: Any = {"dropout_p": p, "enable_gqa": group > 1}
        if fused and self.mask is causal and (start == 0 or q.shape[2] == 1):
            return F.scaled_dot_product_attention(
                q, k, v, is_causal=start == 0, **options
            )
        positions = torch.arange(k.shape[2], device=k.device)
        allowed = self.mask(positions[start:, None], positions[None, :])  # (T, S)
        if fused:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, **options)
        if group > 1:
            k, v = (t.repeat_interleave(group, dim=1) for t in (k, v))
        weights = attention_weights(q, k, allowed)
        if self.record is not None:
            self.record(weights.detach())
        return self.dropout(weights) @ v


def check_heads(n_embd: int, n_head: int, n_kv_head: int) -> None:
    """ValueError unless channels split evenly into heads, and heads into groups."""
    if n_embd < 1 or n_head < 1 or n_embd % n_head:
        raise ValueError(
            f"n_embd must be a multiple of n_head, got n_embd={n_embd} and n_head={n_head}"
        )
    if n_kv_head < 1 or n_head % n_kv_head:
        raise ValueError(
            "n_head must be a multiple of n_kv_head, "
            f"got n_head={n_head} and n_kv_head={n_kv_head}"
        )
