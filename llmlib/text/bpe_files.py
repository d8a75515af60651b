"""The files that hold byte-level BPE tokenizers: GPT-2's two, and Hugging Face's one.

They hold text, so each of the 256 bytes is written as a printable character: the
printable ones of Latin-1 as themselves, the others, in order, as the characters from
U+0100 on. A space is "Ġ", a newline "Ċ".
"""

import json
import operator
from collections.abc import Container, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from llmlib.text.splitting import GPT2_PATTERN

Vocab = list[bytes]
Merges = list[tuple[bytes, bytes]]
SpecialTokens = dict[str, int]


def _byte_characters() -> list[str]:
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


CHARACTER_OF_BYTE = _byte_characters()
BYTE_OF_CHARACTER = {char: byte for byte, char in enumerate(CHARACTER_OF_BYTE)}

# What changes the ids of a `tokenizer.json`, and is not done here: of the file, and of
# its model.
UNSUPPORTED = ("normalizer", "truncation", "padding", "post_processor")
UNSUPPORTED_IN_MODEL = (
    "dropout",
    "ignore_merges",
    "byte_fallback",
    "continuing_subword_prefix",
    "end_of_word_suffix",
)


def write_bytes(token: bytes) -> str:
    """Bytes as printable characters: " the" is "Ġthe"."""
    return "".join([CHARACTER_OF_BYTE[byte] for byte in token])


def read_bytes(written: str) -> bytes:
    """The bytes that `write_bytes` wrote. Raises ValueError for other characters."""
    try:
        return bytes([BYTE_OF_CHARACTER[char] for char in written])
    except KeyError as error:
        raise ValueError(f"in {written!r}, {error} stands for no byte") from None


def check_special(special_tokens: Iterable[str], ordinary: Container[bytes]) -> None:
    """ValueError naming a special token that is spelled as an ordinary one is written:
    no file could tell the two apart.
    """
    for token in special_tokens:
        if BYTE_OF_CHARACTER.keys() >= set(token) and read_bytes(token) in ordinary:
            raise ValueError(
                f"the special token {token!r} is how the token {read_bytes(token)!r} is "
                "written: choose another"
            )


def read_gpt2(
    vocab_json: str | PathLike[str],
    merges_txt: str | PathLike[str],
    special_tokens: Sequence[str],
) -> tuple[Vocab, Merges, SpecialTokens]:
    """What is in GPT-2's two files, `encoder.json` and `vocab.bpe` in its release.

    A special token that the vocabulary lacks gets the next free id. Raises ValueError
    naming a file that holds something else, FileNotFoundError for one that is missing.
    """
    try:
        ids = json.loads(Path(vocab_json).read_bytes().decode("utf-8"))
        for token in special_tokens:
            ids.setdefault(token, len(ids))
        special = {token: ids[token] for token in special_tokens}
        vocab = _vocab(ids, special)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{vocab_json} is not a vocabulary: {error}") from error
    try:
        text = Path(merges_txt).read_bytes().decode("utf-8").replace("\r\n", "\n")
        lines = [line for line in text.split("\n") if line]
        merges = [_merge(line) for line in lines if not line.startswith("#version")]
    except ValueError as error:
        raise ValueError(f"{merges_txt} is not a list of merges: {error}") from error
    return vocab, merges, special


def to_hf(
    vocab: Sequence[bytes],
    merges: Sequence[tuple[bytes, bytes]],
    special_tokens: Mapping[str, int],
    pattern: str,
) -> dict[str, Any]:
    """The contents of a `tokenizer.json` that `tokenizers.Tokenizer.from_file` reads."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    pre_tokenizer: dict[str, Any] = byte_level | {"use_regex": True}
    if pattern != GPT2_PATTERN:
        split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
        steps = [split | {"invert": False}, byte_level | {"use_regex": False}]
        pre_tokenizer = {"type": "Sequence", "pretokenizers": steps}
    special = {
        id_: {"id": id_, "content": token, "special": True, "normalized": False}
        | {"single_word": False, "lstrip": False, "rstrip": False}
        for token, id_ in special_tokens.items()
    }
    ids = {write_bytes(token): i for i, token in enumerate(vocab) if i not in special}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special[id_] for id_ in sorted(special)],
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": byte_level | {"use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": ids | dict(special_tokens),
            "merges": [[write_bytes(a), write_bytes(b)] for a, b in merges],
        },
    }


def from_hf(data: Mapping[str, Any]) -> tuple[Vocab, Merges, SpecialTokens, str]:
    """Vocabulary, merges, special tokens and pattern of a `tokenizer.json`.

    Raises ValueError for one that asks for more than a pattern and merges of bytes: its
    ids would come out wrong.
    """
    model = data["model"]
    asks = {key: model.get(key) for key in UNSUPPORTED_IN_MODEL}
    asks |= {key: data.get(key) for key in UNSUPPORTED}
    if (asks["post_processor"] or {}).get("type") == "ByteLevel":
        del asks["post_processor"]  # it moves offsets and leaves the ids alone
    special = {}
    for token in data.get("added_tokens") or []:
        special[token["content"]] = operator.index(token["id"])
        for key in ("lstrip", "rstrip", "single_word"):
            asks[f"{key} of {token['content']!r}"] = token.get(key)
    for name, value in asks.items():
        if value:
            raise ValueError(f"{name} = {value!r} is not supported")
    merges = [_merge(merge) for merge in model["merges"]]
    vocab = _vocab(model["vocab"] | special, special)
    return vocab, merges, special, _pattern(data["pre_tokenizer"])


def _vocab(ids: Mapping[str, int], special: Mapping[str, int]) -> Vocab:
    """The bytes of each id; special tokens are written as they are."""
    tokens = {operator.index(id_): token for token, id_ in ids.items()}
    if sorted(tokens) != list(range(len(ids))):
        raise ValueError(f"its {len(ids)} ids are not 0 to {len(ids) - 1}, each once")
    return [
        token.encode("utf-8") if token in special else read_bytes(token)
        for _, token in sorted(tokens.items())
    ]


def _merge(merge: str | Sequence[str]) -> tuple[bytes, bytes]:
    """A merge, written as a pair of tokens or, as it once was, with a space between."""
    pair = merge.split(" ") if isinstance(merge, str) else merge
    if len(pair) != 2:
        raise ValueError(f"the merge {merge!r} is not two tokens")
    return read_bytes(pair[0]), read_bytes(pair[1])


def _pattern(pre_tokenizer: Any) -> str:
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False} as byte_level:
            if byte_level.get("use_regex", True):
                return GPT2_PATTERN
        case {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": str(pattern)},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        }:
            return pattern
    raise ValueError(f"the pre_tokenizer {pre_tokenizer} is not supported")
