"""Attention against torch.nn, and the masks against their definitions."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from llmlib.model.attention import (
    Attention,
    attention_weights,
    causal,
    everything,
    sliding_window,
    strided,
)
from llmlib.model.observe import observe
from llmlib.model.positions import (
    LearnedPositions,
    RotaryPositions,
    SinusoidalPositions,
)

LENGTH = 12


def allowed(mask):
    positions = torch.arange(LENGTH)
    return mask(positions[:, None], positions[None, :])


@pytest.mark.parametrize(
    ("mask", "sees"),
    [
        (causal, lambda q, k: k <= q),
        (everything, lambda q, k: True),
        (sliding_window(3), lambda q, k: k in (q, q - 1, q - 2)),
        (strided(2, 4), lambda q, k: k in (q, q - 1, q - 4, q - 8)),
    ],
)
def test_masks_are_what_they_say(mask, sees):
    expected = [[sees(q, k) for k in range(LENGTH)] for q in range(LENGTH)]
    assert allowed(mask).tolist() == expected


@pytest.mark.parametrize(
    ("make", "numbers", "words"),
    [
        (sliding_window, (0,), "window must be at least 1, got 0"),
        (strided, (0, 4), "window must be at least 1, got 0"),
        (strided, (1, 0), "stride must be at least 1, got 0"),
        (strided, (2, -4), "stride must be at least 1, got -4"),
    ],
)
def test_masks_that_see_nothing_are_refused(make, numbers, words):
    with pytest.raises(ValueError, match=words):
        make(*numbers)


@pytest.mark.parametrize("mask", [causal, everything, sliding_window(3), strided(2, 4)])
@pytest.mark.parametrize("bias", [False, True])
def test_equals_torch_multihead_attention(mask, bias):
    torch.manual_seed(0)
    ours = Attention(32, 4, mask=mask, bias=bias)
    theirs = nn.MultiheadAttention(32, 4, bias=bias, batch_first=True)
    projections = (ours.q_proj, ours.k_proj, ours.v_proj)
    theirs.in_proj_weight.data = torch.cat([p.weight.data for p in projections])
    theirs.out_proj.weight.data = ours.o_proj.weight.data
    if bias:
        theirs.in_proj_bias.data = torch.cat([p.bias.data for p in projections])
        theirs.out_proj.bias.data = ours.o_proj.bias.data
    x = torch.randn(3, LENGTH, 32)
    hidden = ~allowed(mask)
    out, weights = theirs(x, x, x, attn_mask=hidden, average_attn_weights=False)
    assert_close(ours(x), out, atol=1e-5, rtol=1e-5)
    with observe(ours) as seen:
        assert_close(ours(x), out, atol=1e-5, rtol=1e-5)
    assert_close(seen["attention"], weights, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n_kv_head", [1, 2, 4])
@pytest.mark.parametrize("rotary", [False, True])
def test_grouped_queries_equal_attention_with_repeated_heads(n_kv_head, rotary):
    torch.manual_seed(0)
    turn = RotaryPositions(LENGTH, 8) if rotary else None
    grouped = Attention(32, 4, n_kv_head, rotary=turn)
    full = Attention(32, 4, rotary=turn)
    state = dict(grouped.state_dict())
    for name in ("k_proj.weight", "v_proj.weight"):
        heads = state[name].unflatten(0, (n_kv_head, 8))
        state[name] = heads.repeat_interleave(4 // n_kv_head, dim=0).flatten(0, 1)
    full.load_state_dict(state)
    x = torch.randn(2, LENGTH, 32)
    assert_close(grouped(x), full(x), atol=1e-5, rtol=1e-5)


def test_weights_are_a_softmax_over_allowed_positions():
    q, k = torch.randn(2, 3, LENGTH, 8), torch.randn(2, 3, LENGTH, 8)
    weights = attention_weights(q, k, allowed(causal))
    assert_close(weights.sum(-1), torch.ones(2, 3, LENGTH))
    assert (weights[..., ~allowed(causal)] == 0).all()
    v = torch.eye(LENGTH).expand(2, 3, -1, -1)
    fused = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert_close(weights, fused, atol=1e-6, rtol=1e-5)


def test_bfloat16_route_is_within_bfloat16_rounding():
    torch.manual_seed(0)
    part = Attention(32, 4)
    x = torch.randn(2, LENGTH, 32)
    exact = part(x)
    rounded = part.to(torch.bfloat16)(x.bfloat16()).float()
    assert (exact - rounded).abs().max() < 0.02 * exact.abs().max()


def test_gradients_do_not_depend_on_the_route():
    torch.manual_seed(0)
    part = Attention(32, 4)
    x = torch.randn(2, LENGTH, 32)
    part(x).square().sum().backward()
    fused = [p.grad.clone() for p in part.parameters()]
    part.zero_grad()
    with observe(part):
        part(x).square().sum().backward()
    assert_close([p.grad for p in part.parameters()], fused, atol=1e-5, rtol=1e-4)


def test_dropout_acts_in_training_alone():
    torch.manual_seed(0)
    part = Attention(32, 4, dropout=0.5)
    x = torch.randn(2, LENGTH, 32)
    assert not torch.equal(part(x), part(x))
    part.eval()
    assert torch.equal(part(x), part(x))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((30, 4), "n_embd=30 and n_head=4"),
        ((32, 4, 3), "n_head=4 and n_kv_head=3"),
        ((0, 4), "n_embd=0"),
        ((32, 0), "n_head=0"),
    ],
)
def test_bad_head_counts_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        Attention(*arguments)


def test_rotary_needs_an_even_head_size():
    with pytest.raises(ValueError, match="head_size 5"):
        RotaryPositions(8, 5)


def test_rotary_depends_on_the_distance_alone():
    turn = RotaryPositions(64, 8)
    q, k = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    near = (turn(q, 5) * turn(k, 2)).sum()
    far = (turn(q, 45) * turn(k, 42)).sum()
    assert math.isclose(near, far, abs_tol=1e-5)


def test_positions_beyond_the_table_are_refused():
    """Where one row was left, it served for all positions."""
    x = torch.randn(1, 3, 1, 4)
    for positions in (RotaryPositions(1, 4), RotaryPositions(8, 4)):
        last = positions.cos.shape[0] - 1
        assert positions(x[:, :1], last).shape == (1, 1, 1, 4)
        with pytest.raises(RuntimeError, match="exceeds dimension size"):
            positions(x, last)
    for table in (LearnedPositions(8, 4), SinusoidalPositions(8, 4)):
        with pytest.raises(RuntimeError, match="exceeds dimension size"):
            table(7, 3)
