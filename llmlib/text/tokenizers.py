"""Tokenizers: text to ids and back, and the two simplest: by character and by word.

A tokenizer cuts a text into pieces and gives each an id from 0 to vocab_size - 1. Ids
are written as the plain concatenation of their pieces, so a text can be written out one
id at a time.
"""

import json
import operator
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import regex

from llmlib.text.files import write_files
from llmlib.text.ids import check_range

UNKNOWN = "<unk>"

# GPT-2's pattern, except that a whitespace character which leads no word is a piece of
# its own, so that a blank line is the same two pieces wherever it stands.
WORD_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s"


class Tokenizer(ABC):
    """Text to ids and back: `encode`, `decode`, `pieces`, `vocab_size`, `save`."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """How many ids there are: 0 to vocab_size - 1."""

    @property
    @abstractmethod
    def start_ids(self) -> list[int]:
        """What a text starts after: a blank line, or [0] where there is no newline."""

    @abstractmethod
    def _encode(self, text: str) -> list[int]: ...

    @abstractmethod
    def _decode(self, ids: list[int]) -> str: ...

    @abstractmethod
    def _to_json(self) -> dict[str, Any]: ...

    @classmethod
    @abstractmethod
    def _from_json(cls, data: dict[str, Any]) -> Self: ...

    def encode(self, text: str) -> list[int]:
        """The ids of `text`. Raises TypeError for anything but a str."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got a {type(text).__name__}")
        return self._encode(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`. Raises ValueError for an id outside the vocabulary."""
        ids = [operator.index(id_) for id_ in ids]
        check_range("ids", min(ids, default=0), max(ids, default=0), self.vocab_size)
        return self._decode(ids)

    def pieces(self, text: str) -> list[str]:
        """The readable piece of each id of `text`."""
        return [self._decode([id_]) for id_ in self.encode(text)]

    def to_bytes(self) -> bytes:
        """What `save` writes."""
        return json.dumps(self._to_json(), ensure_ascii=False).encode("utf-8")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file at `path`, or `tokenizer.json` in it if it is a folder.

        The file gets its name only when it is whole. Raises CannotWriteError if there is
        no room or no permission.
        """
        path = _file_path(path)
        write_files(path.parent, {path.name: self.to_bytes()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocab_size={self.vocab_size})"


class _TableTokenizer(Tokenizer):
    """A tokenizer that is a table of pieces: what characters and words share."""

    model_type: ClassVar[str]

    def __init__(self, vocab: Mapping[str, int]) -> None:
        if not vocab or sorted(vocab.values()) != list(range(len(vocab))):
            raise ValueError(
                f"a vocabulary of {len(vocab)} pieces has the ids 0, 1, 2, ..., each once"
            )
        self.vocab = dict(vocab)
        self._table = sorted(vocab, key=self.vocab.__getitem__)

    @property
    def vocab_size(self) -> int:
        return len(self.vocab)

    @property
    def start_ids(self) -> list[int]:
        return self.encode("\n\n") if "\n" in self.vocab else [0]

    def _decode(self, ids: list[int]) -> str:
        return "".join([self._table[id_] for id_ in ids])

    def _to_json(self) -> dict[str, Any]:
        model = {"type": self.model_type, "vocab": self.vocab}
        return {"version": "1.0", "model": model}

    @classmethod
    def _from_json(cls, data: dict[str, Any]) -> Self:
        return cls(data["model"]["vocab"])


class CharTokenizer(_TableTokenizer):
    """One id a character, and none for unknown ones: they are a ValueError."""

    model_type = "Char"

    def __init__(self, vocab: Mapping[str, int]) -> None:
        super().__init__(vocab)
        if others := [piece for piece in vocab if len(piece) != 1]:
            raise ValueError(f"{others[0]!r} is not a single character")

    @classmethod
    def train(cls, text: str) -> Self:
        """The characters of `text` in the order of their code points."""
        check_text(text)
        return cls({char: id_ for id_, char in enumerate(sorted(set(text)))})

    def _encode(self, text: str) -> list[int]:
        try:
            return list(map(self.vocab.__getitem__, text))
        except KeyError as error:
            offset = text.index(error.args[0])
            raise ValueError(
                f"character {text[offset]!r} at offset {offset} is unknown; "
                f"{self.vocab_size} characters are known"
            ) from None


class WordTokenizer(_TableTokenizer):
    """One id a word, and id 0, written `<unk>`, for all words unknown.

    A word carries the space before it, as in GPT-2, so a text without unknown words
    decodes to itself. Numbers and punctuation are words, and so is a newline.
    """

    model_type = "Word"
    _pattern = regex.compile(WORD_PATTERN)

    def __init__(self, vocab: Mapping[str, int]) -> None:
        super().__init__(vocab)
        if self._table[0] != UNKNOWN:
            raise ValueError(f"id 0 must be {UNKNOWN!r}, got {self._table[0]!r}")

    @classmethod
    def train(cls, text: str, vocab_size: int = 10_000) -> Self:
        """`<unk>` and the vocab_size - 1 most common words of `text`, or all its words
        if it has fewer. Of equally common words the one that occurs first is taken."""
        check_text(text)
        if vocab_size < 2:
            raise ValueError(
                f"vocab_size must be at least 2, for {UNKNOWN} and a word, got {vocab_size}"
            )
        counts = Counter(cls._pattern.findall(text)).most_common(vocab_size - 1)
        words = [UNKNOWN, *(word for word, _ in counts)]
        return cls({word: id_ for id_, word in enumerate(words)})

    def unknown(self, text: str) -> list[str]:
        """The words of `text` that are read as `<unk>`, each once, with the space before."""
        words = dict.fromkeys(self._pattern.findall(text))
        return [word for word in words if word not in self.vocab]

    def _encode(self, text: str) -> list[int]:
        return [self.vocab.get(word, 0) for word in self._pattern.findall(text)]


def load_tokenizer(path: str | os.PathLike[str]) -> Tokenizer:
    """The tokenizer that `save` wrote at `path`: a file, or a folder that holds one.

    Reads byte-level BPE in the format of the Hugging Face `tokenizers` library too.
    Raises ValueError naming a file that is damaged, or that asks for something that
    cannot be done exactly as there.
    """
    path = _file_path(path)
    return read_tokenizer(path.read_bytes(), path)


def read_tokenizer(data: bytes, origin: object) -> Tokenizer:
    """The tokenizer of a file, given its bytes; ValueError, as `load_tokenizer` raises
    it, names the origin.
    """
    from llmlib.text.bpe import BPETokenizer  # which builds on this module

    types: dict[str, type[Tokenizer]] = {
        "Char": CharTokenizer,
        "Word": WordTokenizer,
        "BPE": BPETokenizer,
    }
    try:
        contents = json.loads(data.decode("utf-8"))
        model_type = contents["model"]["type"]
        if model_type not in types:
            raise ValueError(f"model type {model_type!r} is none of {', '.join(types)}")
        return types[model_type]._from_json(contents)
    except KeyError as error:
        raise ValueError(f"{origin} is not a tokenizer: no entry {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{origin} is not a tokenizer: {error}") from error


def check_text(text: str) -> None:
    """Raise unless `text` is a str to learn from: not empty, and no lone surrogates."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, got a {type(text).__name__}")
    if not text:
        raise ValueError("the text is empty; there is nothing to learn from")
    check_surrogates(text)


def check_surrogates(text: str) -> None:
    """Raise ValueError naming the first lone surrogate of `text`, which is no Unicode."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{text[error.start]!r} at offset {error.start} is a lone surrogate"
        ) from None


def _file_path(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    return path / "tokenizer.json" if path.is_dir() else path
