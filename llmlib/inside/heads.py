"""What the heads of a model look at, held against what they would have to look at.

The story grammar marks the places where an earlier word decides a later one, and where
that earlier word stands. So it can be asked of a head: of what it takes in before it has
to know, how much comes from there?

L: layers, H: heads, T: time (tokens).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from llmlib.evaluation.dependences import Place
from llmlib.model.gpt import GPT
from llmlib.model.observe import observe
from llmlib.text.tokenizers import Tokenizer


def attention_of(
    model: GPT, tokenizer: Tokenizer, text: str
) -> tuple[list[str], Float[Tensor, "L H T T"]]:
    """The pieces of a text after ``tokenizer.start_ids``, and the weights of every head:
    [l, h, t, s] is how much of what head h of layer l takes in at t comes from s.

    Raises ValueError for a text longer than the model's context.
    """
    ids = tokenizer.start_ids + tokenizer.encode(text)
    with observe(model) as seen, torch.no_grad():
        model(torch.tensor([ids], device=model.embed_tokens.weight.device))
    layers = [seen[f"blocks.{i}.attention"][0] for i in range(model.config.n_layer)]
    return [tokenizer.decode([i]) for i in ids], torch.stack(layers)


def source_shares(
    model: GPT, tokenizer: Tokenizer, places: Iterable[Place]
) -> dict[str, Float[Tensor, "L H"]]:
    """By kind of dependence, the mean share of each head's attention that falls on the
    words which decide, at the token before the place, where the model has to know.

    Places that lie beyond the model's context are left out.
    """
    shares = defaultdict(list)
    for story, place in places:
        looks, sources = _looking(model, tokenizer, story, place)
        if looks is not None:
            shares[place.kind].append(looks[:, :, sources].sum(-1))
    return {kind: torch.stack(found).mean(0) for kind, found in sorted(shares.items())}


def uniform_shares(
    model: GPT, tokenizer: Tokenizer, places: Iterable[Place]
) -> dict[str, float]:
    """By kind, what ``source_shares`` would be for a head that looks at all alike."""
    shares = defaultdict(list)
    for story, place in places:
        looks, sources = _looking(model, tokenizer, story, place)
        if looks is not None:
            shares[place.kind].append(sources.float().mean().item())
    return {kind: sum(found) / len(found) for kind, found in sorted(shares.items())}


@contextmanager
def ablate_heads(model: GPT, heads: Sequence[tuple[int, int]]) -> Iterator[None]:
    """Switches heads, given as (layer, head), off while the `with` lasts: what they
    gather counts as zero (Michel et al. 2019).

    Raises ValueError for a head that the model does not have.
    """
    config = model.config
    with ExitStack() as stack:
        for layer, head in heads:
            if not (0 <= layer < config.n_layer and 0 <= head < config.n_head):
                raise ValueError(
                    f"no head {head} in layer {layer}: there are {config.n_layer} "
                    f"layers of {config.n_head} heads"
                )
            first = head * config.head_size
            own = slice(first, first + config.head_size)

            def silence(
                _: nn.Module, args: tuple[Any, ...], own: slice = own
            ) -> Tensor:
                gathered = args[0].clone()  # (B, T, C), the heads side by side
                gathered[..., own] = 0
                return gathered

            attention: Any = model.blocks[layer].attention
            hook = attention.o_proj.register_forward_pre_hook(silence)
            stack.callback(hook.remove)
        yield


def _looking(
    model: GPT, tokenizer: Tokenizer, story: str, place: Any
) -> tuple[Float[Tensor, "L H T"] | None, Bool[Tensor, " T"]]:
    """What each head looks at just before a place, and which tokens overlap its
    sources; None for a place out of reach.
    """
    before = story[: place.start]
    start_ids = tokenizer.start_ids
    if len(start_ids) + len(tokenizer.encode(before)) > model.block_size:
        return None, torch.zeros(0, dtype=torch.bool)
    pieces, weights = attention_of(model, tokenizer, before)
    offset = len(tokenizer.decode(start_ids))
    ends = list(accumulate(map(len, pieces)))
    inside = [
        any(
            a + offset < end and end - len(piece) < b + offset for a, b in place.sources
        )
        for piece, end in zip(pieces, ends, strict=True)
    ]
    return weights[:, :, -1], torch.tensor(inside)
