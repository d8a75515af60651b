"""Tests for a model and its data, to run before a training: each takes less than a
second, and raises an AssertionError that says in words what is wrong. `loops` has those
for the training itself.

A model is any callable from ids (B, T) to logits (B, T, V).

Shapes: B batch, T time, H heads, D head size, V vocabulary, N, M ids of a text.
"""

import math
from collections.abc import Callable
from copy import deepcopy

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from llmlib.evaluation.metrics import next_token_loss
from llmlib.evaluation.models import Model, evaluating


def influence(model: Model, ids: Int[Tensor, " T"]) -> Float[Tensor, "T T"]:
    """Row t, column s: how far the logits at position s move when token t becomes another
    one (the largest change of any of them). Everything left of the diagonal should be 0.

    AssertionError where logits are nan, of which nothing can be said.
    """
    with evaluating(model):
        before = model(ids[None])  # (1, T, V)
        changed = ids.repeat(len(ids), 1)  # one row for each token that changes
        changed.diagonal().copy_((ids + 1) % before.shape[-1])
        after = model(changed)  # (T, T, V)
    if before.isnan().any() or after.isnan().any():
        raise AssertionError("the model gives logits that are no numbers (nan)")
    moved = torch.where(after == before, 0.0, after - before)  # -inf stays -inf
    return moved.abs().amax(-1)


def check_awake(moved: Float[Tensor, "T T"]) -> Float[Tensor, "T T"]:
    """The same table of influences; AssertionError where no token moves anything at a
    later position.
    """
    if not moved.triu(1).any():
        raise AssertionError(
            "no token changes anything after it: are there weights of zero? Give the "
            "model other ones for this test"
        )
    return moved


def assert_causal(model: Model, ids: Int[Tensor, " T"]) -> None:
    """No position sees a token that comes after it.

    Fails too where no position hears of another: weights that start at zero hide every
    fault.
    """
    moved = check_awake(influence(model, ids))
    seen = (moved.tril(-1) > 1e-5 * moved.max()).nonzero()
    if len(seen):
        token, position = seen[0].tolist()
        raise AssertionError(
            f"position {position} changes when token {token} does: the model sees the "
            "future"
        )


def assert_next_tokens(inputs: Int[Tensor, "B T"], targets: Int[Tensor, "B T"]) -> None:
    """Each target is the token after its input: what goes into the loss, after all shifts.

    What follows the last token of a row cannot be known from the row.
    """
    if targets[:, :-1].equal(inputs[:, 1:]):
        if targets[:, -1].equal(inputs[:, 0]):
            raise AssertionError(
                "the last target of each row is its first token: the row was rolled round"
            )
        return
    known = [
        (targets, inputs, "the inputs themselves: the model learns to copy"),
        (targets[:, :-2], inputs[:, 2:], "two tokens ahead: they were shifted twice"),
        (
            targets[:, 1:],
            inputs[:, :-1],
            "one token behind: the model learns to recall",
        ),
    ]
    for given, wanted, fault in known:
        if given.equal(wanted):
            raise AssertionError(f"the targets are {fault}")
    raise AssertionError("the targets are not the inputs, shifted by one")


def assert_attention(
    attend: Callable[[Tensor, Tensor, Tensor], Tensor],
    *,
    n_head: int = 4,
    head_size: int = 8,
) -> None:
    """attend(q, k, v) is softmax(Q Kᵀ / √D) V under a causal mask, for (B, H, T, D): what
    PyTorch's own function gives.
    """
    T, width = 6, n_head * head_size
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, 2, n_head, T, head_size, generator=generator)
    given = attend(q, k, v)
    scales = {
        "": head_size**-0.5,
        "the scores are not scaled; ": 1.0,
        f"the scores are divided by {head_size}, not by its root; ": 1 / head_size,
        f"the scores are divided by √{width}, the root of the width, not by "
        f"√{head_size}, that of the head size; ": width**-0.5,
    }
    masks = {
        "": 0,
        "every position sees the whole future; ": T,
        "every position sees the token after it; ": 1,
        "no position sees itself; ": -1,
    }
    for about_scale, scale in scales.items():
        for about_mask, diagonal in masks.items():
            allowed = torch.ones(T, T).tril(diagonal).bool()
            made = F.scaled_dot_product_attention(q, k, v, allowed, scale=scale)
            merged = made.reshape(2, T, n_head, head_size).transpose(1, 2)
            for about_order, result in (
                ("", made),
                ("heads and positions are mixed up; ", merged),
            ):
                # The first position has nothing to see where none sees itself.
                first = int(diagonal < 0)
                alike = given[:, :, first:], result[:, :, first:]
                if torch.allclose(*alike, atol=1e-5):
                    faults = about_scale + about_mask + about_order
                    if faults:
                        raise AssertionError(faults.removesuffix("; "))
                    return
    raise AssertionError("this is not softmax(Q Kᵀ / √D) V under a causal mask")


def assert_hears_order(model: nn.Module, ids: Int[Tensor, " T"]) -> None:
    """The last prediction of a model of ONE block changes when the tokens before the last
    are turned round.

    More blocks tell the order from the causal mask alone (Kazemnejad et al. 2023), so
    build the model with one for this test. It is asked in float64: before a training the
    order makes a difference that float32 can hardly tell from rounding. Fails too where
    no position hears of another.
    """
    turned = torch.cat([ids[:-1].flip(0), ids[-1:]])
    model = deepcopy(model).double()
    check_awake(influence(model, ids))
    with evaluating(model):
        one, other = model(torch.stack([ids, turned]))[:, -1]
    if torch.allclose(one, other, rtol=1e-10, atol=1e-10):
        raise AssertionError(
            "the order of the tokens makes no difference: are positions put in?"
        )


def assert_starts_at_chance(
    model: Model, inputs: Int[Tensor, "B T"], targets: Int[Tensor, "B T"]
) -> None:
    """Before the first step the loss is that of a blind guess, ln V, to a tenth."""
    with evaluating(model):
        logits = model(inputs)
        loss = next_token_loss(logits, targets).item()
    chance = math.log(logits.shape[-1])
    if not abs(loss - chance) < 0.1 * chance:
        raise AssertionError(
            f"the loss before the first step is {loss:.2f}, a blind guess has {chance:.2f}"
        )


def assert_apart(
    train: Int[Tensor, "*N T"],
    val: Int[Tensor, "*M T"],
    *,
    length: int = 32,
    share: float = 0.05,
) -> None:
    """At most a share of the validation text's pieces of so many ids stands in the
    training text too. A text is one row of ids, or many.

    Short pieces recur by themselves, formulas too: the pieces should be so long, or the
    share so large, that a split known to be right passes.
    """
    shared = torch.isin(fingerprints(val, length), fingerprints(train, length))
    if shared.float().mean() > share:
        raise AssertionError(
            f"{shared.float().mean():.0%} of the pieces of {length} ids of the validation "
            "text stand in the training text: it has been seen"
        )


def fingerprints(ids: Int[Tensor, "*N T"], length: int) -> Int[Tensor, "*N P"]:
    """A number for each piece of so many ids, the same for the same piece (Karp & Rabin
    1987: a polynomial, modulo 2^64). ValueError for rows that are shorter.
    """
    if ids.shape[-1] < length:
        raise ValueError(f"a row of {ids.shape[-1]} ids has no piece of {length}")
    pieces = ids.unfold(-1, length, 1)  # (..., P, length), a view
    hashed = torch.zeros(pieces.shape[:-1], dtype=torch.int64)
    for i in range(length):
        hashed = hashed * 6364136223846793005 + pieces[..., i] + 1
    return hashed
