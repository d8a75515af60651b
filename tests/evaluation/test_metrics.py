"""Loss, bits per character and distance to the floor, against slow definitions."""

import math

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close
from torch.utils._pytree import tree_leaves

from llmlib.evaluation import windows
from llmlib.evaluation.metrics import (
    bits_per_character,
    distance_to_floor,
    mean_loss,
    mean_loss_at,
    next_token_loss,
    perplexity,
    token_bits,
)
from llmlib.evaluation.models import evaluating
from llmlib.evaluation.ngrams import NGram
from llmlib.evaluation.windows import batches, sliding_windows
from llmlib.generation.sampling import Sampling, next_id
from llmlib.model.bigram import Bigram
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.text.bpe import BPETokenizer
from llmlib.text.tokenizers import CharTokenizer, WordTokenizer

TEXT = "Anna had a red kite.\n\nShe lost it. Ben found the kite in a tree.\n\n" * 3
CHARS = CharTokenizer.train(TEXT)


def random_model(block_size, vocab_size=CHARS.vocab_size, dropout=0.0):
    torch.manual_seed(0)
    config = GPTConfig(vocab_size, block_size, 2, 2, 8, dropout=dropout)
    model = GPT(config).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    return model.eval()


def slow_bits(model, tokenizer, text):
    """One forward pass for each token, on what the definition lets it see."""
    ids = [*tokenizer.start_ids, *tokenizer.encode(text)]
    width = model.block_size
    step = max(1, width // 2)
    bits = []
    for target in range(len(tokenizer.start_ids), len(ids)):
        start = max(0, math.ceil((target - width) / step)) * step
        seen = ids[start:target]
        assert target <= width or len(seen) >= width / 2
        p = model(torch.tensor([seen]))[0, -1].detach().softmax(-1)
        bits.append(-math.log2(p[ids[target]]))
    return bits


def uniform(ids):
    return torch.zeros(*ids.shape, 64)


def test_next_token_loss_is_the_mean_of_minus_ln_p():
    logits = torch.randn(3, 5, 7, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(7, (3, 5))
    p = logits.detach().softmax(-1)
    each = [-math.log(p[b, t, targets[b, t]]) for b in range(3) for t in range(5)]
    loss = next_token_loss(logits, targets)
    assert_close(loss.item(), sum(each) / 15)
    loss.backward()
    one_hot = nn.functional.one_hot(targets, 7)
    assert_close(logits.grad, (p - one_hot) / 15)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_loss_of_short_floats_is_computed_in_float32(dtype):
    logits = (5 * torch.randn(4, 6, 50)).to(dtype)
    targets = torch.randint(50, (4, 6))
    loss = next_token_loss(logits, targets)
    assert loss.dtype == torch.float32
    exact = next_token_loss(logits.double(), targets)
    assert_close(loss, exact.float())


@pytest.mark.parametrize("wrong", [7, -1, -100, 2**40])
def test_targets_outside_the_vocabulary(wrong):
    targets = torch.tensor([[0, wrong, 6]])
    with pytest.raises(ValueError, match=f"run from .*{wrong}.*, allowed are 0 to 6"):
        next_token_loss(torch.zeros(1, 3, 7), targets)


def test_targets_of_another_shape_or_type():
    jaxtyping.config.update("jaxtyping_disable", True)  # as it is outside tests
    try:
        with pytest.raises(ValueError, match=r"\(2, 3\), got \(3, 2\)"):
            next_token_loss(torch.zeros(2, 3, 7), torch.zeros(3, 2, dtype=torch.int64))
        for dtype in (torch.float32, torch.bool):
            with pytest.raises(TypeError, match="integer"):
                next_token_loss(torch.zeros(2, 3, 7), torch.zeros(2, 3, dtype=dtype))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_perplexity():
    assert_close(perplexity(math.log(7)), 7.0)
    assert_close(perplexity(torch.tensor(0.0)), 1.0)
    assert perplexity(1e6) == math.inf


@pytest.mark.parametrize("n", [2, 3, 8, 9, 10, 16, 17, 40, 41])
def test_mean_loss_counts_every_target_once(n, monkeypatch):
    model = random_model(8)
    ids = torch.randint(CHARS.vocab_size, (n,))
    losses = []
    for start in range(0, n - 1, 8):
        window = ids[start : start + 9]
        p = model(window[None, :-1]).detach().softmax(-1)
        losses += [-math.log(p[0, t, i]) for t, i in enumerate(window[1:].tolist())]
    assert len(losses) == n - 1
    for tokens in (1, 16, 4096):
        monkeypatch.setattr(windows, "BATCH_TOKENS", tokens)
        assert_close(mean_loss(model, ids), sum(losses) / (n - 1))


@pytest.mark.parametrize("block_size", [100, 1024, 9000])
def test_a_long_context_is_read_in_few_rows(block_size):
    ids = torch.randint(64, (40_000,))
    read = []

    def watched(rows):
        read.append(rows.shape)
        return uniform(rows)

    mean_loss(watched, ids, block_size=block_size)
    assert sum(n * width for n, width in read) == len(ids) - 1
    mean_loss_at(watched, ids, torch.arange(64), block_size)
    assert max(n * width for n, width in read) <= max(4096, block_size)


class WithoutFloat64(TorchFunctionMode):
    """A weight lies on a device that knows no float64, as Apple's GPUs, and so does all
    that is computed from it until `.cpu()` is called.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given, made = (
            [x for x in tree_leaves(some) if isinstance(x, Tensor)]
            for some in ((args, kwargs), result)
        )
        here = function is Tensor.cpu or all(hasattr(x, "here") for x in given)
        for x in made:
            if here:
                x.here = True
            elif x.dtype == torch.float64:
                raise TypeError(f"{function} makes float64 on the device")
        return result


def test_no_float64_is_asked_of_a_device():
    torch.manual_seed(0)
    model = GPT(GPTConfig(CHARS.vocab_size, 8, 1, 1, 8)).eval()
    loss = torch.tensor(1.0)
    with WithoutFloat64():
        ids = torch.arange(40) % CHARS.vocab_size
        assert mean_loss(model, ids) > 0
        assert mean_loss_at(model, ids, torch.tensor([0, 9]), 8) > 0
        assert bits_per_character(model, CHARS, TEXT) > 0
        assert perplexity(loss) == math.e
        logits = model(ids[None, :8])[0, -1]
        assert next_id(logits, Sampling(seed=0), 0) < CHARS.vocab_size


def test_mean_loss_of_other_callables():
    ids = torch.randint(64, (5000,))
    assert_close(mean_loss(uniform, ids), math.log(64))
    assert_close(mean_loss(Bigram(64), ids), math.log(64))
    model = random_model(16)
    ids = ids % CHARS.vocab_size
    shorter = mean_loss(model, ids, block_size=4)
    model.config = GPTConfig(CHARS.vocab_size, 4, 2, 2, 8)
    assert_close(shorter, mean_loss(model, ids))


def test_evaluation_leaves_the_model_as_it_was():
    model = random_model(16, dropout=0.5)
    ids = torch.randint(CHARS.vocab_size, (100,))
    quiet = mean_loss(model, ids)
    model.train()
    model.blocks[0].eval()
    modes = [module.training for module in model.modules()]
    assert mean_loss(model, ids) == quiet
    assert bits_per_character(model, CHARS, TEXT) == bits_per_character(
        model, CHARS, TEXT
    )
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert [module.training for module in model.modules()] == modes
    next_token_loss(model(ids[None, :16]), ids[None, 1:17]).backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("n", [1, 0])
def test_mean_loss_needs_two_ids(n):
    with pytest.raises(ValueError, match="at least 2"):
        mean_loss(uniform, torch.zeros(n, dtype=torch.int64))


def test_mean_loss_needs_a_block_size():
    with pytest.raises(ValueError, match="block_size must be at least 1, got 0"):
        mean_loss(uniform, torch.zeros(9, dtype=torch.int64), block_size=0)


@pytest.mark.parametrize("block_size", [1, 2, 5, 16, 300])
def test_bits_per_character_by_its_definition(block_size):
    model = random_model(block_size)
    texts = [TEXT[:50], TEXT[5:17], "", TEXT[3:90], "A"]
    slow = [slow_bits(model, CHARS, text) for text in texts]
    for text, bits in zip(texts, slow, strict=True):
        assert_close(token_bits(model, CHARS, text), bits)
    expected = sum(map(sum, slow)) / sum(map(len, texts))
    assert_close(bits_per_character(model, CHARS, texts), expected)


def test_bits_per_character_of_other_tokenizers():
    bpe = BPETokenizer.train(TEXT, 280)
    model = random_model(12, bpe.vocab_size)
    expected = sum(slow_bits(model, bpe, TEXT)) / len(TEXT)
    assert_close(bits_per_character(model, bpe, TEXT), expected)


def test_bits_per_character_of_a_uniform_guess():
    chars = CharTokenizer.train("".join(map(chr, range(32, 96))))
    assert chars.vocab_size == 64
    assert_close(bits_per_character(uniform, chars, "FOUR SCORE"), 6.0)
    assert_close(token_bits(uniform, chars, "AND"), [6.0, 6.0, 6.0])


def test_bits_per_character_of_an_ngram_ignores_where_windows_end():
    model = NGram(3, CHARS.vocab_size).fit(torch.tensor(CHARS.encode(TEXT)))
    text = TEXT * 15  # longer than a window
    ids = torch.tensor([[*CHARS.start_ids, *CHARS.encode(text)]])
    first = len(CHARS.start_ids)
    log_p = model(ids)[0, first - 1 : -1].double()
    expected = -log_p.gather(1, ids[0, first:, None]).sum() / len(text) / math.log(2)
    assert_close(bits_per_character(model, CHARS, text), expected.item())


@given(st.integers(0, 60), st.integers(0, 5), st.integers(1, 20))
@settings(deadline=None)
def test_windows_score_each_position_once(length, first, width):
    windows = list(sliding_windows(0, length, first, width))
    scored = [i for w in windows for i in range(w.scored, w.stop)]
    assert scored == list(range(first, length))
    for w in windows:
        assert w.start <= w.scored < w.stop <= w.start + width
        assert w.start == 0 or w.scored - w.start + 1 >= width / 2
    assert sorted(w for batch in batches(windows) for w in batch) == windows


def test_nothing_to_score():
    for texts in ("", [], ["", ""]):
        with pytest.raises(ValueError, match="no characters"):
            bits_per_character(uniform, CHARS, texts)


def test_a_tokenizer_that_loses_text():
    words = WordTokenizer.train(TEXT, vocab_size=12)
    with pytest.raises(ValueError, match="text 1 is not what its"):
        bits_per_character(uniform, words, [words.decode([1]), "zebra"])
    with pytest.raises(ValueError, match="z"):
        bits_per_character(uniform, CHARS, "zebra")


def test_distance_to_floor():
    assert_close(distance_to_floor(0.42, 0.4), 0.05)
    assert distance_to_floor(0.4, 0.4) == 0
    for floor in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="positive"):
            distance_to_floor(0.42, floor)
