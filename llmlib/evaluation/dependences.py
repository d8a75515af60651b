"""Does a model remember? Whether it knows what a story has decided long before.

The grammar marks the places where an earlier word decides a later one, with all that
could have stood there after another beginning. A model is asked which of them it holds
for most likely.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from llmlib.evaluation.metrics import text_bits
from llmlib.evaluation.models import Model
from llmlib.text.stories import Dependence
from llmlib.text.tokenizers import Tokenizer, WordTokenizer

Place = tuple[str, Dependence]
"""A story, and one of its dependences."""
LONGEST = 40  # characters of a token, at most


def candidate_bits(
    model: Model,
    tokenizer: Tokenizer,
    places: Sequence[Place],
    reach: int | None = None,
) -> list[dict[str, float]]:
    """For each place, what each candidate would cost, in bits, with all before it.

    The model reads the story up to the place (with `reach`, only that many characters
    before it, and the word that they begin in), and each candidate. With it goes the
    token that follows it, so that "he" is not taken for the beginning of "her", except
    where tokens are whole words anyway.
    """
    texts = []
    for story, dependence in places:
        start, end = dependence.start, dependence.end
        cut = 0 if reach is None else max(0, start - reach)
        first = max(0, story.rfind(" ", 0, cut + 1))  # never within a word
        before, after = story[first:start], _follows(tokenizer, story[end:])
        texts += [before + candidate + after for candidate in dependence.candidates]
    bits = iter(text_bits(model, tokenizer, texts))
    return [{c: next(bits) for c in dependence.candidates} for _, dependence in places]


def choose_candidates(
    model: Model,
    tokenizer: Tokenizer,
    places: Sequence[Place],
    reach: int | None = None,
) -> list[str]:
    """For each place, the candidate to which the model gives the highest probability:
    that of the fewest `candidate_bits`.
    """
    costs = candidate_bits(model, tokenizer, places, reach)
    return [min(cost, key=cost.__getitem__) for cost in costs]


def _follows(tokenizer: Tokenizer, rest: str) -> str:
    """The first token of the rest of a story. A part of it would not do: what a model
    thinks of the lone ! of a token !" says nothing about the candidate before it.
    """
    if isinstance(tokenizer, WordTokenizer) or not rest:
        return ""
    piece = tokenizer.pieces(rest[:LONGEST])[0]
    return piece if rest.startswith(piece) else rest[0]  # it may be half a character


def dependence_accuracy(
    model: Model,
    tokenizer: Tokenizer,
    places: Sequence[Place],
    reach: int | None = None,
) -> dict[str, float]:
    """By kind of dependence, the share of places where the model chooses what is there."""
    chosen = choose_candidates(model, tokenizer, places, reach)
    right = [
        (dependence.kind, float(choice == story[dependence.start : dependence.end]))
        for choice, (story, dependence) in zip(chosen, places, strict=True)
    ]
    return mean_by_kind(right)


def chance_accuracy(places: Iterable[Place]) -> dict[str, float]:
    """By kind, what dependence_accuracy would be for one who picks at random."""
    return mean_by_kind((d.kind, 1 / len(d.candidates)) for _, d in places)


def mean_by_kind(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The mean of the numbers, or tensors, that came with each kind; kinds in
    alphabetical order.
    """
    by_kind = defaultdict(list)
    for kind, value in values:
        by_kind[kind].append(value)
    return {kind: sum(found) / len(found) for kind, found in sorted(by_kind.items())}
