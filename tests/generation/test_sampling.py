"""Each rule against transformers' logits processors, the draw against JavaScript."""

import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from llmlib.generation.sampling import (
    Sampling,
    choose,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    next_id,
    penalise,
    probabilities,
    soften,
)

# node -e 'const draw = (s, t) => { const a = (s + (t + 1) * 0x6D2B79F5) | 0;
#   let x = Math.imul(a ^ a >>> 15, a | 1); x ^= x + Math.imul(x ^ x >>> 7, x | 61);
#   return ((x ^ x >>> 14) >>> 0) / 2 ** 32 }
#   for (const s of [0, 1, 1337, 2 ** 32 - 1])
#     console.log(s, [0, 1, 2, 3, 1000].map(t => draw(s, t)))'
DRAWS = {
    0: [
        0.26642920868471265,
        0.0003297457005828619,
        0.2232720274478197,
        0.1462021479383111,
        0.7286102059297264,
    ],
    1: [
        0.6270739405881613,
        0.002735721180215478,
        0.5274470399599522,
        0.9810509674716741,
        0.22846644930541515,
    ],
    1337: [
        0.1844118325971067,
        0.18998925131745636,
        0.8104719922412187,
        0.6437488221563399,
        0.4615255924873054,
    ],
    2**32 - 1: [
        0.8964226141106337,
        0.189478256739676,
        0.7156526781618595,
        0.9440599093213677,
        0.3559702388010919,
    ],
}

settings_of_rules = st.builds(
    Sampling,
    temperature=st.sampled_from([0.3, 0.8, 1.0, 2.5]),
    top_k=st.sampled_from([None, 1, 3, 20, 29, 30]),
    top_p=st.sampled_from([None, 0.1, 0.5, 0.9, 1.0]),
    min_p=st.sampled_from([None, 0.0, 0.05, 0.5, 1.0]),
    repetition_penalty=st.sampled_from([0.7, 1.0, 1.3]),
)


def transformers_probabilities(logits, sampling, previous):
    scores, ids = logits[None], torch.tensor([previous])
    rules = [
        (sampling.repetition_penalty, RepetitionPenaltyLogitsProcessor),
        (sampling.temperature, TemperatureLogitsWarper),
        (sampling.top_k, TopKLogitsWarper),
        (sampling.top_p, TopPLogitsWarper),
        (sampling.min_p, MinPLogitsWarper),
    ]
    for value, rule in rules:
        if value is not None:
            scores = rule(value)(ids, scores)
    return scores[0].softmax(-1)


@given(settings_of_rules, st.integers(0, 10**6))
@settings(deadline=None, max_examples=200)
def test_rules_in_order_equal_transformers(sampling, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(30, dtype=torch.float64, generator=generator)
    previous = torch.randint(30, (12,), generator=generator).tolist()
    ours = probabilities(logits, sampling, previous)
    assert ours.dtype == torch.float64
    assert_close(ours.sum().item(), 1.0)
    assert_close(ours, transformers_probabilities(logits, sampling, previous))


def test_unchanged_is_softmax():
    logits = torch.randn(50, dtype=torch.bfloat16)
    assert_close(probabilities(logits), logits.double().softmax(-1))


def test_penalise():
    logits = torch.tensor([2.0, -2.0, 0.0, 3.0, -math.inf])
    expected = torch.tensor([1.0, -4.0, 0.0, 3.0, -math.inf])
    assert torch.equal(penalise(logits, [1, 0, 0, 2, 4, 1], 2.0), expected)
    assert torch.equal(penalise(logits, torch.tensor([1, 0, 2, 4]), 2.0), expected)
    assert torch.equal(penalise(logits, [], 2.0), logits)


def test_temperature():
    logits = torch.tensor([1.0, 3.0, 2.0, 3.0], dtype=torch.float64)
    assert soften(logits, 0).tolist() == [0, 1, 0, 0]
    assert soften(logits, 1e-320).tolist() == [0, 0.5, 0, 0.5]
    assert_close(soften(logits, 1e308), torch.full((4,), 0.25, dtype=torch.float64))
    assert next_id(logits, Sampling(temperature=0), 0) == 1


def test_top_k_keeps_ties_at_the_border():
    p = torch.tensor([0.1, 0.3, 0.2, 0.2, 0.2])
    assert keep_top_k(p, 1).count_nonzero() == 1
    assert torch.equal(keep_top_k(p, 2), torch.tensor([0, 0.3, 0.2, 0.2, 0.2]))
    for k in (5, 6, 10**9):
        assert torch.equal(keep_top_k(p, k), p)


def test_top_p_reaches_p_with_the_fewest_and_lowest_ids():
    p = torch.tensor([0.125, 0.25, 0.25, 0.125, 0.25], dtype=torch.float64)
    for top_p, kept in [(0.01, [1]), (0.25, [1]), (0.26, [1, 2]), (0.75, [1, 2, 4])]:
        assert keep_top_p(p, top_p).nonzero()[:, 0].tolist() == kept
    assert keep_top_p(p, 0.8).nonzero()[:, 0].tolist() == [0, 1, 2, 4]
    assert torch.equal(keep_top_p(p, 1.0), p)


def test_min_p_is_relative_to_the_largest():
    p = torch.tensor([0.5, 0.25, 0.125, 0.125])
    assert torch.equal(keep_min_p(p, 0.0), p)
    assert torch.equal(keep_min_p(p, 0.25), p)
    assert torch.equal(keep_min_p(p, 0.5), torch.tensor([0.5, 0.25, 0, 0]))
    assert torch.equal(keep_min_p(p, 1.0), torch.tensor([0.5, 0, 0, 0]))


@pytest.mark.parametrize("seed", DRAWS)
def test_draw_equals_javascript(seed):
    assert [draw(seed, t) for t in (0, 1, 2, 3, 1000)] == DRAWS[seed]
    assert draw(seed + 2**32, 3) == draw(seed - 2**32, 3) == DRAWS[seed][3]


def test_draws_are_uniform():
    draws = np.array([draw(7, t) for t in range(20_000)])
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, 100, (0, 1))[0]
    chi_squared = ((counts - 200) ** 2 / 200).sum()
    assert 50 < chi_squared < 160  # 99 degrees of freedom


def test_choose():
    p = torch.tensor([0, 0.25, 0, 0.5, 0.25, 0], dtype=torch.float64)
    borders = [0.0, 0.25, 0.75]
    for u, chosen in zip(borders, [1, 3, 4], strict=True):
        assert choose(p, u) == chosen
        assert choose(p, u + 2**-32) == chosen
    for u, chosen in zip(borders[1:], [1, 3], strict=True):
        assert choose(p, u - 2**-32) == chosen
    assert choose(p, 1 - 2**-32) == 4


def test_choose_when_the_sum_is_rounded_down():
    p = torch.tensor([0.25, 0.5, 0], dtype=torch.float64)
    assert choose(p, 0.9) == 1


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_choose_is_the_first_cumulative_probability_above_u(seed, u):
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(20, dtype=torch.float64, generator=generator)
    p = keep_min_p(p / p.sum(), 0.5)
    p = p / p.sum()
    total, kept = 0.0, []
    for i, share in enumerate(p.tolist()):
        total += share
        if share:
            kept.append((i, total))
    expected = next((i for i, total in kept if total > u), kept[-1][0])
    assert choose(p, u) == expected


def test_frequencies_follow_the_probabilities():
    logits = torch.tensor([0.0, 1.0, 2.0, -math.inf])
    sampling = Sampling(temperature=1.5, seed=11)
    ids = [next_id(logits, sampling, t) for t in range(20_000)]
    frequencies = torch.bincount(torch.tensor(ids), minlength=4) / len(ids)
    expected = probabilities(logits, sampling)
    assert_close(frequencies.double(), expected, atol=0.01, rtol=0)
    assert frequencies[3] == 0


def test_seeds():
    assert Sampling(seed=5).seeded() == Sampling(seed=5)
    assert Sampling(seed=5).seeded(3) == Sampling(seed=8)
    torch.manual_seed(1)
    first, second = Sampling(top_k=2).seeded(), Sampling(top_k=2).seeded()
    assert first.seed != second.seed
    assert replace(first, seed=None) == Sampling(top_k=2)
    torch.manual_seed(1)
    assert Sampling(top_k=2).seeded() == first
    with pytest.raises(ValueError, match="seed"):
        next_id(torch.zeros(3), Sampling(), 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", 0),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", -0.5),
        ("top_p", 1.01),
        ("top_p", math.nan),
        ("min_p", -0.01),
        ("min_p", 1.01),
        ("min_p", math.nan),
        ("repetition_penalty", 0),
        ("repetition_penalty", -1.0),
        ("repetition_penalty", math.inf),
        ("repetition_penalty", math.nan),
    ],
)
def test_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*, not {value}"):
        Sampling(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, True) for name in Sampling.__dataclass_fields__],
        *[(name, "1") for name in Sampling.__dataclass_fields__],
        ("temperature", None),
        ("repetition_penalty", None),
        ("temperature", 1j),
        ("top_k", 2.0),
        ("seed", 1.5),
        ("top_p", [0.9]),
    ],
)
def test_values_that_are_no_such_numbers(name, value):
    with pytest.raises(TypeError, match=f"{name} must be"):
        Sampling(**{name: value})


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Sampling().top_k = 5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [np.int32, np.uint32, np.int64])
def test_settings_take_numpy_numbers(kind):
    logits, plain = torch.arange(9.0), Sampling(0.5, top_k=3, seed=2**31 - 1)
    sampling = Sampling(np.float32(0.5), top_k=kind(3), seed=kind(2**31 - 1))
    for t in range(4):
        assert next_id(logits, sampling, t) == next_id(logits, plain, t)
    assert sampling.seeded(1) == plain.seeded(1)


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_not_numbers(temperature, bad):
    sampling = Sampling(temperature=temperature, top_k=2, seed=0)
    with pytest.raises(ValueError, match="finite"):
        next_id(torch.tensor([0.0, bad, 1.0]), sampling, 0)


@pytest.mark.parametrize("penalty", [1.0, 1.5])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_logits_that_are_masked(temperature, penalty):
    sampling = Sampling(temperature, repetition_penalty=penalty, seed=0)
    with pytest.raises(ValueError, match="every id is masked"):
        next_id(torch.full((4,), -math.inf), sampling, 0, [1, 2])
    only = torch.tensor([-math.inf, -5.0, -math.inf])
    assert [next_id(only, sampling, t, [1]) for t in range(9)] == [1] * 9


def test_logits_of_another_shape():
    with pytest.raises(ValueError, match="one row"):
        probabilities(torch.zeros(1, 5))
