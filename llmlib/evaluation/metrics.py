"""How well a model predicts text: loss, perplexity, bits per character, distance to the
entropy floor.

A model here is any callable from ids (B, T) to logits (B, T, V): see ``models``.

B: batch, T: time (tokens), V: vocabulary, N: tokens in all.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from llmlib.evaluation.losses import NO_IGNORE_INDEX, mean_cross_entropy, widened
from llmlib.evaluation.models import Model, device_of, evaluating, longest_read
from llmlib.evaluation.windows import (
    Window,
    at_once,
    batches,
    padded,
    sliding_windows,
)
from llmlib.text.ids import check_range
from llmlib.text.tokenizers import Tokenizer

WINDOW = 1024  # tokens in a window where the model itself sets no limit


def next_token_loss(
    logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"]
) -> Float[Tensor, ""]:
    """The mean of -ln p(target) over all positions, in nats: cross-entropy, the loss
    that training lowers.

    ``targets[b, t]`` is the id that follows position t, so it is the input shifted by
    one. Computed in float32 (float64 if the logits are), whatever the precision of the
    model.

    Raises TypeError for targets that are not integers, and ValueError for shapes that
    do not match and for targets outside the vocabulary.
    """
    return _checked(mean_cross_entropy, logits, targets)


def token_losses(
    logits: Float[Tensor, "*batch V"], targets: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """-ln p(target) at each position, in nats; raises as next_token_loss does."""

    def losses(logits: Tensor, targets: Tensor) -> Tensor:
        options: dict[str, Any] = {"ignore_index": NO_IGNORE_INDEX, "reduction": "none"}
        return F.cross_entropy(widened(logits), targets, **options)

    return _checked(losses, logits, targets).view(targets.shape)


def _checked(loss: Callable[..., Tensor], logits: Tensor, targets: Tensor) -> Tensor:
    """The loss of all positions in one row; faults are named."""
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise TypeError(f"targets must be integer ids, got {targets.dtype}")
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} need targets {tuple(logits.shape[:-1])}, "
            f"got {tuple(targets.shape)}"
        )
    vocab_size = logits.shape[-1]
    try:
        return loss(logits.reshape(-1, vocab_size), targets.reshape(-1).long())
    except (IndexError, RuntimeError):
        check_range("targets", *targets.aminmax(), vocab_size)
        raise


def perplexity(loss: float | Tensor) -> float:
    """exp(loss): the number of equally likely tokens among which a guess would be as
    hard. ``loss`` in nats.
    """
    return float(torch.tensor(float(loss), dtype=torch.float64).exp())


def mean_loss(
    model: Model,
    ids: Int[Tensor, " N"],
    *,
    block_size: int | None = None,
) -> float:
    """Loss in nats per token over the whole of ``ids``, each id but the first predicted
    exactly once.

    The ids are cut into consecutive windows of ``block_size`` (by default the model's
    own; 1,024 where it has none), the last one shorter. A window knows nothing of the
    one before, as in training.

    Raises ValueError for fewer than two ids or a block_size below 1.
    """
    if ids.ndim != 1 or len(ids) < 2:
        raise ValueError(
            f"ids must be one row of at least 2 ids, got the shape {tuple(ids.shape)}"
        )
    if block_size is None:
        block_size = longest_read(model) or WINDOW
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    block_size = min(block_size, len(ids) - 1)
    rows = ids.unfold(0, block_size + 1, block_size)  # a view: rows share their ends
    rest = ids[None, len(rows) * block_size :]
    pieces = [*rows.split(at_once(block_size)), rest]
    return _total_loss(model, pieces) / (len(ids) - 1)


def mean_loss_at(
    model: Model,
    ids: Int[Tensor, " N"],
    starts: Int[Tensor, " S"],
    block_size: int,
) -> float:
    """Loss in nats per token over the rows of ``block_size`` ids that begin at
    ``starts``: documents from their beginning, as a training on such rows reads them.
    """
    rows = ids.unfold(0, block_size + 1, 1)  # a view, the last id is a target only
    pieces = (rows.index_select(0, few) for few in starts.split(at_once(block_size)))
    return _total_loss(model, pieces) / (len(starts) * block_size)


def _total_loss(model: Model, pieces: Iterable[Int[Tensor, "_ _"]]) -> float:
    """The loss in nats of all ids in all rows but the first of each, which is only
    read.
    """
    device = device_of(model)
    total = 0.0
    with evaluating(model):
        for rows in pieces:
            if rows.shape[1] > 1:
                rows = rows.to(device)
                losses = token_losses(model(rows[:, :-1]), rows[:, 1:])
                total += losses.cpu().double().sum().item()  # Apple's GPUs lack float64
    return total


def bits_per_character(
    model: Model, tokenizer: Tokenizer, texts: str | Sequence[str]
) -> float:
    """Bits that the model needs per character: sum of -log2 p(token) over all texts /
    number of their characters.

    Independent of the tokenizer, so models with different vocabularies can be compared,
    and so can the entropy of the source itself. Each text is scored alone, after
    ``tokenizer.start_ids``, its first token included. In a text longer than the model's
    context, windows advance by half a context, so that every later token sees at least
    half a context before it.

    Raises ValueError where there is no character to score, and where
    ``decode(encode(text))`` is not the text (then the tokens say less than the
    characters, and the number would flatter the model).
    """
    if isinstance(texts, str):
        texts = [texts]
    n_characters = sum(len(text) for text in texts)
    if not n_characters:
        raise ValueError("there are no characters to score")
    return math.fsum(text_bits(model, tokenizer, texts)) / n_characters


def text_bits(model: Model, tokenizer: Tokenizer, texts: Sequence[str]) -> list[float]:
    """-log2 p of each text: the surprise that bits_per_character divides."""
    return [bits.sum().item() for bits in _bits(model, tokenizer, texts)]


def token_bits(model: Model, tokenizer: Tokenizer, text: str) -> list[float]:
    """-log2 p of each token of ``text`` in turn, in bits: the surprise that
    bits_per_character adds up.
    """
    return _bits(model, tokenizer, [text])[0].tolist()


def distance_to_floor(bits: float, floor: float) -> float:
    """(bits - floor) / floor: 0.05 is 5% above the entropy of the source, the least
    that any model can need.

    Raises ValueError for a floor that is not positive.
    """
    if not floor > 0:
        raise ValueError(f"floor must be positive, got {floor}")
    return (bits - floor) / floor


def _bits(
    model: Model, tokenizer: Tokenizer, texts: Sequence[str]
) -> list[Float[Tensor, " N"]]:
    """The bits of each token of each text, by the rules of bits_per_character."""
    start_ids = list(tokenizer.start_ids)
    first = len(start_ids) - 1  # the position whose prediction is the first to count
    rows: list[Tensor] = []
    windows: list[Window] = []
    for i, text in enumerate(texts):
        ids = tokenizer.encode(text)
        if tokenizer.decode(ids) != text:
            raise ValueError(f"text {i} is not what its {len(ids)} tokens decode to")
        rows.append(torch.tensor(start_ids + ids))
        length = first + len(ids)
        windows += sliding_windows(i, length, first, longest_read(model) or WINDOW)
    bits = [torch.zeros(len(row) - 1 - first, dtype=torch.float64) for row in rows]
    device = device_of(model)
    with evaluating(model):
        for batch in batches(windows):
            inputs = padded([rows[w.text][w.start : w.stop] for w in batch])
            targets = padded([rows[w.text][w.start + 1 : w.stop + 1] for w in batch])
            losses = token_losses(model(inputs.to(device)), targets.to(device))
            losses = losses.cpu().double() / math.log(2)
            for w, row in zip(batch, losses, strict=True):
                scored = row[w.scored - w.start : w.stop - w.start]
                bits[w.text][w.scored - first : w.stop - first] = scored
    return bits
