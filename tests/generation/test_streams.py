"""Streams of whole characters, and stop strings wherever they fall."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmlib.generation.streams import first_stop, stop_strings, until, whole_characters
from llmlib.text.bpe import BPETokenizer
from llmlib.text.tokenizers import CharTokenizer

BYTES = BPETokenizer.train("ab", 256)  # every byte a token


def test_characters_come_whole():
    text = "a😀é中\u0301b"
    pieces = list(whole_characters(BYTES, BYTES.encode(text)))
    expected = [[""] * (len(c.encode()) - 1) + [c] for c in text]
    assert pieces == list(itertools.chain(*expected))


@given(st.text())
def test_every_text_comes_through(text):
    ids = BYTES.encode(text)
    assert "".join(whole_characters(BYTES, [*ids, *BYTES.encode(".")])) == text + "."


def test_half_a_character_is_held_back_and_left_out():
    ids = BYTES.encode("a😀")
    assert list(whole_characters(BYTES, ids[:-1])) == ["a", "", "", ""]
    assert list(whole_characters(BYTES, ids)) == ["a", "", "", "", "😀"]
    broken = [ids[1], *BYTES.encode("b")]
    assert list(whole_characters(BYTES, broken)) == ["", "\ufffdb"]


def test_bytes_that_are_no_text_do_not_hold_back_what_follows():
    stray = BYTES.encode("😀")[-1]  # cannot begin a character
    stream = whole_characters(BYTES, [stray] * 5)
    assert list(stream) == ["", *["\ufffd"] * 4]


def test_a_tokenizer_of_characters():
    tokenizer = CharTokenizer.train("ab\ufffd")
    ids = tokenizer.encode("a\ufffd\ufffdb")
    assert "".join(whole_characters(tokenizer, ids)) == "a\ufffd\ufffdb"


def test_pieces_come_as_early_as_they_can():
    taken = []

    def pieces():
        for piece in ["one", " tw", "o", " three", " END", "never"]:
            taken.append(piece)
            yield piece

    stream = until(["END"], pieces())
    assert next(stream) == "one"
    assert taken == ["one"]
    assert list(stream) == [" tw", "o", " three", " "]
    assert "never" not in taken


def test_a_stop_string_that_does_not_come_is_given_out():
    assert list(until(["END"], ["a E", "N", "d"])) == ["a ", "ENd"]
    assert list(until(["END"], ["a E", "N"])) == ["a ", "EN"]
    assert list(until(["aab"], ["a", "a", "a", "b", "c"])) == ["a"]


def test_the_stop_string_that_is_complete_first_wins():
    assert "".join(until(["bcd", "c"], ["abcd"])) == "ab"
    assert "".join(until(["abcd", "bc"], ["abcd"])) == "a"
    assert "".join(until(["abcd", "bc"], ["ab", "cd"])) == "a"
    assert list(until(["x"], ["xabc"])) == []
    assert list(until([], ["x", "abc"])) == ["x", "abc"]


@given(
    st.text("ab\n", max_size=30),
    st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(0, 30), max_size=8),
)
def test_the_cut_does_not_depend_on_the_pieces(text, stops, cuts):
    cuts = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in itertools.pairwise(cuts)]
    ends = [
        (end, end - len(stop))
        for end in range(len(text) + 1)
        for stop in stops
        if text[:end].endswith(stop)
    ]
    expected = text[: min(ends)[1]] if ends else text
    assert "".join(until(stops, pieces)) == expected
    assert first_stop(text, stops) == (min(ends)[1] if ends else None)


def test_one_stop_string_or_several_and_none_of_them_empty():
    assert stop_strings("ab") == ("ab",)
    assert stop_strings(["a", "b"]) == ("a", "b")
    assert stop_strings(()) == ()
    for wrong in ("", ["a", ""]):
        with pytest.raises(ValueError, match="must not be empty"):
            stop_strings(wrong)
    with pytest.raises(TypeError, match=r"must be strings, not \(3,\)"):
        stop_strings([3])
