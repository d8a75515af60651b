"""Looking inside a model while it runs, without changing it.

Shapes: B batch, T time (queries), S time (keys), H heads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn

from llmlib.evaluation.models import unwrapped
from llmlib.model.attention import Attention


@contextmanager
def observe(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Records the attention weights of every block while the `with` lasts.

    Gives a dict, empty at first. Each forward fills in "blocks.{i}.attention": the
    weights after the softmax, detached, of shape (B, H, T, S). A later forward replaces
    them; they stay readable after the `with`. A model that is itself an Attention is
    recorded as "attention". Logits are those of the unobserved model up to rounding.
    """
    seen: dict[str, Tensor] = {}
    parts = {
        name or "attention": part
        for name, part in unwrapped(model).named_modules()
        if isinstance(part, Attention)
    }
    before = {name: part.record for name, part in parts.items()}
    for name, part in parts.items():
        part.record = partial(seen.__setitem__, name)
    try:
        yield seen
    finally:
        for name, part in parts.items():
            part.record = before[name]
