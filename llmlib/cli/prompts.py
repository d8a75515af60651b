"""Prompts as people type them."""

import warnings

from llmlib.text.tokenizers import Tokenizer, WordTokenizer


def known_text(tokenizer: Tokenizer, text: str, *, ask: bool) -> str:
    """The text without the characters that the tokenizer does not know, if the user agrees.
    Of unknown words, which the model reads as ``<unk>``, a warning tells.

    Raises ValueError, naming the characters, where the user is not asked or does not
    agree.
    """
    if isinstance(tokenizer, WordTokenizer) and (words := tokenizer.unknown(text)):
        names = ", ".join(map(repr, words))
        warnings.warn(
            f"the model reads <unk> in place of {names}: not among its words",
            stacklevel=2,
        )
    unknown = [c for c in dict.fromkeys(text) if not is_known(tokenizer, c)]
    if not unknown:
        return text
    names = ", ".join(map(repr, unknown))
    sentence = f"the model does not know {names}: no such character was in its text"
    if not ask or not agrees(f"({sentence}. Go on without? [Y/n]) "):
        raise ValueError(sentence)
    return "".join(c for c in text if c not in unknown)


def is_known(tokenizer: Tokenizer, character: str) -> bool:
    """Whether the tokenizer has an id for a character."""
    try:
        tokenizer.encode(character)
    except ValueError:
        return False
    return True


def agrees(question: str) -> bool:
    """Whether the answer to a question begins with y, or is empty."""
    try:
        answer = input(question)
    except EOFError:
        return False
    return answer.strip().lower()[:1] in ("", "y")
