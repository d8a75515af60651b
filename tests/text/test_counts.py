"""Sizes and counts: whole numbers of Python or NumPy, not too small."""

import numpy as np
import pytest

from llmlib.evaluation.ngrams import NGram
from llmlib.model.attention import sliding_window, strided
from llmlib.model.bigram import Bigram
from llmlib.model.blocks import MLP, SwiGLU
from llmlib.text.counts import checked_count
from llmlib.text.stories import StoryGrammar

TAKE_COUNTS = {
    "vocab_size of Bigram": Bigram,
    "order": lambda n: NGram(n, 5),
    "vocab_size of NGram": lambda n: NGram(2, n),
    "window": sliding_window,
    "stride": lambda n: strided(2, n),
    "n_embd": MLP,
    "n_hidden": lambda n: MLP(8, n),
    "n_embd of SwiGLU": SwiGLU,
    "n_hidden of SwiGLU": lambda n: SwiGLU(8, n),
}
take_counts = pytest.mark.parametrize("name", TAKE_COUNTS)
pytestmark = pytest.mark.usefixtures("unchecked")


def test_a_count_is_an_int_of_python():
    assert type(checked_count("n", np.int64(3))) is int
    assert checked_count("n", 0, least=0) == 0
    with pytest.raises(ValueError, match="n must be at least 2, got 1"):
        checked_count("n", 1, least=2)


@take_counts
@pytest.mark.parametrize("value", [2.5, 2.0, "2", True, np.float64(2)])
def test_what_is_no_integer_is_named(name, value):
    with pytest.raises(TypeError, match=f"{name.split()[0]} must be an int, got "):
        TAKE_COUNTS[name](value)


@take_counts
@pytest.mark.parametrize("value", [0, -1])
def test_what_is_too_small_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name.split()[0]} .* least 1, got {value}"):
        TAKE_COUNTS[name](value)


@take_counts
def test_numpys_integers_count(name):
    TAKE_COUNTS[name](np.int64(2))


def test_a_numpy_number_of_stories():
    village = StoryGrammar()
    assert village.sample(np.int64(2), seed=0) == village.sample(2, seed=0)
