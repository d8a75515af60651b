"""Prompts as people type them."""

import warnings

import regex

from llmlib.text.tokenizers import WORD_PATTERN, Tokenizer, WordTokenizer


def known_text(tokenizer: Tokenizer, text: str, *, ask: bool) -> str:
    """The text without the characters that the tokenizer does not know, if the user agrees.
    Of unknown words, which the model reads as ``<unk>``, a warning tells.

    Raises ValueError, naming the characters, where the user is not asked or does not
    agree.
    """
    if words := unknown_words(tokenizer, text):
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


def unknown_words(tokenizer: Tokenizer, text: str) -> list[str]:
    """The words of a text, each once and with the space before it, that have no id of
    their own; other tokenizers than that of words have none.
    """
    if not isinstance(tokenizer, WordTokenizer):
        return []
    words = dict.fromkeys(regex.findall(WORD_PATTERN, text))
    return [word for word in words if word not in tokenizer.vocab]


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
