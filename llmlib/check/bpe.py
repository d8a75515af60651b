"""Checks of the chapter "Byte-pair encoding"."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from llmlib.check.checking import Check

Word = tuple[str, ...]
Pair = tuple[str, str]


def walk(
    row: Sequence[Any], pair: tuple[Any, Any], made: Any, step: int = 2, end: int = 0
) -> list[Any]:
    """`made` wherever the pair is, from left to right. A merge goes on by `step`."""
    merged, i = [], 0
    while i < len(row) - end:
        found = tuple(row[i : i + 2]) == pair
        merged.append(made if found else row[i])
        i += step if found else 1
    return merged


def count_pairs(words: dict[Word, int]) -> dict[Pair, int]:
    pairs: Counter[Pair] = Counter()
    for word, n in words.items():
        for pair in pairwise(word):
            pairs[pair] += n
    return dict(pairs)


def count_in_one_row(words: dict[Word, int]) -> dict[Pair, int]:
    row = [token for word, n in words.items() for token in word * n]
    return dict(Counter(pairwise(row)))


def count_apart(words: dict[Word, int]) -> dict[Pair, int]:
    """Of pairs that overlap an equal one, only those that could be merged."""
    pairs: Counter[Pair] = Counter()
    for word, n in words.items():
        for pair in set(pairwise(word)):
            pairs[pair] += n * walk(word, pair, None).count(None)
    return dict(pairs)


def count_steps_of_two(words: dict[Word, int]) -> dict[Pair, int]:
    pairs: Counter[Pair] = Counter()
    for word, n in words.items():
        for i in range(0, len(word) - 1, 2):
            pairs[word[i], word[i + 1]] += n
    return dict(pairs)


COUNT = Check(
    "count pairs",
    right=count_pairs,
    cases=lambda: [
        ({tuple("the"): 3, tuple(" hen"): 2, tuple("other"): 1},),
        ({("b", "a", "a", "a"): 2, ("th", "e"): 5, ("e",): 7},),
    ],
    mistakes=[
        (
            "Each word counts once here: a word that stands in the text n times has each "
            "of its pairs n times.",
            lambda words: count_pairs(dict.fromkeys(words, 1)),
        ),
        (
            "You count across the border between two words: pairs stand inside a word.",
            count_in_one_row,
        ),
        (
            "Overlapping pairs are left out: three equal tokens in a row are two pairs, "
            "and both count.",
            count_apart,
        ),
        (
            "You step by two tokens, so that every other pair is passed over: each token "
            "but the last begins a pair.",
            count_steps_of_two,
        ),
        (
            "The last pair of each word is missing: is your range one too short?",
            lambda words: count_pairs({word[:-1]: n for word, n in words.items()}),
        ),
    ],
)


def merge_first(ids: list[int], pair: tuple[int, int], token: int) -> list[int]:
    for i in range(len(ids) - 1):
        if tuple(ids[i : i + 2]) == pair:
            return [*ids[:i], token, *ids[i + 2 :]]
    return list(ids)


def merge_overlapping(ids: list[int], pair: tuple[int, int], token: int) -> list[int]:
    """The second of a pair is swallowed, and begins another pair all the same."""
    merged: list[int] = []
    swallowed = False
    for i in range(len(ids)):
        starts = tuple(ids[i : i + 2]) == pair
        if starts:
            merged.append(token)
        elif not swallowed:
            merged.append(ids[i])
        swallowed = starts
    return merged


MERGE = Check(
    "merge a pair",
    right=walk,
    cases=lambda: [
        ([5, 1, 2, 7, 1, 2, 8], (1, 2), 256),
        ([1, 1, 1, 3], (1, 1), 256),
        ([2, 1, 2, 2, 1], (1, 2), 300),
        ([9], (9, 9), 256),
    ],
    mistakes=[
        (
            "Only the first place is merged: go on to the end of the row.",
            merge_first,
        ),
        (
            "Two merges share a token: in three equal ones in a row, the second is used up "
            "by the first merge.",
            merge_overlapping,
        ),
        (
            "The second token of the pair is still there: it has become part of the new "
            "one.",
            partial(walk, step=1),
        ),
        (
            "The token after a merged pair is lost: a merge uses two tokens, not three.",
            partial(walk, step=3),
        ),
        (
            "The last token is lost where it is not merged: the loop ends too early.",
            partial(walk, end=1),
        ),
        (
            "You merge from right to left: of overlapping places, the left one counts.",
            lambda ids, pair, token: walk(ids[::-1], pair[::-1], token)[::-1],
        ),
    ],
)


def join(word: Sequence[str], pair: Pair) -> list[str]:
    return walk(word, pair, "".join(pair))


def encode(piece: str, merges: list[Pair]) -> list[str]:
    word = list(piece)
    for pair in merges:
        word = join(word, pair)
    return word


def encode_from_the_left(piece: str, merges: list[Pair]) -> list[str]:
    """Always the leftmost pair that can be merged, whatever its rank."""
    word = list(piece)
    while found := [pair for pair in pairwise(word) if pair in merges]:
        i = list(pairwise(word)).index(found[0])
        word[i : i + 2] = [word[i] + word[i + 1]]
    return word


def encode_from_the_right(piece: str, merges: list[Pair]) -> list[str]:
    """The pairs in their order, each from the end of the piece on."""
    word = piece[::-1]
    turned = [(b[::-1], a[::-1]) for a, b in merges]
    return [token[::-1] for token in reversed(encode(word, turned))]


def encode_longest(piece: str, merges: list[Pair]) -> list[str]:
    """From the left, always the longest token that fits."""
    known = {a + b for a, b in merges} | set(piece)
    tokens = []
    while piece:
        n = next(n for n in range(len(piece), 0, -1) if piece[:n] in known)
        tokens.append(piece[:n])
        piece = piece[n:]
    return tokens


def encode_youngest(piece: str, merges: list[Pair]) -> list[str]:
    word = list(piece)
    while found := [pair for pair in pairwise(word) if pair in merges]:
        word = join(word, max(found, key=merges.index))
    return word


def encode_one(piece: str, merges: list[Pair]) -> list[str]:
    found = [pair for pair in pairwise(piece) if pair in merges]
    return join(piece, min(found, key=merges.index)) if found else list(piece)


def encode_frequent(piece: str, merges: list[Pair]) -> list[str]:
    """The pair that is most frequent in the piece, of those that can be merged."""
    word = list(piece)
    while found := [pair for pair in pairwise(word) if pair in merges]:
        word = join(word, Counter(found).most_common(1)[0][0])
    return word


MERGES = [("h", "e"), ("t", "he"), ("e", "r"), ("o", "t"), ("he", "r"), ("o", "the")]
LEAVES = [("e", "s"), ("l", "e"), ("a", "v"), ("le", "av"), ("leav", "es")]

ENCODE = Check(
    "encode with merges",
    right=encode,
    cases=lambda: [
        ("other", list(MERGES)),
        ("hererher", list(MERGES)),
        ("leaves", list(LEAVES)),
        ("lesler", [*LEAVES, ("l", "er"), ("e", "r")]),
        ("toto", list(MERGES)),
        ("eee", [("e", "e")]),
        ("x", list(MERGES)),
    ],
    mistakes=[
        (
            "Of equal pairs that overlap you merge the last one: the leftmost goes first.",
            encode_from_the_right,
        ),
        (
            "You merge from left to right as pairs come: of all pairs that stand there, "
            "the one learnt earliest goes first, wherever it is.",
            encode_from_the_left,
        ),
        (
            "You take the longest token that fits: that is another way to cut. Merge two "
            "neighbours at a time, the pair learnt earliest first.",
            encode_longest,
        ),
        (
            "You begin with the pair learnt last: the lowest rank goes first.",
            encode_youngest,
        ),
        (
            "You stop after one merge: look again, as long as a pair is left that can be "
            "merged.",
            encode_one,
        ),
        (
            "You take the pair that is most frequent in this word: frequencies decided "
            "in training; here only the order of the merges counts.",
            encode_frequent,
        ),
    ],
)

CHECKS: list[Check] = [COUNT, MERGE, ENCODE]
