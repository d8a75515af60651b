"""Writing: one id after the other from a model, alone, in batches, as text, or by beam
search.

A *model* here is a GPT (compiled or not), which is read through its KV cache, or any
other callable from ids (B, T) to logits (B, T, V), such as a Bigram or an NGram, which
is called on the last ids each time.

A context that is full: a prompt keeps its last ``block_size`` ids. When a GPT has read
``block_size`` of them, it reads the last ``block_size // 2`` again into an empty cache,
as if the text began there, and goes on.

B: batch (texts or beams side by side), T: time (tokens), V: vocabulary, N: ids of a
prompt.
"""

import math
import operator
import warnings
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from llmlib.evaluation.models import Model, longest_read, unwrapped
from llmlib.generation.context import Context, one_by_one, side_by_side
from llmlib.generation.sampling import UNCHANGED, Ids, Sampling
from llmlib.generation.speculation import guess_and_check
from llmlib.generation.streams import stop_strings, until, whole_characters
from llmlib.model.gpt import GPT
from llmlib.text.counts import checked_count
from llmlib.text.ids import check_range
from llmlib.text.tokenizers import Tokenizer


def generate(
    model: Model,
    ids: Ids,
    max_new_tokens: int,
    sampling: Sampling = UNCHANGED,
    draft: Model | None = None,
) -> Iterator[int]:
    """Writes on from the prompt ``ids``: an iterator of exactly ``max_new_tokens`` new
    ids, each as soon as it is chosen.

    A ``draft``, some faster model of the same vocabulary, guesses several ids ahead,
    and the GPT reads all guesses at once and keeps what it would have chosen itself
    (speculative decoding, Leviathan et al. 2023): the same ids in less time, if enough
    of the guesses are right.

    The repetition penalty looks at the ids of the prompt (those kept) and at all that
    were written since. Raises ValueError for an empty prompt, ids outside the
    vocabulary, a negative max_new_tokens and a draft of another vocabulary or for a
    model that is not a GPT, TypeError for ids and numbers that are not integers and a
    draft that is no model; all at the call.
    """
    model, draft = unwrapped(model), unwrapped(draft)
    checked_count("max_new_tokens", max_new_tokens, least=0)
    context = Context(model, [_prompt(model, ids)])
    seeded = _seeded(sampling)
    if draft is not None:
        _check_draft(model, draft)
        guessing = Context(draft, [_prompt(draft, ids)])
        return guess_and_check(context, guessing, max_new_tokens, seeded)
    return one_by_one(context, max_new_tokens, seeded)


def generate_batch(
    model: Model,
    prompts: Sequence[Ids],
    max_new_tokens: int,
    sampling: Sampling = UNCHANGED,
) -> list[list[int]]:
    """The new ids after each prompt. Row i is what ``generate`` writes with seed + i.

    Prompts of about one length are read together. Raises as ``generate`` does.
    """
    model = unwrapped(model)
    checked_count("max_new_tokens", max_new_tokens, least=0)
    seeded = _seeded(sampling)
    rows = [_prompt(model, ids) for ids in prompts]
    written: list[list[int]] = [[] for _ in rows]
    for group in _of_about_one_length(rows, max_new_tokens):
        samplings = [seeded.seeded(i) for i in group]
        new = side_by_side(model, [rows[i] for i in group], max_new_tokens, samplings)
        for i, new_ids in zip(group, new, strict=True):
            written[i] = new_ids
    return written


def write(
    model: Model,
    tokenizer: Tokenizer,
    prompt: str,
    max_new_tokens: int,
    sampling: Sampling = UNCHANGED,
    stop: str | Sequence[str] = (),
    draft: Model | None = None,
) -> Iterator[str]:
    """Writes on from ``prompt``, as pieces of text: whole characters only, and nothing
    from a stop string on; with a ``draft`` as ``generate`` does.

    An empty prompt begins with ``tokenizer.start_ids``. A character whose last bytes
    are still to come is held back, and so is text that may turn out to be the beginning
    of a stop string; writing ends at the stop string that is complete first. Half a
    character at the very end is left out. Warns where a GPT's prompt is longer than its
    context. Raises as ``generate`` and ``tokenizer.encode`` do, and ValueError for an
    empty stop string.
    """
    stops, ids = stop_strings(stop), prompt_ids(model, tokenizer, prompt)
    new_ids = generate(model, ids, max_new_tokens, sampling, draft)
    return until(stops, whole_characters(tokenizer, new_ids))


def prompt_ids(model: Model, tokenizer: Tokenizer, prompt: str) -> list[int]:
    """The ids of a prompt, ``tokenizer.start_ids`` for an empty one. Warns where it is
    longer than the context of a GPT.
    """
    model = unwrapped(model)
    ids = tokenizer.encode(prompt) or tokenizer.start_ids
    if isinstance(model, GPT) and len(ids) > model.block_size:
        warnings.warn(
            f"the prompt has {len(ids):,} tokens and the model reads the last "
            f"{model.block_size:,} only",
            stacklevel=3,
        )
    return ids


def beam_search(
    model: Model, ids: Ids, max_new_tokens: int, num_beams: int
) -> list[int]:
    """The new ids whose sum of log-probabilities is the largest that a search with
    ``num_beams`` finds.

    At each step the ``num_beams`` best of all continuations of all beams go on; of
    equals, those of the better beam, then the lowest ids. One beam is greedy search.
    Raises as ``generate`` does.
    """
    model = unwrapped(model)
    checked_count("max_new_tokens", max_new_tokens, least=0)
    checked_count("num_beams", num_beams)
    prompt = _prompt(model, ids)
    context = Context(model, [prompt] * num_beams)
    scores = torch.full((num_beams,), -math.inf, dtype=torch.float64)
    scores[0] = 0  # all beams are still the same: only one counts
    for _ in range(max_new_tokens):
        log_p = context.logits().double().log_softmax(-1)  # (B, V)
        totals = (scores[:, None] + log_p).flatten()
        if not totals.max().isfinite():
            raise ValueError("logits must be finite or -inf, and not all -inf")
        best = _largest(totals, num_beams)
        scores = totals[best]
        context.reorder(best // log_p.shape[1])
        context.append((best % log_p.shape[1]).tolist())
    return context.rows[0][len(prompt) :]


def _largest(values: Float[Tensor, " N"], k: int) -> Int[Tensor, " k"]:
    """Where the k largest values are, in falling order; of equals the first."""
    candidates = (values >= values.topk(k).values[-1]).nonzero()[:, 0]
    return candidates[values[candidates].sort(descending=True, stable=True).indices[:k]]


def _prompt(model: Model, ids: Ids) -> list[int]:
    """The ids that a run begins with: checked, and the last block_size of them."""
    if isinstance(ids, Tensor):
        if ids.ndim != 1:
            raise ValueError(f"ids must be one row, not of shape {tuple(ids.shape)}")
        ids = ids.tolist()
    try:
        row = [operator.index(i) for i in ids]
    except TypeError:
        raise TypeError("ids must be integers") from None
    if not row:
        raise ValueError("the prompt is empty: begin with tokenizer.start_ids")
    check_range("ids", min(row), max(row), getattr(model, "vocab_size", math.inf))
    return row[-(longest_read(model) or 0) :]


def _of_about_one_length(rows: list[list[int]], spread: int) -> list[list[int]]:
    """The numbers of the rows in groups, by length: none is longer than the first of its
    group by more than ``spread``, beyond which another group would take fewer steps.
    """
    groups: list[list[int]] = []
    for i in sorted(range(len(rows)), key=lambda i: len(rows[i])):
        if groups and len(rows[i]) - len(rows[groups[-1][0]]) <= spread:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _check_draft(model: Model, draft: Model) -> None:
    """ValueError or TypeError unless the draft can guess for the model."""
    if not callable(draft):
        raise TypeError(f"a draft must be a model, not {draft!r}")
    if not isinstance(model, GPT):
        raise ValueError("guesses are checked in a KV cache, which only a GPT has")
    theirs = getattr(draft, "vocab_size", model.vocab_size)
    if theirs != model.vocab_size:
        raise ValueError(
            f"a draft must know the same {model.vocab_size} tokens, not {theirs}"
        )


def _seeded(sampling: Sampling) -> Sampling:
    if not isinstance(sampling, Sampling):
        raise TypeError(f"sampling must be a Sampling, not {sampling!r}")
    return sampling.seeded()
