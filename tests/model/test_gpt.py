"""GPT against transformers, its cache against itself, its size against torch."""

import itertools
import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from llmlib.model.bigram import Bigram
from llmlib.model.blocks import MLP, LayerNorm, NGramEmbedding, RMSNorm, SwiGLU
from llmlib.model.cache import KVCache
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.model.observe import observe
from llmlib.model.positions import SinusoidalPositions
from llmlib.model.size import size_report

SMALL = GPTConfig(vocab_size=50, block_size=32, n_layer=2, n_head=4, n_embd=32)
LLAMA = replace(
    SMALL,
    n_kv_head=2,
    n_hidden=40,
    positions="rotary",
    norm="rmsnorm",
    feed_forward="swiglu",
    tie_word_embeddings=False,
)
FAST = replace(
    SMALL,
    positions="rotary",
    rope_theta=1000.0,
    norm_affine=False,
    embedding_norm=True,
    feed_forward="swiglu",
    tie_word_embeddings=False,
    ngram_rows=11,
    smear=3,
    init="zero_output",
)
SPARSE = [
    replace(SMALL, attention="sliding_window", window=5, positions="sinusoidal"),
    replace(SMALL, attention="strided", window=3, stride=4, feed_forward="relu2"),
    replace(SMALL, positions="none", bias=True, feed_forward="gelu_tanh"),
]
SHAPES = [SMALL, LLAMA, FAST, *SPARSE]


def random_model(config, dtype=torch.float64):
    """A model whose weights are all random, those that start at zero too."""
    torch.manual_seed(0)
    model = GPT(config).to(dtype).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    return model


@pytest.mark.parametrize("tied", [False, True])
def test_llama_shape_equals_transformers(tied):
    config = replace(LLAMA, tie_word_embeddings=tied)
    ours = random_model(config, torch.float32)
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=32,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=32,
            rms_norm_eps=1e-5,
            tie_word_embeddings=tied,
        )
    ).eval()
    names = {
        "blocks.": "layers.",
        ".attention.": ".self_attn.",
        ".feed_forward.": ".mlp.",
        "attention_norm": "input_layernorm",
        "feed_forward_norm": "post_attention_layernorm",
    }
    state = {}
    for name, weight in ours.state_dict().items():
        for here, there in names.items():
            name = name.replace(here, there)
        state[name if name == "lm_head.weight" else f"model.{name}"] = weight
    theirs.load_state_dict(state)
    ids = torch.randint(50, (3, 32))
    assert_close(ours(ids), theirs(ids).logits, atol=1e-4, rtol=1e-4)


def test_gpt2_shape_equals_transformers():
    config = replace(SMALL, bias=True, feed_forward="gelu_tanh")
    ours = random_model(config, torch.float32)
    theirs = GPT2LMHeadModel(
        GPT2Config(vocab_size=50, n_positions=32, n_embd=32, n_layer=2, n_head=4)
    ).eval()
    mine = ours.state_dict()
    state = {
        "transformer.wte.weight": mine["embed_tokens.weight"],
        "transformer.wpe.weight": mine["position_embedding.weight"],
        "lm_head.weight": mine["lm_head.weight"],
    }
    for kind in ("weight", "bias"):
        state[f"transformer.ln_f.{kind}"] = mine[f"norm.{kind}"]
        for i in range(2):
            here, there = f"blocks.{i}", f"transformer.h.{i}"
            qkv = [mine[f"{here}.attention.{p}_proj.{kind}"] for p in "qkv"]
            layers = {
                "attn.c_attn": torch.cat(qkv),
                "attn.c_proj": mine[f"{here}.attention.o_proj.{kind}"],
                "mlp.c_fc": mine[f"{here}.feed_forward.up_proj.{kind}"],
                "mlp.c_proj": mine[f"{here}.feed_forward.down_proj.{kind}"],
            }
            for name, weight in layers.items():
                state[f"{there}.{name}.{kind}"] = (
                    weight.T if weight.ndim == 2 else weight
                )
            state[f"{there}.ln_1.{kind}"] = mine[f"{here}.attention_norm.{kind}"]
            state[f"{there}.ln_2.{kind}"] = mine[f"{here}.feed_forward_norm.{kind}"]
    theirs.load_state_dict(state)
    ids = torch.randint(50, (3, 32))
    assert_close(ours(ids), theirs(ids).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("config", SHAPES)
@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(1, 31)))
def test_any_cutting_into_cached_chunks_gives_the_full_forward(config, cuts):
    model = random_model(config)
    ids = torch.randint(50, (2, 32))
    cache = KVCache(model, 2)
    edges = [0, *sorted(cuts), 32]
    pairs = itertools.pairwise(edges)
    chunks = [model(ids[:, a:b], cache) for a, b in pairs]
    assert cache.length == 32
    assert_close(torch.cat(chunks, dim=1), model(ids), atol=1e-10, rtol=1e-10)


def test_cache_can_be_reset_and_reordered():
    model = random_model(FAST)
    ids = torch.randint(50, (3, 10))
    rows = torch.tensor([2, 0, 0])
    cache = KVCache(model, 3)
    model(ids[:, :5], cache)
    cache.reset()
    model(ids[:, :6], cache)
    cache.reorder(rows)
    expected = model(torch.cat([ids[rows, :6], ids[:, 6:]], dim=1))[:, 6:]
    assert_close(model(ids[:, 6:], cache), expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("config", SHAPES)
def test_cache_takes_back(config):
    model = random_model(config)
    ids = torch.randint(50, (2, 20))
    cache = KVCache(model, 2)
    model(ids[:, :9], cache)
    model(torch.randint(50, (2, 6)), cache)  # guesses, all of them wrong
    cache.take_back(6)
    assert cache.length == 9
    assert_close(model(ids[:, 9:], cache), model(ids)[:, 9:], atol=1e-10, rtol=1e-10)


def test_cache_holds_no_graph():
    model = GPT(replace(SMALL, smear=2))
    cache = KVCache(model)
    for _ in range(2):
        assert model(torch.randint(50, (1, 3)), cache).requires_grad
    stored = [*cache.keys, *cache.values, cache.embedded]
    assert not any(tensor.requires_grad for tensor in stored)


def test_cache_refuses_what_it_cannot_hold():
    model = random_model(SMALL)
    cache = KVCache(model)
    model(torch.zeros(1, 30, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match=r"30 \+ 3 positions .* block_size=32"):
        model(torch.zeros(1, 3, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match="everything"):
        KVCache(GPT(replace(SMALL, attention="everything")))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        KVCache(model, 0)


@pytest.mark.parametrize(("rows", "room"), [(1, 3), (3, 1), (2, 3)])
@pytest.mark.parametrize("config", [SMALL, FAST])
def test_cache_of_another_batch_size_is_refused(config, rows, room):
    model = random_model(config)
    cache = KVCache(model, room)
    with pytest.raises(ValueError, match=f"has {rows} rows, the cache room for {room}"):
        model(torch.zeros(rows, 3, dtype=torch.int64), cache)
    assert cache.length == 0


@pytest.mark.parametrize(("filled", "back"), [(0, 3), (3, 4), (3, -1)])
def test_cache_gives_back_no_more_than_it_holds(filled, back):
    model = random_model(SMALL)
    cache = KVCache(model)
    model(torch.zeros(1, filled, dtype=torch.int64), cache)
    with pytest.raises(ValueError, match=f"cannot take back {back} of {filled} pos"):
        cache.take_back(back)
    assert cache.length == filled


@pytest.mark.parametrize("config", SHAPES)
def test_no_position_sees_the_future(config):
    model = random_model(config)
    ids = torch.randint(50, (1, 32))
    other = ids.clone()
    other[:, 20] = (other[:, 20] + 1) % 50
    same, changed = model(ids), model(other)
    assert torch.equal(same[:, :20], changed[:, :20])
    assert not torch.allclose(same[:, 20:], changed[:, 20:])


@pytest.mark.parametrize("config", SHAPES)
def test_observing_changes_nothing_and_records_every_block(config):
    model = random_model(config)
    ids = torch.randint(50, (2, 32))
    with observe(model) as seen:
        watched = model(ids)
    assert_close(watched, model(ids), atol=1e-10, rtol=1e-10)
    assert sorted(seen) == ["blocks.0.attention", "blocks.1.attention"]
    for weights in seen.values():
        assert weights.shape == (2, 4, 32, 32)
        assert not weights.requires_grad
        ones = torch.ones(2, 4, 32, dtype=torch.float64)
        assert_close(weights.sum(-1), ones)
    kept = seen["blocks.0.attention"].clone()
    model(torch.randint(50, (1, 8)))
    assert torch.equal(seen["blocks.0.attention"], kept)


def test_fast_shape_starts_at_a_uniform_guess():
    torch.manual_seed(0)
    assert (GPT(FAST)(torch.randint(50, (2, 32))) == 0).all()


def test_plain_shape_starts_near_a_uniform_guess():
    torch.manual_seed(0)
    logits = GPT(SMALL)(torch.randint(50, (2, 32)))
    assert logits.abs().max() < 0.6
    assert logits.abs().max() > 0


WIDE = {"vocab_size": 300, "n_layer": 8, "n_embd": 128}


def spreads(config):
    """The standard deviation of each matrix of a new model by its layer's name."""
    torch.manual_seed(0)
    named = GPT(replace(config, **WIDE)).named_parameters()
    return {n.split(".")[-2]: w.std() for n, w in named if n.endswith("weight")}


def test_the_plain_shape_starts_as_gpt2():
    biased = replace(SMALL, bias=True)
    found = spreads(biased)
    for name in ("q_proj", "k_proj", "v_proj", "up_proj", "embed_tokens"):
        assert_close(found[name], torch.tensor(0.02), rtol=0.05, atol=0)
    for name in ("o_proj", "down_proj"):  # 0.02 / √(2 · n_layer)
        assert_close(found[name], torch.tensor(0.005), rtol=0.05, atol=0)
    assert all(not b.any() for n, b in GPT(biased).named_parameters() if "bias" in n)


def test_the_fast_shape_starts_with_spread_1_and_silent_outputs():
    found = spreads(FAST)
    for name in ("q_proj", "k_proj", "v_proj", "up_proj", "gate_proj"):
        assert_close(found[name], torch.tensor(128**-0.5), rtol=0.05, atol=0)
    assert_close(found["embed_tokens"], torch.tensor(1.0), rtol=0.05, atol=0)
    assert all(found[name] == 0 for name in ("o_proj", "down_proj", "lm_head"))
    learned = spreads(replace(FAST, positions="learned"))["position_embedding"]
    assert_close(learned, torch.tensor(0.02), rtol=0.05, atol=0)


def test_sinusoidal_positions_are_their_formula():
    waves = SinusoidalPositions(block_size=30, n_embd=7)(start=20, length=10)
    for t, i in itertools.product(range(10), range(7)):
        angle = (20 + t) / 10_000 ** ((i - i % 2) / 7)
        expected = math.cos(angle) if i % 2 else math.sin(angle)
        assert math.isclose(waves[t, i], expected, abs_tol=1e-6)


def test_size_report_names_parts_and_megabytes():
    config = GPTConfig(1000, 64, n_layer=2, n_head=4, n_embd=100, bias=True)
    report = size_report(replace(config, tie_word_embeddings=False))
    counted = {part.part: part.parameters for part in report.parts}
    assert counted == {
        "token embedding": 1000 * 100,
        "position embedding": 64 * 100,
        "attention": 2 * 4 * (100 * 100 + 100),
        "feed-forward": 2 * (2 * 100 * 400 + 400 + 100),
        "norms": 5 * 2 * 100,
        "output head": 1000 * 100,
    }
    lines = str(report).splitlines()
    shares = {line[:20].strip(): line.split()[-3::2] for line in lines[1:-1]}
    n, flops = report.parameters, report.flops_per_token
    assert shares["all"] == ["100.0%", "100.0%"]
    assert shares["output head"] == [f"{1e5 / n:.1%}", f"{2e5 / flops:.1%}"]
    assert lines[-1] == (
        f"in float32: {4 * n / 1e6:.1f} MB of weights, {16 * n / 1e6:.1f} MB to train, "
        f"{4 * 2 * 2 * 64 * 100 / 1e6:.1f} MB of cache for one text"
    )


@pytest.mark.parametrize("config", SHAPES)
def test_size_report_counts_what_torch_counts(config):
    model = GPT(config)
    report = size_report(config)
    assert report.parameters == sum(p.numel() for p in model.parameters())
    ids = torch.zeros(1, config.block_size, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter, observe(model):
        model(ids)
    assert report.flops_per_token * config.block_size == counter.get_total_flops()
    assert str(report.parameters) in str(report).replace(",", "")


@pytest.mark.parametrize("config", SHAPES)
def test_size_report_counts_the_cache(config):
    cache = KVCache(GPT(config))
    stored = [*cache.keys, *cache.values, cache.embedded]
    numbers, ids = sum(tensor.numel() for tensor in stored), cache.ids.nbytes
    assert size_report(config).cache_bytes() == 4 * numbers + ids
    assert size_report(config).cache_bytes(2) == 2 * numbers + ids


def test_config_round_trips_through_plain_values():
    for config in SHAPES:
        assert GPTConfig(**asdict(config)) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"block_size": 0}, "block_size must be at least 1, got 0"),
        ({"n_layer": 0}, "n_layer"),
        ({"n_head": 3}, "n_embd=32 and n_head=3"),
        ({"n_kv_head": 3}, "n_head=4 and n_kv_head=3"),
        ({"dropout": 1.1}, "dropout .* 1.1"),
        ({"dropout": float("nan")}, "dropout .* nan"),
        ({"norm": "batch"}, "'batch'; allowed: layernorm, rmsnorm"),
        ({"positions": "alibi"}, "'alibi'; allowed: learned, sinusoidal, rotary, none"),
        ({"feed_forward": "tanh"}, "'tanh'; allowed: gelu, gelu_tanh, relu2, swiglu"),
        ({"attention": "full"}, "'full'; allowed: causal"),
        ({"attention": "sliding_window"}, "needs window of at least 1, got 0"),
        ({"attention": "strided", "window": 3}, "needs stride"),
        ({"window": 3}, "takes no window"),
        ({"init": "xavier"}, "'xavier'; allowed"),
        ({"init": "zero_output"}, "tie_word_embeddings=False"),
        ({"positions": "rotary", "n_embd": 36}, "even head size"),
        ({"rope_theta": 0.0}, "rope_theta"),
        ({"rope_theta": float("inf")}, "rope_theta must be .* finite, got inf"),
        ({"smear": -1}, "smear"),
        ({"ngram_rows": -1}, "ngram_rows must be at least 0, got -1"),
    ],
)
def test_impossible_configs_are_refused_at_construction(change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"n_head": 4.0},
        {"n_layer": True},
        {"norm": 3},
        {"bias": "no"},
        {"dropout": "0.1"},
    ],
)
def test_wrong_types_are_type_errors(change):
    name = next(iter(change))
    with pytest.raises(TypeError, match=name):
        replace(SMALL, **change)


def test_numpys_integers_become_pythons():
    config = replace(SMALL, vocab_size=np.int64(65), n_kv_head=np.int32(2))
    assert type(config.vocab_size) is type(config.n_kv_head) is int
    assert json.loads(json.dumps(asdict(config)))["vocab_size"] == 65


@pytest.mark.parametrize("bad", [50, -1])
def test_ids_outside_the_vocabulary_are_named(bad):
    ids = torch.tensor([[1, bad]])
    with pytest.raises(ValueError, match=f"{bad}.*allowed are 0 to 49"):
        GPT(SMALL)(ids)
    with pytest.raises(ValueError, match=f"{bad}.*allowed are 0 to 49"):
        Bigram(50)(ids)


@pytest.mark.parametrize(
    ("ids", "error", "words"),
    [
        (torch.zeros(3, dtype=torch.int64), ValueError, r"\(B, T\), got \(3,\)"),
        (torch.zeros(2, 3, 1, dtype=torch.int64), ValueError, r"got \(2, 3, 1\)"),
        ([[1, 2]], TypeError, "got list"),
        (torch.zeros(2, 3), TypeError, "got torch.float32"),
        (torch.zeros(2, 3, dtype=torch.uint8), TypeError, "got torch.uint8"),
    ],
)
def test_ids_of_another_form_are_named(unchecked, ids, error, words):
    with pytest.raises(error, match=words):
        GPT(SMALL)(ids)


def test_context_longer_than_block_size_is_refused():
    with pytest.raises(ValueError, match="33 positions do not fit into block_size=32"):
        GPT(SMALL)(torch.zeros(1, 33, dtype=torch.int64))


def test_bigram_is_a_table():
    model = Bigram(7)
    with torch.no_grad():
        model.table.normal_()
    ids = torch.randint(7, (2, 5))
    assert torch.equal(model(ids)[1, 3], model.table[ids[1, 3]])


@pytest.mark.parametrize("bias", [False, True])
def test_layer_norm_equals_torch(bias):
    x = torch.randn(4, 5, 16)
    ours, theirs = LayerNorm(16, bias=bias), nn.LayerNorm(16, bias=bias)
    assert_close(ours(x), theirs(x))
    plain = LayerNorm(16, affine=False)
    assert not list(plain.parameters())
    assert_close(plain(x), nn.LayerNorm(16, elementwise_affine=False)(x))


def test_rms_norm_equals_torch():
    x = torch.randn(4, 5, 16)
    assert_close(RMSNorm(16)(x), nn.RMSNorm(16, eps=1e-5)(x))
    assert not list(RMSNorm(16, affine=False).parameters())


def test_feed_forward_layers_are_their_formulas():
    x = torch.randn(4, 5, 12)
    theirs = {
        "gelu": nn.GELU(),
        "gelu_tanh": nn.GELU(approximate="tanh"),
        "relu2": lambda h: torch.relu(h) ** 2,
    }
    for name, activation in theirs.items():
        part = MLP(12, activation=name)
        hidden = activation(x @ part.up_proj.weight.T)
        assert_close(part(x), hidden @ part.down_proj.weight.T)
    gated = SwiGLU(12)
    assert gated.gate_proj.out_features == 32
    gate = nn.functional.silu(x @ gated.gate_proj.weight.T)
    hidden = gate * (x @ gated.up_proj.weight.T)
    assert_close(gated(x), hidden @ gated.down_proj.weight.T)
    with pytest.raises(ValueError, match="'tanh'; allowed: gelu"):
        MLP(12, activation="tanh")


@pytest.mark.parametrize("shape", [(2, 5), (0, 5), (2, 0)])
def test_a_model_without_memory_has_shapes(shape):
    with torch.device("meta"):
        logits = GPT(SMALL)(torch.zeros(shape, dtype=torch.int64))
    assert logits.shape == (*shape, 50)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float32])
def test_a_bigram_takes_ids_and_no_mask(unchecked, dtype):
    with pytest.raises(TypeError, match="ids must be a tensor of int64 or int32"):
        Bigram(3)(torch.ones(3, 3, dtype=dtype))


def test_a_compiled_model_is_observed_as_itself():
    model, ids = random_model(SMALL), torch.randint(50, (1, 6))
    with observe(model) as expected, torch.no_grad():
        model(ids)
    with observe(torch.compile(model, backend="eager")) as seen, torch.no_grad():
        model(ids)
    assert seen.keys() == expected.keys()
    assert all(torch.equal(seen[name], expected[name]) for name in seen)


@pytest.mark.parametrize("rows", [1, 6, 100_003])
def test_ngrams_are_looked_up_by_a_hash_of_their_tokens(rows):
    torch.manual_seed(0)
    table = NGramEmbedding(rows, 3).double()
    ids = torch.randint(2**31 - 1, (2, 9))

    def expected(text, position):
        total = torch.zeros(3, dtype=torch.float64)
        for n in (2, 3, 4):
            code = 0
            for back in range(n):
                id_ = text[position - back] if position >= back else 0
                code = (code + id_ * 2654435761**back) % 2**32
            total += table.weight[code % rows]
        return total

    plain = [[expected(text, i) for i in range(9)] for text in ids.tolist()]
    plain = torch.stack([torch.stack(row) for row in plain])
    assert_close(table(ids), plain)
    assert_close(table(ids.int()), plain)


def test_a_table_of_ngrams_starts_at_zero_where_blocks_do():
    assert not GPT(FAST).embed_ngrams.weight.any()
    drawn = GPT(replace(SMALL, ngram_rows=4000)).embed_ngrams.weight
    assert_close(drawn.std().item(), 0.02, atol=0.001, rtol=0)
