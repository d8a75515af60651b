"""Guess and check, often called draft and verify: a fast model writes ahead, and a slow
one reads all of it at once and keeps what it would have written itself (speculative
decoding, Leviathan et al. 2023).

A model that writes token by token mostly waits for its weights to come from memory, and
the same weights serve five positions as well as one. Here a guess is right if it is the
very id that the model chooses with this draw, so that the text is the same as without
guesses, whatever the sampling.

V: vocabulary.
"""

from collections.abc import Iterator

from llmlib.generation.context import Context, one_by_one
from llmlib.generation.sampling import Sampling, next_id

GUESSES = 4  # of the draft, before the model looks at them


def guess_and_check(
    context: Context, draft: Context, n: int, sampling: Sampling
) -> Iterator[int]:
    """The ids of `one_by_one`. The draft goes ahead with the same draws,
    the model reads all its guesses at once, and both return to the first wrong one.
    """
    t = 0
    while t < n:
        ahead = min(GUESSES, n - t - 1, context.room())
        guesses = [*one_by_one(draft, ahead, sampling, t)]
        for guess in guesses:
            context.append([guess])
        rows = context.all_logits()[0, -1 - ahead :].cpu()  # (1 + ahead, V)
        ids, known = context.rows[0], len(context.rows[0]) - ahead
        for i, logits in enumerate(rows):
            new_id = next_id(logits, sampling, t + i, ids[: known + i])
            yield new_id
            if guesses[i : i + 1] != [new_id]:  # wrong, or the one after the last
                break
        for side in (context, draft):
            side.take_back(ahead - i)
            side.append([new_id])
        t += i + 1
