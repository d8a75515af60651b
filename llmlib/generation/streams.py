"""From a stream of ids to a stream of text that can be shown as it comes."""

from collections.abc import Iterable, Iterator, Sequence

from llmlib.text.tokenizers import Tokenizer

UNFINISHED = "\ufffd"  # what the bytes of half a character decode to


def whole_characters(tokenizer: Tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """The text of the ids in pieces of whole characters.

    A character whose last bytes are still to come is held back, and left out if they
    never do; so is a U+FFFD at the very end, which looks like one.
    """
    pending: list[int] = []  # ids since the last moment when every character was whole
    given = 0  # characters of theirs that are out already
    for new_id in ids:
        pending.append(new_id)
        text = tokenizer.decode(pending)
        whole = len(text) - text.endswith(UNFINISHED)
        if whole > given:
            yield text[given:whole]
        given = whole
        if whole == len(text):
            pending, given = [], 0


def until(stops: Sequence[str], pieces: Iterable[str]) -> Iterator[str]:
    """The pieces up to the stop string that is complete first, however it is spread
    over them.

    Text that may be the beginning of a stop string is held back until that is known.
    """
    held = ""
    for piece in pieces:
        held += piece
        found = [(at + len(stop), at) for stop in stops if (at := held.find(stop)) >= 0]
        if found:
            held = held[: min(found)[1]]
            break
        n = _length_of_beginning(held, stops)
        if n < len(held):
            yield held[: len(held) - n]
            held = held[len(held) - n :]
    if held:
        yield held


def _length_of_beginning(text: str, stops: Sequence[str]) -> int:
    """How long an end of the text is at most that a stop string begins with."""
    return max(
        (n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])),
        default=0,
    )
