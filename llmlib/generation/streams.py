"""From a stream of ids to a stream of text that can be shown as it comes."""

from collections.abc import Iterable, Iterator, Sequence

from llmlib.text.tokenizers import Tokenizer

UNFINISHED = "\ufffd"  # what the bytes of half a character decode to


def whole_characters(tokenizer: Tokenizer, ids: Iterable[int]) -> Iterator[str]:
    """The text of the ids in pieces of whole characters: for each id those that it
    completes, an empty text where it completes none.

    A character whose last bytes are still to come is held back, and left out if they
    never do; so is a U+FFFD at the very end, which looks like one.
    """
    pending: list[int] = []  # ids since the last moment when every character was whole
    given = 0  # characters of theirs that are out already
    for new_id in ids:
        pending.append(new_id)
        text = tokenizer.decode(pending)
        whole = len(text) - text.endswith(UNFINISHED)
        yield text[given:whole]
        given = whole
        if whole == len(text):
            pending, given = [], 0


def stop_strings(stop: str | Sequence[str]) -> tuple[str, ...]:
    """One stop string or several, as a tuple. Raises TypeError for what is no string,
    ValueError for an empty one.
    """
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(isinstance(s, str) for s in stops):
        raise TypeError(f"stop must be strings, not {stops}")
    if "" in stops:
        raise ValueError("a stop string must not be empty")
    return stops


def until(stops: Sequence[str], pieces: Iterable[str]) -> Iterator[str]:
    """The pieces up to the stop string that is complete first, however it is spread
    over them.

    Text that may be the beginning of a stop string is held back until that is known.
    """
    held = ""
    for piece in pieces:
        held += piece
        if (end := first_stop(held, stops)) is not None:
            held = held[:end]
            break
        n = _length_of_beginning(held, stops)
        if n < len(held):
            yield held[: len(held) - n]
            held = held[len(held) - n :]
    if held:
        yield held


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the stop string begins that is complete first; None if there is none."""
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found)[1] if found else None


def _length_of_beginning(text: str, stops: Sequence[str]) -> int:
    """The length of the longest suffix of the text that is a proper prefix of a stop
    string.
    """
    return max(
        (n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])),
        default=0,
    )
