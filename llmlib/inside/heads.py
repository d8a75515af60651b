"""What the heads of a model look at, held against what they would have to look at.

The story grammar marks the places where an earlier word decides a later one, and where
that earlier word stands. So it can be asked of a head: of what it takes in before it has
to know, how much comes from there?

L: layers, H: heads, T: time (tokens), C: channels, those of all heads side by side.
"""

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from llmlib.evaluation.dependences import Place, mean_by_kind
from llmlib.evaluation.models import device_of, evaluating
from llmlib.generation.streams import whole_characters
from llmlib.model.config import GPTConfig
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
    ids = _ids_of(model, tokenizer, text)
    return [tokenizer.decode([i]) for i in ids], head_weights(model, ids)


def gathered_of(model: GPT, tokenizer: Tokenizer, text: str) -> Float[Tensor, "L T C"]:
    """What the heads of each layer gather at the tokens of a text after
    ``tokenizer.start_ids``, as the output projection reads it.

    Raises ValueError for a text longer than the model's context.
    """
    ids = torch.tensor([_ids_of(model, tokenizer, text)], device=device_of(model))
    gathered: list[Tensor] = []
    with ExitStack() as stack:
        for projection in _projections(model):
            hook = projection.register_forward_pre_hook(
                lambda _, args: gathered.append(args[0][0])
            )
            stack.callback(hook.remove)
        with evaluating(model), torch.no_grad():
            model(ids)
    return torch.stack(gathered)


def head_weights(model: GPT, ids: list[int]) -> Float[Tensor, "L H T T"]:
    """The weights of every head on T ids, at most the model's context; on the CPU."""
    with observe(model) as seen, evaluating(model):
        model(torch.tensor([ids], device=device_of(model)))
    layers = [seen[f"blocks.{i}.attention"][0] for i in range(model.config.n_layer)]
    return torch.stack(layers).cpu()


def source_shares(
    model: GPT, tokenizer: Tokenizer, places: Iterable[Place]
) -> dict[str, Float[Tensor, "L H"]]:
    """By kind of dependence, the mean share of each head's attention that falls on the
    words which decide, at the token before the place, where the model has to know.

    Places that lie beyond the model's context are left out.
    """
    shares = []
    for ids, found in _sources(model, tokenizer, places):
        weights = head_weights(model, ids)
        for kind, inside in found:
            reader = len(inside) - 1
            taken = weights[:, :, reader, : reader + 1]  # (L, H, T)
            shares.append((kind, taken[:, :, inside].sum(-1)))
    return mean_by_kind(shares)


def uniform_shares(
    model: GPT, tokenizer: Tokenizer, places: Iterable[Place]
) -> dict[str, Float[Tensor, ""]]:
    """By kind, what ``source_shares`` would be for a head that looks at all alike."""
    stories = _sources(model, tokenizer, places)
    return mean_by_kind(
        [
            (kind, inside.float().mean())
            for _, found in stories
            for kind, inside in found
        ]
    )


def check_head(config: GPTConfig, layer: int, head: int) -> None:
    """ValueError for a head that a model of this config does not have."""
    if not (0 <= layer < config.n_layer and 0 <= head < config.n_head):
        raise ValueError(
            f"no head {head} in layer {layer}: there are {config.n_layer} "
            f"layers of {config.n_head} heads"
        )


@contextmanager
def ablate_heads(
    model: GPT,
    heads: Sequence[tuple[int, int]],
    instead: Float[Tensor, "L C"] | None = None,
) -> Iterator[None]:
    """Switches heads, given as (layer, head), off while the `with` lasts: what they
    gather counts, at every token, as zero (Michel et al. 2019), or as what ``instead``
    has in its place: a mean of what ``gathered_of`` gives, or another text's.

    Raises ValueError for a head that the model does not have.
    """
    size, projections = model.config.head_size, _projections(model)
    with ExitStack() as stack:
        for layer, head in heads:
            check_head(model.config, layer, head)
            own = slice(head * size, (head + 1) * size)
            fill = 0.0 if instead is None else instead[layer, own]

            def replace(
                _: nn.Module,
                args: tuple[Any, ...],
                own: slice = own,
                fill: Tensor | float = fill,
            ) -> Tensor:
                gathered = args[0].clone()  # (B, T, C)
                gathered[..., own] = fill
                return gathered

            hook = projections[layer].register_forward_pre_hook(replace)
            stack.callback(hook.remove)
        yield


def _projections(model: GPT) -> list[Any]:
    """The output projection of each layer's attention, which reads what heads gather."""
    blocks: list[Any] = list(model.blocks)
    return [block.attention.o_proj for block in blocks]


def _ids_of(model: GPT, tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text that the model can read as a whole, or ValueError."""
    ids = tokenizer.start_ids + tokenizer.encode(text)
    if len(ids) > model.block_size:
        raise ValueError(
            f"the text has {len(ids)} tokens, "
            f"the model reads at most {model.block_size}"
        )
    return ids


def _sources(
    model: GPT, tokenizer: Tokenizer, places: Iterable[Place]
) -> Iterator[tuple[list[int], list[tuple[str, Bool[Tensor, " T"]]]]]:
    """For each story its ids, as many as the model reads, and for each of its places
    the kind, and which of the tokens before the place overlap its sources.
    """
    stories = defaultdict(list)
    for story, place in places:
        stories[story].append(place)
    for story, found in stories.items():
        ids = (tokenizer.start_ids + tokenizer.encode(story))[: model.block_size]
        pieces = list(whole_characters(tokenizer, ids))
        ends = [*accumulate(map(len, pieces))]
        offset = len(tokenizer.decode(tokenizer.start_ids))
        marked = []
        for place in found:
            reader = bisect(ends, place.start + offset) - 1
            if reader + 1 == len(pieces):
                continue  # the context ends before the place
            inside = [
                any(
                    a + offset < end and end - len(piece) < b + offset
                    for a, b in place.sources
                )
                for piece, end in zip(pieces[: reader + 1], ends, strict=False)
            ]
            marked.append((place.kind, torch.tensor(inside)))
        yield ids, marked
