"""Storey 8, beside `show`: checks of the exercises, which say in words what is wrong, and
tests of a reader's own model and training, which do so too.
"""

from llmlib.check.bugs import (
    assert_apart,
    assert_attention,
    assert_causal,
    assert_hears_order,
    assert_next_tokens,
    assert_starts_at_chance,
    influence,
)
from llmlib.check.checking import check, diagnosis
from llmlib.check.loops import (
    assert_above_floor,
    assert_fresh_gradients,
    assert_overfits,
    assert_same_twice,
    assert_weights_move,
)

__all__ = [
    "assert_above_floor",
    "assert_apart",
    "assert_attention",
    "assert_causal",
    "assert_fresh_gradients",
    "assert_hears_order",
    "assert_next_tokens",
    "assert_overfits",
    "assert_same_twice",
    "assert_starts_at_chance",
    "assert_weights_move",
    "check",
    "diagnosis",
    "influence",
]
