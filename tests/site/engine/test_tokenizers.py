"""The tokenizers in the page give the ids, texts and pieces of llmlib's."""

import json
import random
import unicodedata
from pathlib import Path

import pytest

from llmlib.generation.streams import until, whole_characters
from llmlib.text.bpe import BPETokenizer
from llmlib.text.tokenizers import (
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
    load_tokenizer,
)
from llmlib.training.saving import load_model

ALPHABETS = [
    "abc XYZ'stveldm \n\t",
    "0123456789.,;:!?-_()[]{}<>/\\|@#$%^&*+=~`\"'",
    "àéîöüñçßøåÆŁžśİıſ",
    "абвгдеёжзийклмнопρστυφχψωאבגדהעברית",
    "你好世界日本語テキスト한국어ไทยहिन्दीதமிழ்",
    "👍🏽👨‍👩‍👧😀🇩🇪❤️⃣",
    "\u0000\u0007\u001c\u001d\u001e\u001f\u0085\u00a0\u180e\u200b\u2028\u3000\ufeff\ufffd",
    "²³¼½Ⅷ①٣१‿⁀＿\u0301\u0308\u20dd",
]
WORDS = (
    " it's we'll I'D don't  'tis\r\n\r\n  def f(x):\n    return x**2  #  ok <|end|> <|e"
)


def texts() -> list[str]:
    """Thousands of texts: of one script and of all, and of any assigned characters."""
    draw = random.Random(3)
    assigned = [
        chr(i) for i in range(0x2FFFF) if unicodedata.category(chr(i))[0] != "C"
    ]
    found = ["", " ", "\n\n", WORDS, WORDS * 20, "a" * 3000, "ab" * 700 + "é" * 500]
    for _ in range(400):
        for alphabet in [*ALPHABETS, "".join(ALPHABETS), assigned]:
            found.append("".join(draw.choices(alphabet, k=draw.randrange(1, 24))))
    return found


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Tokenizers of every kind, and the file of each."""
    root = tmp_path_factory.mktemp("tokenizers")
    corpus = "".join(ALPHABETS * 3) + WORDS * 30 + "the cat sat on the mat. " * 50
    split_digits = r"\p{N}| ?\p{L}+|[^\s\p{L}\p{N}]+|\s+(?!\S)|\s|\d"
    kinds: dict[str, Tokenizer] = {
        "stories": load_model("stories")[1],
        "bpe": BPETokenizer.train(corpus, 700),
        "special": BPETokenizer.train(corpus, 400, ["<|e", "<|end|>", "(x)", "a|b"]),
        "digits": BPETokenizer.train(corpus, 500, pattern=split_digits),
        "dots": BPETokenizer.train(corpus, 500, pattern=r"[.,\s]{2}|.{1,9}|\s"),
        "words": WordTokenizer.train(corpus, 90),
        "chars": CharTokenizer.train(corpus),
        "no newline": CharTokenizer.train("abc"),
    }
    for name, tokenizer in kinds.items():
        tokenizer.save(root / f"{name}.json")
    return {name: (each, str(root / f"{name}.json")) for name, each in kinds.items()}


KINDS = [
    *("stories", "bpe", "special", "digits", "dots"),
    *("words", "chars", "no newline"),
]


@pytest.mark.parametrize("name", KINDS)
def test_a_tokenizer_gives_the_ids_texts_and_pieces_of_llmlib(
    call_all, values, tokenizers, name
):
    tokenizer, path = tokenizers[name]
    [found] = values([["tokenizer", path]])
    assert found["type"] == type(tokenizer).__name__.removesuffix("Tokenizer")
    assert found["vocabSize"] == tokenizer.vocab_size
    assert found["startIds"] == tokenizer.start_ids
    every = range(tokenizer.vocab_size)
    if isinstance(tokenizer, BPETokenizer):
        assert found["bytes"] == [list(token) for token in tokenizer.vocab]
        readable = [
            token.decode("utf-8", "backslashreplace") for token in tokenizer.vocab
        ]
        assert found["pieces"] == readable
    else:
        assert found["pieces"] == [tokenizer.decode([i]) for i in every]
        assert found["bytes"] == [list(piece.encode()) for piece in found["pieces"]]

    cases = texts()
    results = call_all([["encode", path, text] for text in cases])
    for text, result in zip(cases, results, strict=True):
        try:
            expected = {"value": tokenizer.encode(text)}
        except ValueError as error:  # a character that CharTokenizer does not know
            offset = int(str(error).split(" at offset ")[1].split()[0])
            code = f"(U+{ord(text[offset]):04X}) at offset {offset} is unknown"
            assert code in result["error"]
        else:
            assert result == expected


@pytest.mark.parametrize("name", KINDS)
def test_any_ids_decode_as_in_llmlib_at_once_and_as_a_stream(values, tokenizers, name):
    tokenizer, path = tokenizers[name]
    draw = random.Random(4)
    n = tokenizer.vocab_size
    cases = [draw.choices(range(n), k=draw.randrange(12)) for _ in range(1000)]
    cases += [
        tokenizer.encode(t)
        for t in texts()[:900]
        if name not in ("chars", "no newline")
    ]
    stops = [["e"], ["at", "a"], ["\n\n", "the cat"], [" ", "  "], []]
    calls = [["decode", path, ids] for ids in cases]
    calls += [["spell", path, ids, stops[i % 5]] for i, ids in enumerate(cases)]
    found = values(calls)
    for i, ids in enumerate(cases):
        assert found[i] == tokenizer.decode(ids)
        expected = until(stops[i % 5], whole_characters(tokenizer, ids))
        assert "".join(found[len(cases) + i]) == "".join(expected)


def test_a_stream_without_stops_gives_each_token_the_characters_it_completes(
    values, tokenizers
):
    tokenizer, path = tokenizers["special"]
    ids = tokenizer.encode("né👍🏽!")
    [found] = values([["spell", path, ids, []]])
    ends = [
        len(tokenizer.decode(ids[: n + 1]).rstrip("\ufffd")) for n in range(len(ids))
    ]
    text = tokenizer.decode(ids)
    assert found == [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def test_a_character_that_the_prompt_has_begun_is_completed(values, tokenizers):
    tokenizer, path = tokenizers["bpe"]
    ids = tokenizer.encode("né мама 👍🏽!")
    calls = [["spell", path, ids[n:], [], ids[:n]] for n in range(len(ids))]
    text = tokenizer.decode(ids)
    for n, pieces in enumerate(values(calls)):
        begun = tokenizer.decode(ids[:n]).rstrip("\ufffd")
        assert begun + "".join(pieces) == text


def test_what_cannot_be_encoded_is_named_and_can_be_left_out(call_all, tokenizers):
    bpe, chars = tokenizers["bpe"][1], tokenizers["no newline"][1]
    results = call_all(
        [
            ["encode", bpe, "ab\ud83dcd"],
            ["readable", bpe, "ab\ud83dcd👍\ude00"],
            ["encode", chars, "a👍b"],
            ["readable", chars, "a👍bé\n"],
            ["readable", tokenizers["words"][1], "ab\ud83d"],
        ]
    )
    assert results[0]["error"].startswith("The text has half a character at offset 2")
    assert results[1]["value"] == "abcd👍"
    assert results[2]["error"] == (
        'The character "👍" (U+1F44D) at offset 1 is unknown to this model, '
        "which knows 3 characters."
    )
    assert results[3]["value"] == "ab"
    assert results[4]["value"] == "ab\ud83d"


def test_files_of_the_tokenizers_library_are_read(values, tokenizers, tmp_path):
    _, path = tokenizers["special"]
    data = json.loads(Path(path).read_text("utf-8"))
    data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    del data["pre_tokenizer"]["use_regex"]
    (tmp_path / "older.json").write_text(json.dumps(data), encoding="utf-8")
    older = load_tokenizer(tmp_path / "older.json")
    [found] = values([["encode", str(tmp_path / "older.json"), WORDS]])
    assert found == older.encode(WORDS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"type": "WordPiece"}}, "another format"),
        ({"model": None}, "another format"),
        ({"normalizer": {"type": "NFC"}}, "normalizer"),
        ({"truncation": {"max_length": 8}}, "truncation"),
        ({"padding": {"pad_id": 0}}, "padding"),
        ({"post_processor": {"type": "TemplateProcessing"}}, "post_processor"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "cuts text"),
        ({"model": {"dropout": 0.1}}, "dropout"),
        ({"model": {"vocab": {"a": 0}}}, "damaged"),
        ({"model": {"vocab": {"é€": 0}}}, "damaged"),
        ({"model": {"merges": [["a", "???"]]}}, "merge 0"),
        ({"model": {"merges": [["a"]]}}, "merge 0"),
        ({"model": {"merges": None}}, "damaged"),
        ({"model": {"vocab": 3}}, "damaged"),
        ({"added_tokens": 5}, "damaged"),
    ],
)
def test_other_tokenizer_files_are_refused_in_a_sentence(
    call_all, tokenizers, tmp_path, changes, words
):
    data = json.loads(Path(tokenizers["bpe"][1]).read_text("utf-8"))
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(data[key], dict) and key == "model":
            data[key] |= value
        else:
            data[key] = value
    (tmp_path / "changed.json").write_text(json.dumps(data), encoding="utf-8")
    [result] = call_all([["tokenizer", str(tmp_path / "changed.json")]])
    assert result["error"].startswith("tokenizer.json ")
    assert words in result["error"]
