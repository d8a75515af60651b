"""N-gram models with modified Kneser-Ney smoothing: the best that counting can do.

Counts live in a trie of sorted arrays: the node of "abc" is where the key ``node("ab")
* V + c`` stands among all keys of three tokens. So counting is one sort per order,
looking up is a binary search, and both take whole arrays.

B: batch, T: time (tokens), V: vocabulary, N: tokens in all.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from llmlib.evaluation.smoothing import Estimate, smoothed
from llmlib.text.counts import checked_count
from llmlib.text.ids import check_range

NOWHERE = -1  # the node of what never occurred
END = np.iinfo(np.int64).max  # closes all arrays of keys: a search always hits one


class NGram:
    """Predicts a token from the ``order - 1`` before it, by interpolated modified
    Kneser-Ney smoothing.

    With c(h w) how often token w followed the context h, and h' = h without its first
    token::

        p(w | h) = (c(h w) - D) / c(h) + left(h) p(w | h')

    D is a discount (one for c = 1, 2 and >= 3, estimated from the counts), and left(h)
    is the mass that discounting frees, so that the sum is 1. In p(w | h'), c counts the
    *different* tokens seen before h' w rather than its occurrences: what follows only
    one context is unlikely in a new one. (With ``continuation=False`` it counts them
    there, too: a control.) Below single tokens stands the uniform distribution. A
    context that never occurred leaves everything to h'. At the start of a row, where
    fewer ids are there, the model is the n-gram model of that lower order.

    It is called as a GPT is: ids (B, T) to logits (B, T, V), here log-probabilities.
    Any T will do, so ``block_size`` is None, although only the last ``order - 1`` ids
    matter.

    Raises TypeError or ValueError for an order or vocab_size that is not a positive
    int. Source: Chen and Goodman, *An empirical study of smoothing techniques for
    language modeling*, 1999.
    """

    block_size = None

    def __init__(
        self, order: int, vocab_size: int, *, continuation: bool = True
    ) -> None:
        self.order = checked_count("order", order)
        self.vocab_size = checked_count("vocab_size", vocab_size)
        self.continuation = continuation
        self._levels: list[_Level] = []  # one per order: single tokens, pairs, ...

    def fit(self, ids: Int[Tensor, " N"]) -> "NGram":
        """Counts the n-grams of ``ids``, in place of any counted before; returns
        itself.

        Raises TypeError for ids that are not integers, ValueError for none and for ids
        outside the vocabulary.
        """
        tokens = _checked(ids, "N", self.vocab_size)
        # Per order: the keys, how often each n-gram occurred, and how many different
        # tokens came before it.
        counted: list[tuple[np.ndarray, np.ndarray]] = []
        variety: list[np.ndarray] = []
        # The node of the (n-1)-gram that starts at each place.
        nodes = np.zeros(len(tokens) + 1, dtype=np.int64)
        for n in range(1, self.order + 1):
            keys, first, nodes_of_n, occurrences = np.unique(
                nodes[:-1] * self.vocab_size + tokens[n - 1 :],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            if n > 1:
                # An n-gram without its first token is the (n-1)-gram one place on.
                shorter, n_shorter = nodes[first + 1], len(counted[-1][0])
                variety.append(np.bincount(shorter, minlength=n_shorter))
            counted.append((keys, occurrences))
            nodes = nodes_of_n
        self._levels = []
        n_contexts = 1
        for n, (keys, occurrences) in enumerate(counted, start=1):
            starts = np.searchsorted(keys, np.arange(n_contexts + 1) * self.vocab_size)
            top = smoothed(occurrences, starts)
            lower = top
            if self.continuation and n < self.order:
                lower = smoothed(variety[n - 1], starts)
            self._levels.append(_Level(np.append(keys, END), starts, top, lower))
            n_contexts = len(keys)
        return self

    def __call__(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """ln p(token) for the token after each position, float32.

        Raises RuntimeError before ``fit``, ValueError for ids outside the vocabulary.
        """
        if not self._levels:
            raise RuntimeError("nothing has been counted yet: call fit(ids) first")
        tokens = _checked(ids, "B T", self.vocab_size)
        B, T = tokens.shape
        # The node of the n - 1 tokens before each place; the root for none.
        contexts = np.zeros((B, T + 1), dtype=np.int64)
        p = np.full((1, 1, self.vocab_size), 1 / self.vocab_size, dtype=np.float32)
        _interpolate(p, contexts[:1, :1], self._levels[0], self._levels[0].lower)
        p = np.tile(p, (B, T, 1))
        for n, level in enumerate(self._levels[1:], start=2):
            keys = contexts[:, :-1] * self.vocab_size + tokens
            contexts[:, 1:] = _find(self._levels[n - 2], keys)
            contexts[:, 0] = NOWHERE
            here = contexts[:, 1:]  # (B, T)
            # In column n - 2 the context is all that the row has to offer.
            _interpolate(p[:, n - 2 : n - 1], here[:, n - 2 : n - 1], level, level.top)
            _interpolate(p[:, n - 1 :], here[:, n - 1 :], level, level.lower)
        return torch.from_numpy(np.log(p, out=p))

    def after(self, context: Sequence[int]) -> Float[Tensor, " V"]:
        """ln p(token) for the token after one row of ids: the last of what a call
        gives, and much sooner. Raises as a call does, but takes an empty row.
        """
        if not self._levels:
            raise RuntimeError("nothing has been counted yet: call fit(ids) first")
        if len(context):
            _checked(context, "N", self.vocab_size)
        tokens = list(context[-(self.order - 1) :]) if self.order > 1 else []
        longest = len(tokens) + 1
        p = np.full(self.vocab_size, 1 / self.vocab_size, dtype=np.float32)
        for n, level in enumerate(self._levels[:longest], start=1):
            node = self._node(tokens[longest - n :])
            if node == NOWHERE:  # nor did any longer context occur
                break
            estimate = level.top if n == longest else level.lower
            here = slice(level.starts[node], level.starts[node + 1])
            p *= estimate.left[node]
            p[level.keys[here] % self.vocab_size] += estimate.share[here]
        return torch.from_numpy(np.log(p, out=p))

    def _node(self, tokens: list[int]) -> int:
        """Where the tokens stand among all that occurred."""
        node = 0
        for level, token in zip(self._levels, tokens, strict=False):
            key = node * self.vocab_size + token
            node = int(level.keys.searchsorted(key))
            if level.keys[node] != key:
                return NOWHERE
        return node


class _Level(NamedTuple):
    """All n-grams of one length that occurred, grouped by context (all tokens but the
    last).
    """

    keys: Int[np.ndarray, " n_keys"]  # context node * V + last token, ascending; END
    starts: Int[np.ndarray, " n_starts"]  # where each context's keys begin
    top: Estimate  # for contexts as long as the order, or the row, allows
    lower: Estimate  # for contexts that are part of a longer one


def _find(level: _Level, keys: Int[np.ndarray, "B T"]) -> Int[np.ndarray, "B T"]:
    """The node of each key; NOWHERE if it never occurred, as the negative keys of what
    follows NOWHERE.
    """
    at = np.searchsorted(level.keys, keys)
    return np.where(level.keys[at] == keys, at, NOWHERE)


def _interpolate(
    p: Float[np.ndarray, "B T V"],
    contexts: Int[np.ndarray, "B T"],
    level: _Level,
    estimate: Estimate,
) -> None:
    """p becomes share + left * p, where the context occurred."""
    known = contexts >= 0
    p *= estimate.left[contexts][..., None]
    rows, columns = np.nonzero(known)
    begin, end = level.starts[contexts[known]], level.starts[contexts[known] + 1]
    n = end - begin
    which = np.repeat(np.arange(len(n)), n)  # 0 0 0 1 2 2 ...: whose n-gram it is
    n_grams = np.arange(len(which)) + np.repeat(end - np.cumsum(n), n)
    tokens = level.keys[n_grams] % p.shape[-1]
    p[rows[which], columns[which], tokens] += estimate.share[n_grams]


def _checked(
    ids: Tensor | Sequence[int], shape: str, vocab_size: int
) -> Int[np.ndarray, "..."]:
    """The ids as an array, if they are ids of the vocabulary and of the shape ("N" or
    "B T").
    """
    tokens = np.asarray(ids)
    if tokens.size and tokens.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers, got {tokens.dtype}")
    if tokens.ndim != len(shape.split()) or not tokens.size:
        raise ValueError(
            f"ids must have shape ({shape}) and not be empty, got {tokens.shape}"
        )
    check_range("ids", tokens.min(), tokens.max(), vocab_size)
    return tokens.astype(np.int64)
