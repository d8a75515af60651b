"""What a model makes of a text, token by token: what each token cost it, and where its
heads looked.
"""

import math
from itertools import product, tee
from typing import NamedTuple

from torch import Tensor

from llmlib.generation.decoding import generate
from llmlib.generation.sampling import Sampling
from llmlib.generation.streams import first_stop, whole_characters
from llmlib.inside.heads import head_weights
from llmlib.model.gpt import GPT
from llmlib.text.tokenizers import Tokenizer

TOP = 3  # of what a head takes from


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
    stops: tuple[str, ...] = (),
) -> list[Written]:
    """The text that `write` writes, token by token. The bits are the model's own: at
    temperature 1 and without rules.
    """
    start = tokenizer.encode(prompt) or tokenizer.start_ids
    last: list[Tensor] = []  # of the forward for a new token, its last logits
    hook = model.register_forward_hook(lambda *call: last.append(call[-1][0, -1]))
    ids, spelt = tee(generate(model, start, max_new_tokens, sampling))
    tokens: list[Written] = []
    text = ""
    try:
        for i, piece in zip(ids, whole_characters(tokenizer, spelt), strict=True):
            nats = -last.pop().cpu().double().log_softmax(0)[i].item()
            tokens.append(Written(i, piece, nats / math.log(2)))
            text += piece
            if (end := first_stop(text, stops)) is not None:
                return _shortened(tokens, len(text) - end)
    finally:
        hook.remove()
    return tokens


def _shortened(tokens: list[Written], n: int) -> list[Written]:
    """The tokens without the last n characters; the last one that stays has text."""
    while tokens and n >= len(tokens[-1].text):
        n -= len(tokens.pop().text)
    if n:
        tokens[-1] = tokens[-1]._replace(text=tokens[-1].text[:-n])
    return tokens


def most_attended(
    model: GPT, tokenizer: Tokenizer, text: str
) -> tuple[list[str], dict[str, list[tuple[str, float]]]]:
    """The pieces of a text, and for each head what the last of them takes most from.

    The text is read after ``tokenizer.start_ids``, at most its last ``block_size`` ids.
    """
    ids = (tokenizer.start_ids + tokenizer.encode(text))[-model.block_size :]
    pieces = [tokenizer.decode([i]) for i in ids]
    looks = head_weights(model, ids)[:, :, -1]  # (L, H, T)
    heads = {}
    for layer, head in product(*map(range, looks.shape[:2])):
        weights, places = looks[layer, head].topk(min(TOP, len(ids)))
        best = zip(places.tolist(), weights.tolist(), strict=True)
        heads[f"layer {layer}, head {head}"] = [(pieces[i], w) for i, w in best]
    return pieces, heads
