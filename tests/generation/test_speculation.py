"""Guessing changes how often the model is read, and never what is written."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmlib.evaluation.ngrams import NGram
from llmlib.generation.decoding import generate, write
from llmlib.generation.packing import packed
from llmlib.generation.sampling import Sampling
from llmlib.generation.speculation import GUESSES
from llmlib.model.bigram import Bigram
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.text.tokenizers import CharTokenizer

GREEDY = Sampling(temperature=0)
PLAIN = GPTConfig(vocab_size=13, block_size=16, n_layer=2, n_head=2, n_embd=16)
SMEARED = replace(
    PLAIN,
    positions="rotary",
    n_kv_head=1,
    ngram_rows=10,
    smear=3,
    attention="sliding_window",
    window=3,
)


def random_gpt(config, seed=0):
    torch.manual_seed(seed)
    model = GPT(config).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model


def counted(seed=0):
    torch.manual_seed(seed)
    return NGram(3, 13).fit(torch.randint(13, (300,)))


def stubborn(ids):
    """Always guesses 5."""
    return torch.eye(13)[5].log().clamp(min=-99).expand(*ids.shape, 13)


DRAFTS = {
    "itself": random_gpt(PLAIN),
    "another": random_gpt(SMEARED, seed=1),
    "short": random_gpt(replace(PLAIN, block_size=3)),
    "one id": random_gpt(replace(PLAIN, block_size=1)),
    "counts": counted(),
    "bigram": Bigram(13),
    "stubborn": stubborn,
}


@pytest.mark.parametrize("draft", DRAFTS.values(), ids=DRAFTS)
@pytest.mark.parametrize("config", [PLAIN, SMEARED], ids=["plain", "smeared"])
@settings(max_examples=20, deadline=None)
@given(
    prompt=st.lists(st.integers(0, 12), min_size=1, max_size=20),
    n=st.integers(0, 40),
    sampling=st.sampled_from(
        [GREEDY, Sampling(seed=3), Sampling(0.5, 4, 0.9, None, 1.3, seed=8)]
    ),
)
def test_the_same_ids_with_any_draft(config, draft, prompt, n, sampling):
    model = random_gpt(config)
    expected = list(generate(model, prompt, n, sampling))
    assert list(generate(model, prompt, n, sampling, draft)) == expected


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(seed=1)])
def test_right_guesses_save_readings(sampling):
    """A draft that is always right: the model is read once for GUESSES + 1 ids."""
    model = random_gpt(replace(PLAIN, block_size=64))
    draft = random_gpt(replace(PLAIN, block_size=64))
    lengths = []
    model.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))
    n = 6 * (GUESSES + 1)
    list(generate(model, [1, 2, 3], n, sampling, draft))
    assert lengths == [3 + GUESSES] + [1 + GUESSES] * 5


def test_wrong_guesses_cost_no_more_readings():
    model = random_gpt(replace(PLAIN, block_size=64))
    expected = list(generate(model, [1], 30, GREEDY))
    never = next(i for i in range(13) if i not in expected)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))

    def wrong(ids):
        return torch.eye(13)[never].expand(*ids.shape, 13)

    assert list(generate(model, [1], 30, GREEDY, wrong)) == expected
    assert len(calls) == 30


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_packed_models_take_guesses(weights):
    model = packed(random_gpt(PLAIN).float(), weights)
    expected = list(generate(model, [1, 2], 60, GREEDY))
    assert list(generate(model, [1, 2], 60, GREEDY, DRAFTS["itself"])) == expected


def test_ids_come_as_they_are_chosen():
    model, calls = random_gpt(PLAIN), []
    model.register_forward_hook(lambda *_: calls.append(1))
    stream = generate(model, [1], 10**9, GREEDY, random_gpt(PLAIN))
    assert not calls
    for _ in range(GUESSES + 1):
        next(stream)
    assert len(calls) == 1


def test_write_takes_a_draft():
    tokenizer = CharTokenizer.train("abcdefghijklm")
    model, calls = random_gpt(PLAIN), []
    expected = "".join(write(model, tokenizer, "abc", 30, GREEDY))
    model.register_forward_hook(lambda *_: calls.append(1))
    pieces = write(model, tokenizer, "abc", 30, GREEDY, draft=random_gpt(PLAIN))
    assert "".join(pieces) == expected
    assert len(calls) < 30


def test_drafts_that_cannot_guess():
    model = random_gpt(PLAIN)
    with pytest.raises(ValueError, match="the same 13 tokens, not 14"):
        generate(model, [1], 5, GREEDY, Bigram(14))
    with pytest.raises(TypeError, match="a draft must be a model, not 'stories'"):
        generate(model, [1], 5, GREEDY, "stories")
    with pytest.raises(ValueError, match="only a GPT has"):
        generate(counted(), [1], 5, GREEDY, model)


def test_logits_without_a_choice_are_refused_as_ever():
    model = random_gpt(PLAIN)
    with torch.no_grad():
        model.norm.weight.fill_(math.nan)
    with pytest.raises(ValueError, match="finite"):
        list(generate(model, [1], 5, GREEDY, stubborn))
