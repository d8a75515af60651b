"""Checks of the chapter "Characters and words"."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from llmlib.check.checking import Check


def one_of_each(text: str) -> list[str]:
    """The characters of a text in the order of their code points."""
    return sorted(set(text))


def most_common(words: Sequence[str], n: int | None = None) -> list[str]:
    """The n most common words; of equals the one that occurs first."""
    return [word for word, _ in Counter(words).most_common(n)]


def numbered(
    order: Callable[[str], Iterable[str]], first: int = 0
) -> Callable[[str, str], list[int]]:
    """An answer that counts characters from `first`, in the `order` of a text's."""

    def character_ids(text: str, learnt_from: str) -> list[int]:
        id_of = {c: i for i, c in enumerate(order(learnt_from), start=first)}
        return [id_of[c] for c in text]

    return character_ids


def cut(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


CHARACTER_IDS = Check(
    "character ids",
    right=numbered(one_of_each),
    cases=lambda: [
        ("the seat", "she sat at the sea"),
        ("Tea, at ten?", "Ten hats at sea?\nAnn, eat the tea."),
    ],
    mistakes=[
        (
            "The characters are numbered in the order in which they occur: they should be "
            "sorted first.",
            numbered(dict.fromkeys),
        ),
        (
            "The characters are numbered from the most common one down: they should be in "
            "sorted order.",
            numbered(most_common),
        ),
        ("Your ids begin at 1: the first one is 0.", numbered(one_of_each, first=1)),
        (
            "You numbered the places of the sorted text, where a character stands many "
            "times: the vocabulary has one of each.",
            numbered(sorted),
        ),
        (
            "Capitals stand among the small letters: plain sorting goes by code points, "
            "with all capitals first.",
            numbered(lambda text: sorted(set(text), key=lambda c: (c.lower(), c))),
        ),
        (
            "These are the code points of the characters, not their places in the "
            "vocabulary.",
            lambda text, learnt_from: [ord(c) for c in text],
        ),
        (
            "The vocabulary was made from the text that is encoded: it should come from "
            "`learnt_from`.",
            lambda text, learnt_from: numbered(one_of_each)(text, text),
        ),
    ],
)

WORD_VOCABULARY = Check(
    "word vocabulary",
    right=lambda words, size: ["<unk>", *most_common(words, size - 1)],
    cases=lambda: [
        (cut("the fox saw the hen and the hen saw a dog"), 4),
        (cut("the fox saw the hen and the hen saw a dog"), 5),
        (cut("the fox saw the hen and the hen saw a dog"), 100),
    ],
    mistakes=[
        (
            "There is no `<unk>`: it has the id 0, and counts as one of the entries.",
            most_common,
        ),
        (
            "There is one entry too many: `<unk>` counts as one of them.",
            lambda words, size: ["<unk>", *most_common(words, size)],
        ),
        (
            "`<unk>` stands at the end: its id is 0, so it comes first.",
            lambda words, size: [*most_common(words, size - 1), "<unk>"],
        ),
        (
            "Equally common words are in alphabetical order: the one that occurs first "
            "should come first.",
            lambda words, size: ["<unk>", *most_common(sorted(words), size - 1)],
        ),
        (
            "Of equally common words you take the one that occurs last.",
            lambda words, size: ["<unk>", *most_common(words[::-1], size - 1)],
        ),
        (
            "You take the rarest words: the order of the counts is upside down.",
            lambda words, size: [
                "<unk>",
                *sorted(dict.fromkeys(words), key=words.count),
            ][:size],
        ),
        (
            "The words are in the order in which they occur: nobody has counted them.",
            lambda words, size: ["<unk>", *dict.fromkeys(words)][:size],
        ),
        (
            "You chose the right words and then sorted them: they stay in the order of "
            "their counts.",
            lambda words, size: ["<unk>", *sorted(most_common(words, size - 1))],
        ),
    ],
)

CHECKS: list[Check] = [CHARACTER_IDS, WORD_VOCABULARY]
