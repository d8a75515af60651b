"""N-gram models against dictionaries that spell the formula out."""

import math
from collections import Counter, defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from llmlib.evaluation.metrics import mean_loss
from llmlib.evaluation.ngrams import NGram
from llmlib.text.stories import StoryGrammar
from llmlib.text.tokenizers import CharTokenizer


class SlowNGram:
    """Interpolated modified Kneser-Ney smoothing, as in Chen and Goodman (1999)."""

    def __init__(self, order, vocab_size, ids, continuation=True):
        self.order, self.vocab_size = order, vocab_size
        self.continuation = continuation
        grams = {
            n: [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
            for n in range(1, order + 2)
        }
        self.occurrences = {n: Counter(grams[n]) for n in range(1, order + 1)}
        self.variety = {
            n: Counter(gram[1:] for gram in set(grams[n + 1]))
            for n in range(1, order + 1)
        }
        self.contexts = {
            id(table): self._by_context(table)
            for tables in (self.occurrences, self.variety)
            for table in tables.values()
        }

    @staticmethod
    def _by_context(table):
        found = defaultdict(dict)
        for gram, count in table.items():
            found[gram[:-1]][gram[-1]] = count
        return found

    @staticmethod
    def discount(table, count):
        n = [sum(c == i for c in table.values()) for i in range(5)]
        if n[1] and n[2]:
            y = n[1] / (n[1] + 2 * n[2])
            if n[3]:
                d = [i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)]
                if min(d) > 0:
                    return d[min(count, 3) - 1]
            return y
        return 0.75

    def p(self, token, context, top=True):
        n = len(context) + 1
        lower = self.p(token, context[1:], False) if context else 1 / self.vocab_size
        counts_all = top or not self.continuation
        table = self.occurrences[n] if counts_all else self.variety[n]
        followers = self.contexts[id(table)].get(context)
        if not followers:
            return lower
        discounts = {w: self.discount(table, c) for w, c in followers.items()}
        total = sum(followers.values())
        share = 0.0
        if token in followers:
            share = (followers[token] - discounts[token]) / total
        return share + sum(discounts.values()) / total * lower

    def row(self, ids):
        """The distribution after each position of a row."""
        contexts = [
            tuple(ids[max(0, t + 2 - self.order) : t + 1]) for t in range(len(ids))
        ]
        if self.order == 1:
            contexts = [()] * len(ids)
        return [[self.p(w, c) for w in range(self.vocab_size)] for c in contexts]


def story_ids(n_stories, seed):
    text = StoryGrammar().sample(n_stories, seed)
    tokenizer = CharTokenizer.train(StoryGrammar().sample(200, 0))
    return tokenizer, torch.tensor(tokenizer.encode(text))


@pytest.mark.parametrize("continuation", [True, False])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 6])
def test_equals_the_formula_on_text(order, continuation):
    text = "the cat sat on the mat. the cat ate the rat that sat on the mat. " * 2
    text += "a cat is a cat is a cat; an ant can."
    tokenizer = CharTokenizer.train(text)
    ids = tokenizer.encode(text)
    slow = SlowNGram(order, tokenizer.vocab_size, ids, continuation)
    fast = NGram(order, tokenizer.vocab_size, continuation=continuation)
    fast.fit(torch.tensor(ids))
    rows = torch.tensor([ids[:20], ids[-20:], ids[19::-1]])
    expected = torch.tensor([slow.row(row) for row in rows.tolist()])
    assert_close(fast(rows).exp(), expected)


@given(st.data(), st.integers(1, 5), st.integers(1, 6))
@settings(deadline=None, max_examples=60)
def test_equals_the_formula_on_anything(data, order, vocab_size):
    token = st.integers(0, vocab_size - 1)
    ids = data.draw(st.lists(token, min_size=1, max_size=40))
    row = data.draw(st.lists(token, min_size=1, max_size=8))
    slow = SlowNGram(order, vocab_size, ids)
    model = NGram(order, vocab_size).fit(torch.tensor(ids))
    log_p = model(torch.tensor([row]))
    assert_close(model.after(row), log_p[0, -1])
    assert log_p.shape == (1, len(row), vocab_size)
    assert_close(log_p.exp().sum(-1), torch.ones(1, len(row)))
    assert_close(log_p[0].exp(), torch.tensor(slow.row(row)))


def test_order_1_is_the_discounted_frequency():
    counts = [5, 1, 2, 1, 3, 1, 4, 2, 1, 0]
    ids = torch.repeat_interleave(torch.arange(10), torch.tensor(counts))
    y = 4 / (4 + 2 * 2)  # n1 = 4, n2 = 2, n3 = 1, n4 = 1
    d = [0, 1 - 2 * y * 2 / 4, 2 - 3 * y * 1 / 2, 3 - 4 * y * 1 / 1]
    freed = sum(d[min(c, 3)] for c in counts)
    expected = [(c - d[min(c, 3)] + freed / 10) / 20 for c in counts]
    p = NGram(1, 10).fit(ids)(torch.tensor([[3, 9]])).exp()
    assert_close(p[0], torch.tensor([expected, expected]))


def test_the_start_of_a_row_is_the_model_of_a_lower_order():
    _, ids = story_ids(40, 0)
    row = ids[None, 500:506]
    longest = NGram(6, 100).fit(ids)(row)
    for order in (2, 3, 4, 5):
        lower = NGram(order, 100).fit(ids)(row)
        assert torch.equal(longest[:, order - 2], lower[:, order - 2])


def test_any_length_of_row_gives_the_same_predictions():
    _, ids = story_ids(20, 0)
    model = NGram(4, 100).fit(ids)
    row = ids[None, :300]
    whole = model(row)
    assert_close(model(row[:, 100:103])[:, -1], whole[:, 102])
    assert torch.equal(model(row[:, :1]), whole[:, :1])
    assert torch.equal(model(row.view(3, 100))[0], whole[0, :100])


def test_after_one_row():
    _, ids = story_ids(20, 0)
    model = NGram(4, 100).fit(ids)
    row = ids[:200].tolist()
    whole = model(ids[None, :200])[0]
    for t in range(200):
        assert_close(model.after(row[: t + 1]), whole[t])
    assert_close(model.after([]).exp().sum(), torch.tensor(1.0))
    with pytest.raises(ValueError, match="from 100 to 100, allowed are 0 to 99"):
        model.after([100])
    with pytest.raises(RuntimeError, match="call fit"):
        NGram(2, 5).after([1])


@pytest.mark.parametrize("order", [1, 2])
def test_after_ids_that_are_not_read(unchecked, order):
    model = NGram(order, 5).fit(torch.tensor([0, 1, 4]))
    for row in ([77], [77, 0]):
        with pytest.raises(ValueError, match="to 77, allowed are 0 to 4"):
            model.after(row)
    with pytest.raises(TypeError, match="integers"):
        model.after([0.5])


def test_beats_add_one_smoothing_and_lower_orders():
    tokenizer, ids = story_ids(200, 0)
    _, held_out = story_ids(40, 1)
    V = tokenizer.vocab_size
    losses = [mean_loss(NGram(n, V).fit(ids), held_out) for n in (1, 2, 3, 4, 5)]
    assert losses == sorted(losses, reverse=True)
    for n in (2, 3, 4):
        grams, contexts = Counter(), Counter()
        train, test = ids.tolist(), held_out.tolist()
        for i in range(n - 1, len(train)):
            grams[tuple(train[i + 1 - n : i + 1])] += 1
            contexts[tuple(train[i + 1 - n : i])] += 1
        add_one = [
            -math.log(
                (grams[tuple(test[i + 1 - n : i + 1])] + 1)
                / (contexts[tuple(test[i + 1 - n : i])] + V)
            )
            for i in range(n - 1, len(test))
        ]
        assert losses[n - 1] < sum(add_one) / len(add_one)


def test_fit_starts_anew():
    model = NGram(2, 3).fit(torch.tensor([0, 1, 2, 0]))
    again = model.fit(torch.tensor([2, 2, 1]))(torch.tensor([[2]]))
    assert torch.equal(
        again, NGram(2, 3).fit(torch.tensor([2, 2, 1]))(torch.tensor([[2]]))
    )


@pytest.mark.parametrize(("order", "vocab_size"), [(0, 5), (-1, 5), (2, 0)])
def test_sizes_below_1(order, vocab_size):
    with pytest.raises(ValueError, match="at least 1"):
        NGram(order, vocab_size)


@pytest.mark.parametrize(
    ("order", "vocab_size"), [(2.0, 5), ("2", 5), (True, 5), (2, None)]
)
def test_sizes_that_are_no_ints(order, vocab_size):
    with pytest.raises(TypeError, match="int"):
        NGram(order, vocab_size)


def test_wrong_ids(unchecked):
    model = NGram(2, 3)
    with pytest.raises(RuntimeError, match="fit"):
        model(torch.tensor([[0]]))
    with pytest.raises(ValueError, match="empty"):
        model.fit(torch.tensor([], dtype=torch.int64))
    with pytest.raises(ValueError, match="from 0 to 3, allowed are 0 to 2"):
        model.fit(torch.tensor([0, 3]))
    with pytest.raises(TypeError, match="integers"):
        model.fit(torch.tensor([0.0, 1.0]))
    model.fit(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="from -1 to 2, allowed are 0 to 2"):
        model(torch.tensor([[2, -1]]))
    with pytest.raises(ValueError, match="B T"):
        model(torch.tensor([0, 1]))
