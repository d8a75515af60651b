"""Byte-level BPE against the Hugging Face `tokenizers` library, and its round trips."""

import json
import os
import pickle
import random
from pathlib import Path

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as HFTokenizer

from benchmarks.bpe import to_tiktoken
from llmlib.text import bpe
from llmlib.text.bpe import BPETokenizer
from llmlib.text.bpe_files import read_bytes, write_bytes
from llmlib.text.tokenizers import load_tokenizer

END = "<|endoftext|>"
PROSE = Path(__file__).read_text(encoding="utf-8") + (
    "It was the best of times, it was the worst of times; we'll see, won't we?\n\n"
    "Es grünt so grün. Ελληνικά και русский язык. 你好世界 こんにちは 👩‍👩‍👧 🇫🇷 ½ ²³\n"
)

GPT2_FILES = Path(os.environ.get("LLMLIB_DATA", ".")) / "gpt2"
ORACLES = ["trained here", *(["GPT-2"] if GPT2_FILES.is_dir() else [])]

ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz   ",
    "ABCabc'sdtmrevl  ",
    "0123456789.,+-*/=<>()[]{}_#%$&|\\\"'`~^ \n\t",
    " \t\n\r\v\f\x00\x1c\x1f\x85\xa0\u1680\u2003\u2028\u200b\u3000\ufeff",
    "éèüßñçåøđłşğžæœ\u0301\u0308\u0327",
    "αβγδεζηθΑΒΓάέώабвгдежзийклмнѣҐєї ",
    "אבגדהוזחטיםןףץאַ ابتثجحخدذرزسًٌُِّ٣٤٥ ",
    "अआइईकखगघङचक्षत्रज्ञािीुूे्१२३ กขคงจฉชซญดตถทะาำิีึ่้๊๕๖ ",
    "你好世界龍龜鱻的一是不了人我在有，。！？「」あいうえおカキクケコー한국어안녕ㄱㅏ ",
    "😀😃🤖👩‍👧🏽🏿❤️🇩🇪🇯🇵✂✈☎①②Ⅷ½²₃ ",
    "𝔄𝔅ℂℕ𐌰𐌱𐌲𒀀𒀁𓀀𐐷𐤀∀∃∑∫≠≤→⇒∞√ ",
    "ⴰⴱაბგდࠀᠠᐁᏣሀለሐመԱԲԳꦲꦤၐ ༀ྾໑ ",
]


def hf_tokenizer(model):
    tokenizer = HFTokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.fixture(scope="module", params=ORACLES)
def pair(request, tmp_path_factory):
    """Our tokenizer and the oracle's, from the same two files."""
    folder = GPT2_FILES
    if request.param == "trained here":
        folder = tmp_path_factory.mktemp("trained")
        trained = hf_tokenizer(models.BPE())
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=900,
            special_tokens=[END],  # it gets id 0: special ids may be anywhere
            initial_alphabet=alphabet,
            show_progress=False,
        )
        trained.train_from_iterator([PROSE], trainer)
        trained.model.save(str(folder))
    files = str(folder / "vocab.json"), str(folder / "merges.txt")
    oracle = hf_tokenizer(models.BPE.from_file(*files))
    oracle.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    return BPETokenizer.from_files(*files), oracle


@pytest.fixture(scope="module")
def small():
    return BPETokenizer.train(PROSE, 500, special_tokens=("<|endof", END, "<|end|>"))


def random_texts(n):
    rng = random.Random(7)
    for _ in range(n):
        alphabets = rng.sample(ALPHABETS, rng.choice([1, 1, 2, 3]))
        text = "".join(rng.choices("".join(alphabets), k=rng.randint(0, 40)))
        yield rng.choice(["", "", " ", "\n", END]) + text


def real_texts():
    folder = Path(bpe.__file__).parent
    for file in [Path(__file__), *folder.glob("*.py")]:  # code, with its indentation
        text = file.read_text(encoding="utf-8")
        yield text
        yield from text.splitlines(keepends=True)
    yield from (PROSE, END, f"{END}{END}", f"a{END} b {END}\n", "<|endoftext", "")


def test_ids_are_the_oracles(pair):
    ours, oracle = pair
    texts = [*random_texts(10_000), *real_texts()]
    assert len(texts) > 10_500
    for text, encoding in zip(texts, oracle.encode_batch(texts), strict=True):
        assert ours.encode(text) == encoding.ids, text


@settings(deadline=None, max_examples=300)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60))
def test_ids_are_the_oracles_for_any_text(pair, text):
    ours, oracle = pair
    ids = ours.encode(text)
    assert ids == oracle.encode(text).ids
    assert ours.decode(ids) == text


@pytest.fixture(scope="module")
def as_tiktoken(pair):
    return to_tiktoken(pair[0])


@settings(deadline=None, max_examples=300)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=60))
def test_ids_are_those_of_tiktoken(pair, as_tiktoken, text):
    for whole in (text, text + END + text):
        ids = as_tiktoken.encode(whole, allowed_special="all")
        assert pair[0].encode(whole) == ids


def test_decoding_is_the_oracles(pair):
    ours, oracle = pair
    assert ours.vocab_size == oracle.get_vocab_size()
    rng = random.Random(1)
    for _ in range(500):  # most of them no valid UTF-8
        ids = rng.choices(range(ours.vocab_size), k=rng.randint(0, 8))
        assert ours.decode(ids) == oracle.decode(ids, skip_special_tokens=False)


@settings(deadline=None, max_examples=300)
@given(st.text())
@example("\x00\x01\x7f")
@example("e\u0301 \u200d\u202e\U0010ffff")
@example("\ufeffa\r\nb\r")
@example("<|endoftext|><|end|><|endof")
def test_round_trip_of_every_string(text):
    tokenizer = SMALL_FOR_ROUND_TRIPS
    assert tokenizer.decode(tokenizer.encode(text)) == text


SMALL_FOR_ROUND_TRIPS = BPETokenizer.train(PROSE, 400, special_tokens=(END, "<|end|>"))


@pytest.mark.parametrize("text", ["ab\ud800", "\udc80", f"a{END}b\ud83dx"])
def test_lone_surrogates_are_named(small, text):
    offset = regex.search(r"[\ud800-\udfff]", text).start()
    with pytest.raises(
        ValueError, match=rf"'\\ud.*' at offset {offset} is a lone surr"
    ):
        small.encode(text)
    with pytest.raises(ValueError, match=f"at offset {offset}"):
        BPETokenizer.train(text, 300)


def test_ids_are_bytes_then_merges_then_special_tokens():
    tokenizer = BPETokenizer.train("aaabdaaabac", 260, special_tokens=["<s>"])
    assert tokenizer.vocab_size == 260
    assert tokenizer.merges == [(b"a", b"a"), (b"aa", b"a"), (b"aaa", b"b")]
    assert tokenizer.encode("aaabdaaabac<s>") == [258, 100, 258, 97, 99, 259]
    assert tokenizer.pieces("aaabd<s>é") == ["aaab", "d", "<s>", "\\xc3", "\\xa9"]
    assert tokenizer.start_ids == [10, 10]
    assert repr(tokenizer) == "BPETokenizer(vocab_size=260)"


def test_special_tokens_are_not_learned_from():
    tokenizer = BPETokenizer.train("xy<ab>xy<ab>" * 3, 300, special_tokens=["<ab>"])
    assert tokenizer.merges == [(b"x", b"y")]
    assert tokenizer.vocab_size == 258


def test_the_longest_special_token_wins(small):
    ids = small.special_tokens
    assert small.encode("<|endoftext|>") == [ids[END]]
    assert small.encode("<|endof<|end|>") == [ids["<|endof"], ids["<|end|>"]]


def test_a_text_too_small_for_the_vocabulary_gives_a_smaller_one():
    assert BPETokenizer.train("abab", 1_000).vocab_size == 258


def test_half_a_character_is_a_replacement_character(small):
    ids = list("é".encode())
    assert small.decode(ids) == "é"
    assert small.decode(ids[:1]) == "\ufffd"


OTHER_PATTERN = r"\p{L}+|\p{N}{1,3}|\s+|[^\p{L}\p{N}\s]"


@pytest.mark.parametrize("special", [(), (END, "<|end|>")])
@pytest.mark.parametrize("pattern", [bpe.GPT2_PATTERN, OTHER_PATTERN])
def test_the_tokenizers_library_reads_what_save_writes(tmp_path, special, pattern):
    ours = BPETokenizer.train(PROSE, 600, special, pattern)
    ours.save(tmp_path)
    theirs = HFTokenizer.from_file(str(tmp_path / "tokenizer.json"))
    again = load_tokenizer(tmp_path)
    assert theirs.get_vocab_size() == again.vocab_size == ours.vocab_size
    for text in [*random_texts(1_000), PROSE, f"{END} a<|end|><|end|>b"]:
        ids = ours.encode(text)
        assert theirs.encode(text).ids == ids
        assert again.encode(text) == ids
        assert theirs.decode(ids, skip_special_tokens=False) == text
        assert again.decode(ids) == text


def test_what_the_tokenizers_library_writes_is_read(pair, tmp_path):
    ours, oracle = pair
    oracle.save(str(tmp_path / "tokenizer.json"))
    read = load_tokenizer(tmp_path)
    assert (read.vocab, read.merges) == (ours.vocab, ours.merges)
    assert read.special_tokens == {END: ours.special_tokens[END]}


def test_merges_may_be_strings(small, tmp_path):
    small.save(tmp_path)
    file = tmp_path / "tokenizer.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    assert data["model"]["merges"][0] == [
        write_bytes(token) for token in small.merges[0]
    ]
    data["model"]["merges"] = [" ".join(merge) for merge in data["model"]["merges"]]
    file.write_text(json.dumps(data), encoding="utf-8")
    assert load_tokenizer(tmp_path).merges == small.merges


def test_bytes_are_written_as_gpt2_writes_them():
    assert write_bytes(b" the\n") == "ĠtheĊ"
    written = write_bytes(bytes(range(256)))
    assert sorted(written) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert read_bytes(written) == bytes(range(256))


def test_the_cache_stays_bounded(small, monkeypatch):
    monkeypatch.setattr(bpe, "CACHED_PIECES", 50)
    long = "x" * 1_000
    for n in range(200):
        assert small.decode(small.encode(f"{n} {long}")) == f"{n} {long}"
        assert len(small._cache) <= 50
        assert max(map(len, small._cache)) <= bpe.CACHED_LENGTH


def test_one_piece_of_a_megabyte_is_encoded(small):
    text = "the" * 333_333
    assert small.decode(small.encode(text)) == text


def test_a_tokenizer_can_be_pickled(small):
    again = pickle.loads(pickle.dumps(small))
    assert again.encode(PROSE) == small.encode(PROSE)


BYTES = [bytes([byte]) for byte in range(256)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BPETokenizer.train("", 300), "the text is empty"),
        (lambda: BPETokenizer.train("abc", 255), "vocab_size is 255, .* at least 256"),
        (lambda: BPETokenizer.train("a", 257, ("<a>", "<b>")), "at least 258"),
        (lambda: BPETokenizer.train("abc", 300, ("",)), "not empty"),
        (lambda: BPETokenizer.train("abc", 300, ("<a>", "<a>")), "distinct"),
        (lambda: BPETokenizer.train("abc", 300, ("#",)), "special token '#' .* b'#'"),
        (lambda: BPETokenizer.train("a b" * 9, 300, ("Ġb",)), "'Ġb' is .* b' b' is wr"),
        (lambda: BPETokenizer.train("abc", 300, pattern=r"(\w)|."), "capturing group"),
        (lambda: BPETokenizer.train("abc", 300, pattern="["), "is no pattern"),
        (
            lambda: BPETokenizer.train("a b", 300, pattern=r"\w"),
            "leaves out characters",
        ),
        (lambda: BPETokenizer(BYTES[:-1], []), "no token for byte 0xff"),
        (lambda: BPETokenizer(BYTES, [(b"a", b"b")]), "b'ab', which is not in"),
    ],
)
def test_wrong_values_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("size", [300.5, "300", None])
def test_a_size_that_is_no_integer(size):
    with pytest.raises(TypeError, match=f"vocab_size must be an integer, got {size!r}"):
        BPETokenizer.train("abc", size)


@pytest.mark.parametrize(
    ("vocab", "merges", "faulty"),
    [
        ("{", "", "vocab.json"),
        ("[1, 2]", "", "vocab.json"),
        ('{"a": 0, "b": 2}', "", "vocab.json"),
        ('{"a": 0, "日": 1}', "", "vocab.json"),
        ("[" * 100_000, "", "vocab.json"),
        (json.dumps({write_bytes(b): b[0] for b in BYTES}), "a b c", "merges.txt"),
        (json.dumps({write_bytes(b): b[0] for b in BYTES}), "日 b", "merges.txt"),
        (json.dumps({write_bytes(b): b[0] for b in BYTES}), "a b", "b'ab'"),
    ],
)
def test_faulty_files_are_named(tmp_path, vocab, merges, faulty):
    (tmp_path / "vocab.json").write_text(vocab, encoding="utf-8")
    (tmp_path / "merges.txt").write_text(merges, encoding="utf-8")
    with pytest.raises(ValueError, match=faulty):
        BPETokenizer.from_files(tmp_path / "vocab.json", tmp_path / "merges.txt")


@pytest.mark.parametrize("token", ["#", "ab"])
def test_a_special_token_spelled_like_a_token_in_the_files_is_named(tmp_path, token):
    vocab = {write_bytes(byte): byte[0] for byte in BYTES} | {"ab": 256}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("a b", encoding="utf-8")
    files = (tmp_path / "vocab.json", tmp_path / "merges.txt")
    assert BPETokenizer.from_files(*files, special_tokens=()).encode("#ab") == [35, 256]
    with pytest.raises(ValueError, match=f"the special token '{token}' is how"):
        BPETokenizer.from_files(*files, special_tokens=(token,))


@pytest.mark.parametrize("missing", ["vocab.json", "merges.txt"])
def test_a_missing_file_is_named(tmp_path, missing):
    vocab = {write_bytes(byte): byte[0] for byte in BYTES}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("", encoding="utf-8")
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        BPETokenizer.from_files(tmp_path / "vocab.json", tmp_path / "merges.txt")


def test_a_special_token_that_the_vocabulary_lacks_gets_the_next_id(tmp_path):
    vocab = {write_bytes(byte): byte[0] for byte in BYTES} | {"ab": 256}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    merges = "#version: 0.2\r\na b\r\n"
    (tmp_path / "merges.txt").write_bytes(merges.encode())
    files = tmp_path / "vocab.json", tmp_path / "merges.txt"
    tokenizer = BPETokenizer.from_files(*files, special_tokens=(END, "<pad>"))
    assert tokenizer.encode(f"ab{END}<pad>") == [256, 257, 258]


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        {"pre_tokenizer": None},
        {"truncation": {"max_length": 8, "strategy": "LongestFirst", "stride": 0}},
        {"padding": {"strategy": "BatchLongest", "pad_id": 0, "pad_token": "!"}},
        {"post_processor": {"type": "TemplateProcessing"}},
        {"post_processor": {"type": "Sequence", "processors": []}},
        {"model": {"ignore_merges": True}},
        {"model": {"dropout": 0.1}},
        {"added_tokens": [{"id": 500, "content": "<mask>", "lstrip": True}]},
        {"added_tokens": [{"id": 999, "content": "<far>"}]},
    ],
)
def test_what_cannot_be_done_exactly_is_refused(small, tmp_path, change):
    small.save(tmp_path)
    file = tmp_path / "tokenizer.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    for key, value in change.items():
        data[key] = data[key] | value if key == "model" else value
    file.write_text(json.dumps(data), encoding="utf-8")
    name = next(iter(change))
    with pytest.raises(
        ValueError, match=r"tokenizer\.json is not a tokenizer"
    ) as caught:
        load_tokenizer(file)
    if name not in ("model", "added_tokens"):
        assert name in str(caught.value)


def test_a_processor_that_moves_offsets_alone_is_allowed(pair, tmp_path):
    _, oracle = pair
    file = tmp_path / "tokenizer.json"
    oracle.save(str(file))
    data = json.loads(file.read_text(encoding="utf-8"))
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}
    data["post_processor"] = byte_level  # as in GPT-2's own file
    file.write_text(json.dumps(data), encoding="utf-8")
    ids = HFTokenizer.from_file(str(file)).encode(PROSE).ids
    assert load_tokenizer(file).encode(PROSE) == ids
