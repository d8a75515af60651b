"""How a pattern cuts a text into pieces, which byte-pair encoding then never joins."""

import re
from collections.abc import Iterable
from typing import Any

import regex

GPT2_PATTERN = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)

# The same for ASCII text, in what Python's own `re` knows, which is twice as fast. (White space is
# written out because `re` counts four control characters to it that Unicode does not.)
GPT2_PATTERN_ASCII = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\t-\r A-Za-z0-9]+"
    r"|[\t-\r ]+(?![^\t-\r ])|[\t-\r ]+"
)


class Splitter:
    """Cuts texts with one pattern, which has to match every character.

    Raises ValueError if the pattern is none or has a capturing group.
    """

    def __init__(self, pattern: str) -> None:
        try:
            self.pattern = regex.compile(pattern)
        except regex.error as error:
            raise ValueError(
                f"the pattern {pattern!r} is no pattern: {error}"
            ) from None
        if self.pattern.groups:
            raise ValueError(
                f"the pattern {pattern!r} has a capturing group, not (?:...)"
            )
        self.for_ascii: Any = self.pattern
        if pattern == GPT2_PATTERN:
            self.for_ascii = re.compile(GPT2_PATTERN_ASCII)

    def split(self, text: str) -> list[str]:
        """The pieces of `text`. Raises ValueError if they leave out a character."""
        pattern = self.for_ascii if text.isascii() else self.pattern
        pieces: list[str] = pattern.findall(text)
        if "".join(pieces) != text:
            raise ValueError(
                f"the pattern {self.pattern.pattern!r} leaves out characters of the text"
            )
        return pieces


def compile_special(tokens: Iterable[str]) -> Any:
    """A pattern whose `split` gives text, special token, text, ...; None for none.

    Raises ValueError for an empty token and for two that are the same.
    """
    longest_first = sorted(tokens, key=len, reverse=True)
    if "" in longest_first or len(set(longest_first)) < len(longest_first):
        raise ValueError(f"special tokens are distinct and not empty: {longest_first}")
    alternatives = "|".join(map(regex.escape, longest_first))
    return regex.compile(f"({alternatives})") if longest_first else None
