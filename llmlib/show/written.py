"""A text that a model wrote, token by token, with what each token cost it."""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from llmlib.generation.decoding import generate
from llmlib.generation.sampling import Sampling
from llmlib.generation.streams import UNFINISHED
from llmlib.model.gpt import GPT
from llmlib.model.observe import observe
from llmlib.text.tokenizers import Tokenizer


class Written(NamedTuple):
    """One token of a text: its id, the characters it completes, and -log2 p(id)."""

    id: int
    text: str
    bits: float


def write_tokens(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    max_new_tokens: int,
    sampling: Sampling,
    stop: tuple[str, ...] = (),
) -> list[Written]:
    """The text that `write` writes, token by token. The bits are the model's own: at
    temperature 1 and without rules.
    """
    start = tokenizer.encode(prompt) or tokenizer.start_ids
    last: list[
        Tensor
    ] = []  # a forward for each new token: its logits are the last ones
    hook = model.register_forward_hook(lambda *call: last.append(call[-1][0, -1]))
    ids: list[int] = []
    bits: list[float] = []
    borders, text, end = [0], "", None
    try:
        for new_id in generate(model, start, max_new_tokens, sampling):
            ids.append(new_id)
            bits.append(-last.pop().cpu().double().log_softmax(0)[new_id].item())
            text = tokenizer.decode(ids).removesuffix(UNFINISHED)
            borders.append(len(text))
            if (end := _find_stop(text, stop)) is not None:
                break
    finally:
        hook.remove()
    pieces = [text[:end][a:b] for a, b in pairwise(borders)]
    tokens = list(map(Written, ids, pieces, [b / math.log(2) for b in bits]))
    while end is not None and tokens and not tokens[-1].text:
        tokens.pop()
    return tokens


def most_attended(
    model: GPT, tokenizer: Tokenizer, text: str, top: int = 3
) -> tuple[list[str], dict[str, list[tuple[str, float]]]]:
    """The pieces of a text, and for each head what the last of them takes most from.

    The text is read after ``tokenizer.start_ids``, at most its last ``block_size`` ids.
    """
    ids = (tokenizer.start_ids + tokenizer.encode(text))[-model.block_size :]
    pieces = [tokenizer.decode([i]) for i in ids]
    with observe(model) as seen, torch.no_grad():
        model(torch.tensor([ids]))
    heads = {}
    for layer in range(model.config.n_layer):
        for head, row in enumerate(seen[f"blocks.{layer}.attention"][0, :, -1]):
            best = row.topk(min(top, len(ids)))
            heads[f"layer {layer}, head {head}"] = [
                (pieces[i], weight)
                for weight, i in zip(*(x.tolist() for x in best), strict=True)
            ]
    return pieces, heads


def _find_stop(text: str, stops: tuple[str, ...]) -> int | None:
    """Where the stop string begins that is complete first."""
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found)[1] if found else None
