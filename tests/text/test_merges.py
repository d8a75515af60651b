"""The fast trainer against the textbook's, merge by merge."""

import random
from collections import Counter
from itertools import pairwise

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from llmlib.text.merges import apply_merges, learn_merges
from llmlib.text.splitting import GPT2_PATTERN
from llmlib.text.stories import StoryGrammar


def textbook_merges(words, n_merges):
    """Count all pairs, merge the most frequent (the first among equals), again. `words`
    are distinct pieces with their counts, in the order in which they first occur.
    """
    rows = [list(word.encode("utf-8")) for word in words]
    merges = []
    while len(merges) < n_merges:
        counts = {}  # in the order in which the pairs occur, so max finds the first
        for row, count in zip(rows, words.values(), strict=True):
            for pair in pairwise(row):
                counts[pair] = counts.get(pair, 0) + count
        if not counts:
            break
        pair = max(counts, key=counts.get)
        rows = [merge_once(row, pair, 256 + len(merges)) for row in rows]
        merges.append(pair)
    return merges


def merge_once(row, pair, token):
    merged, i = [], 0
    while i < len(row):
        if tuple(row[i : i + 2]) == pair:
            merged.append(token)
            i += 2
        else:
            merged.append(row[i])
            i += 1
    return merged


def both(pieces, n_merges):
    words = Counter(pieces)
    return learn_merges(words, n_merges), textbook_merges(words, n_merges)


def test_wikipedia_example():
    # aa, (aa)a, (aaa)b: after the first merge, (aa)a and ab are equally frequent, and
    # (aa)a comes first.
    assert learn_merges({"aaabdaaabac": 1}, 3) == [(97, 97), (256, 97), (257, 98)]
    assert textbook_merges({"aaabdaaabac": 1}, 3) == [(97, 97), (256, 97), (257, 98)]


RANDOM = random.Random(0)
TEXTS = {
    "prose": "the cat sat on the mat, and that cat's hat was the fattest hat. " * 3
    + "She sells sea shells; the shells she sells are sea shells, I'm sure. " * 2,
    "runs": "aaaa aaaaaaa bbbbbb abababab aabbaabb aaa aabaab " * 3,
    "ties": " ".join(RANDOM.choices(["ab", "ba", "cd", "dc", "abcd", "dcba"], k=80)),
    "scripts": "Grüße aus Köln, ça va? Привет, мир! 你好，世界。こんにちは 👋🏽👋🏽 नमस्ते "
    * 3,
    "noise": "".join(RANDOM.choices("abc \n", k=2_000)),
    "one long piece": "".join(RANDOM.choices("ACGT", k=1_000)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_merges_are_those_of_the_textbook(name):
    pieces = regex.findall(GPT2_PATTERN, TEXTS[name])
    fast, textbook = both(pieces, 150)
    assert fast == textbook


def test_merges_of_a_whole_vocabulary_are_those_of_the_textbook():
    stories = StoryGrammar().sample(800, seed=1)
    fast, textbook = both(regex.findall(GPT2_PATTERN, stories), 1024 - 256)
    assert fast == textbook
    assert len(fast) == 1024 - 256


@settings(deadline=None, max_examples=400)
@given(st.lists(st.text(alphabet="aab é", min_size=1, max_size=12), max_size=12))
def test_merges_are_those_of_the_textbook_for_any_pieces(pieces):
    fast, textbook = both(pieces, 40)
    assert fast == textbook


@pytest.mark.parametrize("words", [{}, {"a": 3}])
def test_no_pairs_no_merges(words):
    assert learn_merges(words, 5) == []


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.text(alphabet="abc", min_size=1, max_size=10), min_size=1, max_size=8),
    st.text(alphabet="abcd", max_size=40),
)
def test_applying_is_merging_one_after_the_other(pieces, text):
    learned = learn_merges(Counter(pieces), 20)
    row = list(text.encode("utf-8"))
    merges = {pair: (rank, 256 + rank) for rank, pair in enumerate(learned)}
    applied = apply_merges(row, merges)
    for rank, pair in enumerate(learned):
        row = merge_once(row, pair, 256 + rank)
    assert applied == row
