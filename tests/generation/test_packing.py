"""A packed model against the model itself: the same text, numbers within rounding."""

import time
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from llmlib.evaluation.metrics import mean_loss
from llmlib.generation import packing
from llmlib.generation.decoding import beam_search, generate, generate_batch
from llmlib.generation.packing import HalvedLinear, Int8Linear, packed
from llmlib.generation.sampling import Sampling
from llmlib.model.attention import Attention
from llmlib.model.cache import KVCache
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.model.observe import observe
from llmlib.training.saving import load_model

GREEDY = Sampling(temperature=0)
GPT2 = GPTConfig(
    vocab_size=23, block_size=16, n_layer=2, n_head=2, n_embd=32, bias=True
)
LLAMA = replace(
    GPT2,
    n_head=4,
    n_kv_head=2,
    bias=False,
    positions="rotary",
    norm="rmsnorm",
    feed_forward="swiglu",
    n_hidden=40,  # not whole blocks of 16
    tie_word_embeddings=False,
)
WINDOW = replace(LLAMA, attention="sliding_window", window=3)
SMEARED = replace(LLAMA, ngram_rows=17, smear=3, embedding_norm=True, norm_affine=False)
SHAPES = pytest.mark.parametrize("config", [GPT2, LLAMA, WINDOW, SMEARED])
PACKINGS = pytest.mark.parametrize(
    ("weights", "tolerance"), [("float32", 1e-5), ("int8", 0.05)]
)


@pytest.fixture(params=["halved", "whole"])
def halving(request, monkeypatch):
    """Both forms of packed float32, whichever is faster here."""
    monkeypatch.setattr(packing, "halving_pays", lambda: request.param == "halved")


def random_model(config):
    torch.manual_seed(0)
    model = GPT(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    return model


def read_in_parts(model, ids):
    """Logits of all positions through a cache, the first five ids at once."""
    cache = KVCache(model, len(ids))
    parts = [ids[:, :5], *ids[:, 5:].split(1, dim=1)]
    return torch.cat([model(part, cache) for part in parts], dim=1)


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("shape", [(0, 5), (2, 0)])
def test_nothing_to_read_is_no_mistake(weights, shape):
    logits = packed(random_model(GPT2), weights)(torch.zeros(shape).long())
    assert logits.shape == (*shape, 23)


@pytest.mark.usefixtures("halving")
@SHAPES
@PACKINGS
def test_logits_are_those_of_the_model(config, weights, tolerance):
    model, ids = random_model(config), torch.arange(32).view(2, 16) % 23
    fast = packed(model, weights)
    with torch.no_grad():
        whole, expected = fast(ids), model(ids)
        parts = read_in_parts(fast, ids)
    for logits in (whole, parts):
        assert (logits - expected).std() < tolerance * expected.std()
        assert logits.dtype == expected.dtype


@pytest.mark.usefixtures("halving")
@SHAPES
@pytest.mark.parametrize("sampling", [GREEDY, Sampling(0.9, 9, 0.9, 0.01, 1.2, seed=4)])
def test_float32_writes_the_same_text(config, sampling):
    model = random_model(config)
    fast = packed(model, "float32")
    ids = list(generate(model, [1, 2, 3], 40, sampling))
    assert list(generate(fast, [1, 2, 3], 40, sampling)) == ids
    prompts = [[1, 2, 3], [4], [5, 6, 7]]
    rows = generate_batch(model, prompts, 20, replace(sampling, seed=1))
    assert generate_batch(fast, prompts, 20, replace(sampling, seed=1)) == rows
    assert beam_search(fast, [1, 2], 10, 3) == beam_search(model, [1, 2], 10, 3)


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (16, 5), (17, 5), (40, 23)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7,), ()])
@pytest.mark.parametrize("bias", [True, False])
def test_int8_linear_is_a_product_with_rounded_numbers(n_in, n_out, shape, bias):
    torch.manual_seed(0)
    linear, x = nn.Linear(n_in, n_out, bias=bias), torch.randn(*shape, n_in)
    part = Int8Linear(linear)
    w = part.weight[:, :n_in] * part.scale.float()[:, None]
    half_a_step = 0.5 * part.scale.float()[:, None]
    clipped = 0.004 * linear.weight.abs()  # a scale that bfloat16 rounded down
    assert ((w - linear.weight).abs() <= half_a_step + clipped).all()
    expected = F.linear(x.bfloat16().float(), w, linear.bias)
    assert_close(part(x), expected, atol=0.01, rtol=0.01)


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (16, 5), (17, 6), (40, 23)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7,), (1,), ()])
@pytest.mark.parametrize("bias", [True, False])
def test_a_halved_linear_is_the_same_linear(n_in, n_out, shape, bias):
    torch.manual_seed(0)
    linear = nn.Linear(n_in, n_out, bias=bias)
    x = torch.randn(n_in, *shape).movedim(0, -1)  # not in one piece
    assert_close(HalvedLinear(linear)(x), linear(x), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("slow", [HalvedLinear, nn.Linear])
def test_the_faster_of_the_two_is_chosen(slow, monkeypatch):
    monkeypatch.setattr(slow, "forward", lambda layer, x: time.sleep(0.01))
    packing.halving_pays.cache_clear()
    torch.manual_seed(0)
    try:
        fast = packed(random_model(LLAMA), "float32")
        drawn = torch.get_rng_state()
        random_model(LLAMA)
        assert torch.equal(torch.get_rng_state(), drawn)  # trying draws nothing
    finally:
        packing.halving_pays.cache_clear()
    assert isinstance(fast.lm_head, HalvedLinear) == (slow is nn.Linear)


def test_int8_linear_takes_what_linear_takes():
    linear = nn.Linear(32, 8, bias=False)
    part = Int8Linear(linear)
    x = torch.randn(32, 6, 2).transpose(0, 2)  # not in one piece
    assert_close(part(x), part(x.contiguous()))
    rows = x.contiguous().bfloat16()
    assert part(rows).dtype == torch.bfloat16
    shifted = torch.cat([rows.new_zeros(1), rows.flatten()])[1:].view(rows.shape)
    assert_close(part(shifted), part(rows), rtol=0, atol=0)  # begins at an odd place
    assert_close(part(x).detach(), linear(x).detach(), atol=0.03, rtol=0.03)
    linear.weight.data.zero_()
    assert_close(Int8Linear(linear)(x).detach(), linear(x).detach(), atol=0.01, rtol=0)


@pytest.mark.parametrize("name", ["shakespeare", "stories"])
def test_int8_predicts_as_well(name):
    """On what the model itself draws, nothing can predict better than the model."""
    model, tokenizer = load_model(name)
    drawn = generate(model, tokenizer.start_ids, 1500, Sampling(seed=0))
    ids = torch.tensor([*tokenizer.start_ids, *drawn])
    assert mean_loss(packed(model), ids) < 1.005 * mean_loss(model, ids)


@pytest.mark.usefixtures("halving")
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_the_model_is_left_as_it_was(weights):
    model = random_model(GPT2).train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    fast = packed(model, weights)
    assert isinstance(fast, GPT)
    assert not fast.training
    assert not any(w.requires_grad for w in fast.parameters())
    assert model.training
    assert all(w.requires_grad for w in model.parameters())
    assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert model.lm_head.weight is model.embed_tokens.weight


@pytest.mark.usefixtures("halving")
def test_attention_can_be_observed():
    model, ids = random_model(LLAMA), torch.arange(8)[None]
    with torch.no_grad(), observe(model) as expected:
        model(ids)
    fast = packed(model, "float32")
    with torch.no_grad(), observe(fast) as seen:
        fast(ids)
    assert_close(dict(seen), dict(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("halving")
def test_an_attention_of_ones_own_stays():
    class Halved(Attention):
        def attend(self, q, k, v, start):
            return super().attend(q, k, v, start) / 2

    model, ids = random_model(LLAMA), torch.arange(8)[None]
    model.blocks[0].attention.__class__ = Halved
    with torch.no_grad():
        assert_close(packed(model, "float32")(ids), model(ids), atol=1e-4, rtol=1e-5)


@SHAPES
def test_bfloat16_reads_the_same_within_its_digits(config):
    """With the cache too, as the speeds of a model in two bytes are measured."""
    model, ids = random_model(config), torch.arange(32).view(2, 16) % 23
    half = deepcopy(model).to(torch.bfloat16)
    with torch.no_grad():
        expected = model(ids)
        for logits in (half(ids), read_in_parts(half, ids)):
            assert (logits.float() - expected).std() < 0.05 * expected.std()


def test_what_cannot_be_packed(unchecked):
    with pytest.raises(TypeError, match="only a GPT can be packed, not 'stories'"):
        packed("stories")
    with pytest.raises(ValueError, match="float32 or int8, not 'int3'"):
        packed(random_model(GPT2), "int3")
    with pytest.raises(ValueError, match="CPU"):
        packed(random_model(GPT2).to("meta"))
