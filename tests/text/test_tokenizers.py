"""Characters and words, and what all tokenizers promise."""

import json
import os
import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmlib.text.bpe import BPETokenizer
from llmlib.text.tokenizers import (
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
    load_tokenizer,
)

TEXT = "The cat said: 'I'm 42!' It's a café.\n\nThe  cat\tsat.\n\n"

ALL = {
    "char": CharTokenizer.train(TEXT),
    "word": WordTokenizer.train(TEXT),
    "bpe": BPETokenizer.train(TEXT, 280, special_tokens=["<|endoftext|>"]),
}
each = pytest.mark.parametrize("tokenizer", ALL.values(), ids=ALL)


@each
def test_round_trip(tokenizer):
    ids = tokenizer.encode(TEXT)
    assert tokenizer.decode(ids) == TEXT
    assert set(ids) <= set(range(tokenizer.vocab_size))
    assert all(type(id_) is int for id_ in ids)


@each
def test_decoding_is_concatenation(tokenizer):
    text = TEXT.replace("é", "e") if isinstance(tokenizer, BPETokenizer) else TEXT
    ids = tokenizer.encode(text)
    assert "".join(tokenizer.decode([id_]) for id_ in ids) == text
    assert "".join(tokenizer.pieces(text)) == text
    assert len(tokenizer.pieces(text)) == len(ids)


@each
def test_empty(tokenizer):
    assert tokenizer.encode("") == tokenizer.pieces("") == []
    assert tokenizer.decode([]) == ""


@each
def test_a_text_starts_after_a_blank_line(tokenizer):
    assert tokenizer.start_ids == tokenizer.encode("\n\n")
    assert tokenizer.decode(tokenizer.start_ids) == "\n\n"


@pytest.mark.parametrize("kind", [CharTokenizer, WordTokenizer])
def test_without_a_newline_a_text_starts_after_id_0(kind):
    assert kind.train("no newline here").start_ids == [0]


def test_the_blank_line_between_words_is_the_one_of_start_ids():
    word = ALL["word"]
    assert word.pieces("cat.\n\nThe") == [" cat"[:0] + "<unk>", ".", "\n", "\n", "The"]


@each
def test_ids_may_be_arrays(tokenizer):
    ids = tokenizer.encode(TEXT)
    assert tokenizer.decode(np.array(ids)) == TEXT
    assert tokenizer.decode(torch.tensor(ids)) == TEXT
    assert tokenizer.decode(iter(ids)) == TEXT


@each
@pytest.mark.parametrize("bad", [-1, 10**6, 2**70, "vocab_size"])
def test_ids_outside_the_vocabulary_are_named(tokenizer, bad):
    bad = tokenizer.vocab_size if bad == "vocab_size" else bad
    message = f"ids run .*{bad}.*, allowed are 0 to {tokenizer.vocab_size - 1}"
    with pytest.raises(ValueError, match=message):
        tokenizer.decode([0, bad, 1])


@each
@pytest.mark.parametrize("ids", [["a"], [1.0], [None], 3, torch.ones(2, 2).long()])
def test_ids_of_another_type(tokenizer, ids):
    with pytest.raises(TypeError):
        tokenizer.decode(ids)


@each
@pytest.mark.parametrize("text", [b"bytes", None, 3, ["a", "b"]])
def test_encode_takes_a_str(tokenizer, text):
    with pytest.raises(TypeError, match="text must be a str, got a"):
        tokenizer.encode(text)


@pytest.mark.parametrize("kind", [CharTokenizer, WordTokenizer])
def test_nothing_to_learn_from(kind):
    with pytest.raises(ValueError, match="empty"):
        kind.train("")
    with pytest.raises(TypeError, match="got a bytes"):
        kind.train(b"abc")
    with pytest.raises(ValueError, match=r"'\\udc00' at offset 2 is a lone surrogate"):
        kind.train("ab\udc00")


# Characters


def test_characters_are_in_the_order_of_their_code_points():
    char = CharTokenizer.train("hello\n")
    assert char.vocab == {"\n": 0, "e": 1, "h": 2, "l": 3, "o": 4}
    assert char.encode("hole") == [2, 4, 3, 1]
    assert repr(char) == "CharTokenizer(vocab_size=5)"


@pytest.mark.parametrize("unknown", ["Z", "é", "\u0301", "😀", "\x00", "\ud800"])
def test_an_unknown_character_is_named(unknown):
    char = CharTokenizer.train("hello")
    with pytest.raises(ValueError, match="at offset 2 is unknown") as caught:
        char.encode(f"he{unknown}lo{unknown}")
    assert repr(unknown) in str(caught.value)
    str(caught.value).encode("utf-8")  # can be printed


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_characters_round_trip(text):
    char = CharTokenizer.train(text)
    assert char.vocab_size == len(set(text))
    assert char.decode(char.encode(text)) == text


# Words


def test_words_carry_their_space():
    word = WordTokenizer.train("I'm the cat, the  cat.\n")
    pieces = ["I", "'m", " the", " cat", ",", " the", " ", " cat", ".", "\n"]
    assert word.pieces("I'm the cat, the  cat.\n") == pieces


def test_the_most_common_words_are_kept():
    word = WordTokenizer.train("b a a c c d", vocab_size=4)
    # " a" and " c" are there twice; of the others "b" comes first.
    assert word.vocab == {"<unk>": 0, " a": 1, " c": 2, "b": 3}
    assert word.encode("b c d") == [3, 2, 0]
    assert word.decode([3, 2, 0]) == "b c<unk>"


def test_unknown_words_are_named_once_and_are_those_read_as_unk():
    tokenizer = WordTokenizer.train("a hen. a cow")
    text = "a dragon! a dragon, hen"
    assert tokenizer.unknown(text) == [" dragon", "!", ","]
    read = dict(
        zip(tokenizer._pattern.findall(text), tokenizer.encode(text), strict=True)
    )
    assert [word for word, id_ in read.items() if id_ == 0] == tokenizer.unknown(text)
    assert tokenizer.unknown("a hen.") == []


def test_vocab_size_counts_unk_and_has_ten_thousand_by_default():
    text = " ".join(f"word{chr(97 + n % 26)}{'x' * (n // 26)}" for n in range(12_000))
    assert WordTokenizer.train(text).vocab_size == 10_000
    assert WordTokenizer.train("a b c", 1_000).vocab_size == 4
    with pytest.raises(ValueError, match=r"vocab_size must be at least 2, .* got 1"):
        WordTokenizer.train("a b c", 1)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_text_without_unknown_words_round_trips(text):
    word = WordTokenizer.train(text, vocab_size=10**6)
    assert word.decode(word.encode(text)) == text
    assert 0 not in word.encode(text)


@settings(deadline=None)
@given(st.text())
def test_every_other_word_is_unknown(text):
    word = WordTokenizer.train("the cat")
    pieces = Counter(word.pieces(text))
    assert set(pieces) <= {"the", " cat", "<unk>"}


# Files


@each
def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path)  # a folder
    tokenizer.save(tmp_path / "other.json")  # a file
    assert sorted(os.listdir(tmp_path)) == ["other.json", "tokenizer.json"]
    for path in (tmp_path, tmp_path / "other.json", str(tmp_path)):
        again = load_tokenizer(path)
        assert type(again) is type(tokenizer)
        assert again.vocab == tokenizer.vocab
        assert again.encode(TEXT) == tokenizer.encode(TEXT)
        assert again.start_ids == tokenizer.start_ids


def test_the_files_are_shaped_like_the_tokenizers_librarys(tmp_path):
    CharTokenizer.train("aé").save(tmp_path)
    data = json.loads((tmp_path / "tokenizer.json").read_bytes().decode("utf-8"))
    model = {"type": "Char", "vocab": {"a": 0, "é": 1}}
    assert data == {"version": "1.0", "model": model}


@each
def test_a_failed_save_leaves_the_old_file_and_no_other(
    tokenizer, tmp_path, monkeypatch
):
    tokenizer.save(tmp_path)
    before = (tmp_path / "tokenizer.json").read_bytes()

    def disk_full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        tokenizer.save(tmp_path)
    assert os.listdir(tmp_path) == ["tokenizer.json"]
    assert (tmp_path / "tokenizer.json").read_bytes() == before


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


DAMAGED = {
    "empty": b"",
    "not JSON": b'{"model": ',
    "not UTF-8": b"\xff\xfe{}",
    "a pickle": pickle.dumps({"model": {}}),
    "a list": b"[1, 2, 3]",
    "null": b"null",
    "no model": b'{"version": "1.0"}',
    "no type": b'{"model": {"vocab": {}}}',
    "type is a list": b'{"model": {"type": []}}',
    "WordPiece": b'{"model": {"type": "WordPiece", "vocab": {"a": 0}}}',
    "no vocabulary": b'{"model": {"type": "Char"}}',
    "empty vocabulary": b'{"model": {"type": "Char", "vocab": {}}}',
    "vocabulary is a list": b'{"model": {"type": "Word", "vocab": ["a"]}}',
    "ids with a gap": b'{"model": {"type": "Char", "vocab": {"a": 0, "b": 2}}}',
    "ids twice": b'{"model": {"type": "Char", "vocab": {"a": 0, "b": 0}}}',
    "ids of another type": b'{"model": {"type": "Char", "vocab": {"a": "0"}}}',
    "two characters": b'{"model": {"type": "Char", "vocab": {"ab": 0}}}',
    "no character": b'{"model": {"type": "Char", "vocab": {"": 0}}}',
    "no <unk>": b'{"model": {"type": "Word", "vocab": {"a": 0}}}',
    "BPE without merges": b'{"model": {"type": "BPE", "vocab": {"a": 0}}}',
    "nested": b"[" * 200_000,
    "a long number": b'{"model": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_named(tmp_path, content):
    file = tmp_path / "tokenizer.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json is not a tokenizer"):
        load_tokenizer(file)


@each
def test_a_file_cut_anywhere_is_damaged(tokenizer, tmp_path):
    file = tmp_path / "tokenizer.json"
    tokenizer.save(file)
    whole = file.read_bytes()
    for cut in range(0, len(whole), max(1, len(whole) // 50)):
        file.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="is not a tokenizer"):
            load_tokenizer(file)


def test_a_tokenizer_has_all_its_parts():
    with pytest.raises(TypeError, match="abstract"):
        Tokenizer()
