"""Cutting: the faster pattern for ASCII text cuts like the one it stands for."""

import regex
from hypothesis import example, given
from hypothesis import strategies as st

from llmlib.text.splitting import GPT2_PATTERN, Splitter

ascii_texts = st.text(st.characters(max_codepoint=127), max_size=60)
# What the pattern tells apart, so that short texts hold long runs of each.
telling_texts = st.text("aZ09 \t\n\r\x0b\x0c\x1c\x1f'stvlred_-!~\x00\x7f", max_size=40)


@given(st.one_of(ascii_texts, telling_texts))
@example("  a\x1c \x1d\n\n 's 'S  ")
def test_ascii_is_cut_as_the_pattern_says(text):
    assert Splitter(GPT2_PATTERN).split(text) == regex.findall(GPT2_PATTERN, text)


def test_each_pair_of_ascii_characters_is_cut_as_the_pattern_says():
    split = Splitter(GPT2_PATTERN).split
    for first in map(chr, range(128)):
        for second in map(chr, range(128)):
            text = f" {first}{second} "
            assert split(text) == regex.findall(GPT2_PATTERN, text)


def test_other_texts_and_patterns_are_cut_by_the_pattern_itself():
    assert Splitter(GPT2_PATTERN).split("été 2²") == ["été", " 2²"]
    assert Splitter(r"\p{L}+|.").split("ab 1") == ["ab", " ", "1"]
