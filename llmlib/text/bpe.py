"""Byte-level byte-pair encoding: a vocabulary that is learned and can spell any text.

A pattern cuts a text into pieces, and each piece is its UTF-8 bytes. The most frequent
pair of neighbours becomes a token of its own, then the next, and so on (Gage 1994;
Sennrich et al. 2016; on bytes: GPT-2, Radford et al. 2019). These merges, in their
order, are the tokenizer.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from numbers import Integral
from os import PathLike
from typing import Any, Self

from llmlib.text import bpe_files
from llmlib.text.merges import apply_merges, learn_merges
from llmlib.text.splitting import GPT2_PATTERN, Splitter, compile_special
from llmlib.text.tokenizers import Tokenizer, check_surrogates, check_text

BYTES = [bytes([byte]) for byte in range(256)]
CACHED_PIECES = 2**17  # how many pieces the cache holds at most,
CACHED_LENGTH = 64  # each of at most so many characters


class BPETokenizer(Tokenizer):
    """Byte-level BPE, as in GPT-2 (Radford et al. 2019).

    Special tokens spelled out in a text become their ids. Every str without a lone
    surrogate is encoded and decodes to itself. Bytes that are no UTF-8, such as half a
    character, decode to U+FFFD.

    - vocab: the bytes of each id, those of special tokens included
    - merges: pairs of tokens in the order in which they were learned
    - special_tokens: the ids of special tokens
    - pattern: cuts a text into pieces; has to match every character

    Raises ValueError if a byte is missing, if a merge uses or makes a token that is not
    in `vocab`, if a special token is spelled as files write another token, or if the
    pattern has a capturing group.
    """

    def __init__(
        self,
        vocab: Sequence[bytes],
        merges: Sequence[tuple[bytes, bytes]],
        special_tokens: Mapping[str, int] | None = None,
        pattern: str = GPT2_PATTERN,
    ) -> None:
        self.vocab = list(vocab)
        self.merges = list(merges)
        self.special_tokens = dict(special_tokens or {})
        self.pattern = pattern
        self._splitter = Splitter(pattern)
        self._special = compile_special(self.special_tokens)

        special_ids = set(self.special_tokens.values())
        ids = {token: i for i, token in enumerate(self.vocab) if i not in special_ids}
        made = {a + b for a, b in self.merges}
        bpe_files.check_special(self.special_tokens, {*BYTES, *made, *ids})
        for byte in BYTES:
            if byte not in ids:
                raise ValueError(f"the vocabulary has no token for byte {byte[0]:#04x}")
        self._byte_ids = [ids[byte] for byte in BYTES]
        try:
            self._merges = {
                (ids[a], ids[b]): (rank, ids[a + b])
                for rank, (a, b) in enumerate(self.merges)
            }
        except KeyError as error:
            raise ValueError(
                f"a merge uses or makes {error}, which is not in the vocabulary"
            ) from None
        self._cache = _PieceCache(self)

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        pattern: str = GPT2_PATTERN,
    ) -> Self:
        """Learn merges from `text` until 256 bytes, merges and special tokens together
        are `vocab_size` ids, or until no two tokens of a piece are left to merge.

        Ids 0 to 255 are the bytes, then come the merges, then the special tokens, whose
        occurrences in the text are left out. Of equally frequent pairs the one that
        occurs first is merged.

        Raises ValueError for an empty text, for a vocab_size below 256 plus the number
        of special tokens and for a special token as in the class, TypeError for a
        vocab_size that is no integer.
        """
        check_text(text)
        if not isinstance(vocab_size, Integral):
            raise TypeError(f"vocab_size must be an integer, got {vocab_size!r}")
        n_merges = vocab_size - 256 - len(special_tokens)
        if n_merges < 0:
            raise ValueError(
                f"vocab_size is {vocab_size}, but 256 bytes and {len(special_tokens)} "
                f"special tokens need at least {256 + len(special_tokens)}"
            )
        bpe_files.check_special(special_tokens, BYTES)  # not only after all the work
        split, special = Splitter(pattern).split, compile_special(special_tokens)
        parts = special.split(text)[::2] if special else [text]
        words = Counter(chain.from_iterable(map(split, parts)))

        vocab, merges = list(BYTES), []
        for a, b in learn_merges(words, n_merges):
            merges.append((vocab[a], vocab[b]))
            vocab.append(vocab[a] + vocab[b])
        special_ids = {token: len(vocab) + i for i, token in enumerate(special_tokens)}
        vocab += [token.encode("utf-8") for token in special_tokens]
        return cls(vocab, merges, special_ids, pattern)

    @classmethod
    def from_files(
        cls,
        vocab_json: str | PathLike[str],
        merges_txt: str | PathLike[str],
        pattern: str = GPT2_PATTERN,
        special_tokens: Sequence[str] = ("<|endoftext|>",),
    ) -> Self:
        """The tokenizer in the two files with which GPT-2 was published.

        A special token that the vocabulary lacks gets the next free id. Raises
        ValueError naming a file that holds something else, FileNotFoundError for one
        that is missing.
        """
        parts = bpe_files.read_gpt2(vocab_json, merges_txt, special_tokens)
        return cls(*parts, pattern)

    @classmethod
    def _from_json(cls, data: dict[str, Any]) -> Self:
        return cls(*bpe_files.from_hf(data))

    def _to_json(self) -> dict[str, Any]:
        return bpe_files.to_hf(
            self.vocab, self.merges, self.special_tokens, self.pattern
        )

    @property
    def vocab_size(self) -> int:
        return len(self.vocab)

    @property
    def start_ids(self) -> list[int]:
        return self.encode("\n\n")

    def _encode(self, text: str) -> list[int]:
        parts = self._special.split(text) if self._special else [text]
        ids: list[int] = []
        try:
            for i, part in enumerate(parts):  # text, special token, text, ...
                if i % 2:
                    ids.append(self.special_tokens[part])
                else:
                    pieces = self._splitter.split(part)
                    ids.extend(
                        chain.from_iterable(map(self._cache.__getitem__, pieces))
                    )
        except UnicodeEncodeError:
            check_surrogates(text)
            raise
        return ids

    def encode_piece(self, piece: str) -> list[int]:
        """The ids of one piece, as the pattern cuts them: its bytes, then the merges."""
        return apply_merges(
            [self._byte_ids[b] for b in piece.encode("utf-8")], self._merges
        )

    def _decode(self, ids: list[int]) -> str:
        return b"".join([self.vocab[id_] for id_ in ids]).decode("utf-8", "replace")

    def pieces(self, text: str) -> list[str]:
        r"""The readable piece of each id; parts of a character as bytes, like `\xe2`."""
        tokens = [self.vocab[id_] for id_ in self.encode(text)]
        return [token.decode("utf-8", "backslashreplace") for token in tokens]


class _PieceCache(dict[str, list[int]]):
    """The ids of pieces seen before; emptied when full, so its memory is bounded."""

    def __init__(self, tokenizer: BPETokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def __missing__(self, piece: str) -> list[int]:
        ids = self.tokenizer.encode_piece(piece)
        if len(piece) <= CACHED_LENGTH:
            if len(self) >= CACHED_PIECES:
                self.clear()
            self[piece] = ids
        return ids
