"""From logits to a chosen id: the rules that reshape the distribution, and the draw.

Every rule is a function of its own; ``probabilities`` applies them in a fixed order, in
float64. ``draw`` is a generator so small that a browser computes the same numbers: with
the same seed, a page and Python write the same text.

V: vocabulary, N: ids so far.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

Ids = Sequence[int] | Int[Tensor, " N"]

_ALLOWED: dict[str, tuple[type, Callable[[Any], bool], str]] = {
    "temperature": (Real, lambda x: 0 <= x < math.inf, "a finite number, at least 0"),
    "top_k": (Integral, lambda x: x >= 1, "an integer, at least 1"),
    "top_p": (Real, lambda x: 0 < x <= 1, "a number above 0 and at most 1"),
    "min_p": (Real, lambda x: 0 <= x <= 1, "a number from 0 to 1"),
    "repetition_penalty": (Real, lambda x: 0 < x < math.inf, "a finite number above 0"),
    "seed": (Integral, lambda x: True, "an integer"),
}


@dataclass(frozen=True)
class Sampling:
    """How the next id is chosen. The rules apply in this order, and None switches each
    of the last three off:

    - ``repetition_penalty`` > 0: above 1, ids that are already in the text become less
      likely.
    - ``temperature`` >= 0: below 1 sharpens the distribution, above 1 flattens it; 0
      always takes the likeliest id.
    - ``top_k`` >= 1: only the k likeliest ids.
    - ``top_p`` in (0, 1]: only the likeliest ids that together reach probability p.
    - ``min_p`` in [0, 1]: only ids at least ``min_p`` times as likely as the likeliest.

    ``seed``: any integer, of which the low 32 bits count; None draws a new one from
    torch's generator for each text.

    Raises ValueError for a number out of range, TypeError for what is not such a
    number.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, (kind, allowed, words) in _ALLOWED.items():
            value = getattr(self, name)
            if value is None and getattr(Sampling, name) is None:
                continue  # off by default
            if isinstance(value, bool) or not isinstance(value, kind):
                raise TypeError(f"{name} must be {words}, not {value!r}")
            if not allowed(value):
                raise ValueError(f"{name} must be {words}, not {value}")

    def seeded(self, row: int = 0) -> "Sampling":
        """The same rules with the seed of one row of a batch, seed + row; None becomes
        a new seed first.
        """
        seed = torch.randint(2**32, ()) if self.seed is None else self.seed
        return replace(self, seed=int(seed) + row)  # NumPy's integers would overflow


UNCHANGED = Sampling()  # draws from the model's own distribution


def penalise(
    logits: Float[Tensor, " V"], previous: Ids, penalty: float
) -> Float[Tensor, " V"]:
    """Lowers the logits of ids that were there before: positive ones are divided by the
    penalty, negative ones multiplied (Keskar et al., CTRL, 2019). How often an id was
    there makes no difference.
    """
    ids = torch.as_tensor(previous, dtype=torch.int64).cpu()
    seen = logits[ids]
    lowered = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.index_put((ids,), lowered)


def soften(logits: Float[Tensor, " V"], temperature: float) -> Float[Tensor, " V"]:
    """softmax(logits / temperature); its limit at 0: probability 1 for the largest, of
    equals the lowest id.
    """
    if temperature == 0:
        return torch.zeros_like(logits).index_fill(0, logits.argmax(), 1)
    return ((logits - logits.max()) / temperature).softmax(0)


def keep_top_k(p: Float[Tensor, " V"], k: int) -> Float[Tensor, " V"]:
    """The k largest, the others 0; whatever equals the k-th is kept as well (Fan et al.
    2018).
    """
    return p.where(p >= p.topk(min(k, len(p))).values[-1], 0)


def keep_top_p(p: Float[Tensor, " V"], top_p: float) -> Float[Tensor, " V"]:
    """The fewest and largest that together reach ``top_p``, the others 0; of equals the
    lower ids first (nucleus sampling, Holtzman et al. 2020).
    """
    largest, ids = p.sort(descending=True, stable=True)
    n = 1 + int((largest.cumsum(0) < top_p).sum())
    return p.index_fill(0, ids[n:], 0)


def keep_min_p(p: Float[Tensor, " V"], min_p: float) -> Float[Tensor, " V"]:
    """Those at least ``min_p`` times the largest, the others 0 (Nguyen et al. 2024)."""
    return p.where(p >= min_p * p.max(), 0)


def probabilities(
    logits: Float[Tensor, " V"], sampling: Sampling = UNCHANGED, previous: Ids = ()
) -> Float[Tensor, " V"]:
    """The distribution that the next id is drawn from, float64, on the CPU: all rules
    of ``sampling`` in order.

    ``previous`` are the ids so far, for the repetition penalty. Raises ValueError for
    logits that are not one row, hold NaN or +inf, or are all -inf (masked).
    """
    p = soften(_penalised(logits, sampling, previous), sampling.temperature)
    if sampling.top_k is not None:
        p = _normalised(keep_top_k(p, sampling.top_k))
    if sampling.top_p is not None and sampling.top_p < 1:
        p = _normalised(keep_top_p(p, sampling.top_p))
    if sampling.min_p is not None:
        p = _normalised(keep_min_p(p, sampling.min_p))
    return p


def draw(seed: int, t: int) -> float:
    """The t-th number u of the generator with this seed (t = 0, 1, ...): 0 <= u < 1, a
    multiple of 2^-32.

    mulberry32 (Tommy Ettinger, 2017), all in unsigned 32-bit arithmetic; it needs no
    state but t.
    """
    a = _uint32(int(seed) + (t + 1) * 0x6D2B79F5)
    x = _uint32((a ^ a >> 15) * (a | 1))
    x ^= _uint32(x + (x ^ x >> 7) * (x | 61))
    return (x ^ x >> 14) / 2**32


def choose(p: Float[Tensor, " V"], u: float) -> int:
    """The first id whose cumulative probability exceeds u, and never one of
    probability 0: the last other one where rounding leaves the sum at or below u.
    """
    i = int((p.cumsum(0) <= u).sum())
    return i if i < len(p) else int(p.nonzero()[-1])


def next_id(
    logits: Float[Tensor, " V"], sampling: Sampling, t: int, previous: Ids = ()
) -> int:
    """The id of draw t: chosen from ``probabilities``, which it skips at temperature 0.
    Raises as they do, and ValueError for a sampling without a seed.
    """
    if sampling.temperature == 0:
        return int(_penalised(logits, sampling, previous).argmax())
    if sampling.seed is None:
        raise ValueError("a draw needs a seed: sampling.seeded() has one")
    return choose(probabilities(logits, sampling, previous), draw(sampling.seed, t))


def _penalised(
    logits: Float[Tensor, " V"], sampling: Sampling, previous: Ids
) -> Float[Tensor, " V"]:
    """The logits in float64 on the CPU, repetition penalised; ValueError where no id
    can be chosen from them.
    """
    if logits.ndim != 1:
        raise ValueError(f"logits must be one row, not {tuple(logits.shape)}")
    logits = logits.detach().cpu().double()
    if sampling.repetition_penalty != 1:
        logits = penalise(logits, previous, sampling.repetition_penalty)
    largest = float(logits.max())  # NaN if any is
    if largest == -math.inf:
        raise ValueError("all logits are -inf: every id is masked")
    if not math.isfinite(largest):
        raise ValueError(f"logits must be finite or -inf, not {largest}")
    return logits


def _normalised(p: Float[Tensor, " V"]) -> Float[Tensor, " V"]:
    return p / p.sum()


def _uint32(x: int) -> int:
    return x & 0xFFFFFFFF
