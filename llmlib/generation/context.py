"""Texts in the making, and what a model expects next in each: what all ways of writing
share.

B: batch (texts or beams side by side), T: time (tokens), V: vocabulary.
"""

import sys
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llmlib.evaluation.models import Model, device_of, evaluating, longest_read
from llmlib.evaluation.ngrams import NGram
from llmlib.generation.sampling import Sampling, next_id
from llmlib.model.cache import KVCache
from llmlib.model.gpt import GPT


class Context:
    """Texts of one length side by side, and the model's logits for what comes next in
    each.
    """

    def __init__(self, model: Model, prompts: list[list[int]]) -> None:
        self.model = model
        self.device = device_of(model)
        self.rows = [list(prompt) for prompt in prompts]
        self.cache = KVCache(model, len(prompts)) if isinstance(model, GPT) else None
        self.unread = len(prompts[0])  # how many of the last ids are not in the cache

    def logits(self) -> Float[Tensor, "B V"]:
        """Reads what is new and predicts the next id of each row; on the CPU."""
        if isinstance(self.model, NGram):
            return torch.stack([self.model.after(row) for row in self.rows])
        return self.all_logits()[:, -1].cpu()

    def all_logits(self) -> Float[Tensor, "B T V"]:
        """Reads what is new and predicts what comes after each id of it; without a
        cache, after each id that the model reads.
        """
        model, cache = self.model, self.cache
        with evaluating(model), torch.inference_mode():
            if not isinstance(model, GPT) or cache is None:
                return model(self._last(longest_read(model)))
            if cache.length + self.unread > model.block_size:
                cache.reset()
                self.unread = max(1, model.block_size // 2)
            new = self._last(self.unread)
            self.unread = 0
            return model(new, cache)

    def append(self, new_ids: list[int]) -> None:
        """Each row goes on with its id."""
        for row, new_id in zip(self.rows, new_ids, strict=True):
            row.append(new_id)
        self.unread += 1

    def room(self) -> int:
        """Positions still free in the context, counting the ids that wait to be read as
        taken.
        """
        block_size = longest_read(self.model) or sys.maxsize
        read = 0 if self.cache is None else self.cache.length
        return max(0, block_size - read - self.unread)

    def take_back(self, n: int) -> None:
        """Each row loses its last n ids."""
        self.rows = [row[: len(row) - n] for row in self.rows]
        read, self.unread = max(0, n - self.unread), max(0, self.unread - n)
        if self.cache is not None and read < self.cache.length:
            self.cache.take_back(read)
        elif self.cache is not None:
            # The cache starts later than what is left of the text: read that anew.
            self.cache.reset()
            self.unread = len(self.rows[0])

    def reorder(self, rows: Int[Tensor, " B"]) -> None:
        """Row i becomes a copy of what row ``rows[i]`` was."""
        self.rows = [list(self.rows[i]) for i in rows.tolist()]
        if self.cache is not None:
            self.cache.reorder(rows.to(self.device))

    def _last(self, n: int | None) -> Int[Tensor, "B T"]:
        """The last n ids of each row; None is all."""
        rows = [row[-n:] if n else row for row in self.rows]
        return torch.tensor(rows, device=self.device)


def one_by_one(
    context: Context, n: int, sampling: Sampling, start: int = 0
) -> Iterator[int]:
    """The next n ids of a single row, beginning with draw ``start``."""
    for t in range(start, start + n):
        new_id = next_id(context.logits()[0], sampling, t, context.rows[0])
        context.append([new_id])
        yield new_id


def side_by_side(
    model: Model, prompts: list[list[int]], n: int, samplings: list[Sampling]
) -> list[list[int]]:
    """The n new ids after each prompt, of whatever length: all are read as far as the
    shortest one goes, and from there on each takes its own next id where it has one,
    and else one that is drawn.
    """
    lengths = [len(prompt) for prompt in prompts]
    context = Context(model, [prompt[: min(lengths)] for prompt in prompts])
    for length in range(min(lengths), max(lengths) + n):
        rows = zip(prompts, context.logits(), samplings, context.rows, strict=True)
        context.append(
            [
                prompt[length]
                if length < len(prompt)
                else next_id(logits, sampling, length - len(prompt), ids)
                for prompt, logits, sampling, ids in rows
            ]
        )
    return [
        row[length : length + n]  # the shorter ones have written on
        for row, length in zip(context.rows, lengths, strict=True)
    ]
