"""Byte-pair encoding: how long it takes to learn and to encode, here and elsewhere.

    python -m benchmarks.bpe [--quick]

The others are Hugging Face's `tokenizers` (Rust) with one thread, once given the text
as a whole and once line by line; for encoding also OpenAI's tiktoken (Rust), for
learning also the textbook's definition, on a small text. All cut the text with GPT-2's
pattern. That the ids and the textbook's merges are the same is checked.

`LLMLIB_DATA/gpt2` may hold GPT-2's two files; without them its rows are left out. Takes
about five minutes on one free core; with --quick seconds, and no results are written.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain, pairwise
from typing import Any

import regex
import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from benchmarks.diverse import N_BYTES, diverse_text
from benchmarks.machine import (
    alternate,
    describe,
    gpt2_files,
    ratios,
    report,
    spread,
)
from llmlib import GPT2_PATTERN, BPETokenizer, load_corpus
from llmlib.text.bpe_files import write_bytes
from llmlib.text.merges import Pair, learn_merges

ONE_THREAD = {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
VOCAB_SIZES = {"shakespeare": 1_024, "diverse": 16_384}
TEXTBOOK = 40_000, 30  # characters and merges: all that the definition bears

Runs = dict[str, Callable[[], Any]]


def measure(quick: bool = False) -> dict[str, Any]:
    """The seconds of each, and how many times ours the others took."""
    os.environ.update(ONE_THREAD)
    n_bytes, rounds = (30_000, 2) if quick else (N_BYTES, 5)
    texts = {
        "shakespeare": load_corpus("shakespeare").text[:n_bytes],
        "diverse": diverse_text(n_bytes),
    }
    sizes = {name: 400 if quick else VOCAB_SIZES[name] for name in texts}
    trained = {name: BPETokenizer.train(texts[name], sizes[name]) for name in texts}
    gpt2 = _gpt2()
    return {
        "machine": describe("tokenizers", "regex", "tiktoken"),
        "rounds": rounds,
        "texts": {name: _sizes(text) for name, text in texts.items()},
        "training": {
            f"{name}, {sizes[name]:,} tokens": _compare(
                _training(text, sizes[name]), rounds
            )
            for name, text in texts.items()
        }
        | {"textbook": _compare(_textbook(texts["shakespeare"], quick), rounds)},
        "encoding": {
            f"{name}, {whose}": _compare(_encoding(tokenizer, text), rounds)
            for name, text in texts.items()
            for whose, tokenizer in {"its own tokens": trained[name], **gpt2}.items()
        },
    }


def _compare(runs: Runs, rounds: int) -> dict[str, Any]:
    """Spreads of the seconds, and of the ratios to the first, which is ours."""
    taken = alternate(runs, rounds, warm_up=False)
    ours = next(iter(taken))
    return {
        name: {
            "seconds": spread(taken[name]),
            "ratio": ratios(taken[name], taken[ours]),
        }
        for name in taken
    }


def _sizes(text: str) -> dict[str, Any]:
    pieces = Counter(regex.findall(GPT2_PATTERN, text))
    return {
        "sha256": hashlib.sha256(text.encode("utf-8")).hexdigest(),
        "bytes": len(text.encode("utf-8")),
        "pieces": pieces.total(),
        "distinct pieces": len(pieces),
    }


def _training(text: str, vocab_size: int) -> Runs:
    lines = text.splitlines(keepends=True)
    return {
        "ours": lambda: BPETokenizer.train(text, vocab_size),
        "tokenizers": lambda: _train_hf([text], vocab_size),
        "tokenizers, lines": lambda: _train_hf(lines, vocab_size),
    }


def _textbook(text: str, quick: bool) -> Runs:
    n_characters, n_merges = (2_000, 10) if quick else TEXTBOOK
    pieces = regex.findall(GPT2_PATTERN, text[:n_characters])
    runs: Runs = {
        "ours": lambda: learn_merges(Counter(pieces), n_merges),
        "textbook": lambda: textbook_merges(pieces, n_merges),
    }
    _check_same(runs)
    return runs


def _encoding(tokenizer: BPETokenizer, text: str) -> Runs:
    lines = text.splitlines(keepends=True)
    hf, cache = _to_hf(tokenizer), tokenizer._cache

    def cold() -> list[int]:
        cache.clear()
        return tokenizer.encode(text)

    encoding = to_tiktoken(tokenizer)
    runs: Runs = {
        "ours, cold": cold,
        "ours, warm": lambda: tokenizer.encode(text),  # its turn is after the cold one
        "tokenizers": lambda: hf.encode(text).ids,
        "tiktoken": lambda: encoding.encode_ordinary(text),
    }
    _check_same(runs)
    # A line's last white space may be cut otherwise, so these ids are not compared.
    runs["tokenizers, lines"] = lambda: list(
        chain.from_iterable(encoding.ids for encoding in hf.encode_batch(lines))
    )
    return runs


def _check_same(runs: Runs) -> None:
    expected, *results = [(name, run()) for name, run in runs.items()]
    for name, result in results:
        if result != expected[1]:
            raise ValueError(f"{name!r} gives something else than {expected[0]!r}")


def textbook_merges(pieces: Iterable[str], n_merges: int) -> list[Pair]:
    """BPE as it is defined: count all pairs, merge the most frequent one (of several
    the first), and begin again.
    """
    rows = [list(piece.encode("utf-8")) for piece in pieces]
    merges: list[Pair] = []
    for token in range(256, 256 + n_merges):
        counts = Counter(chain.from_iterable(map(pairwise, rows)))
        if not counts:
            break
        pair = max(counts, key=counts.__getitem__)  # the first: they are in order
        for row in rows:
            i = 0
            while i < len(row) - 1:
                if (row[i], row[i + 1]) == pair:
                    row[i : i + 2] = [token]
                i += 1
        merges.append(pair)
    return merges


def _with_pattern(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def _train_hf(texts: list[str], vocab_size: int) -> Tokenizer:
    tokenizer = _with_pattern(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _to_hf(tokenizer: BPETokenizer) -> Tokenizer:
    vocab = {write_bytes(token): id_ for id_, token in enumerate(tokenizer.vocab)}
    merges = [(write_bytes(a), write_bytes(b)) for a, b in tokenizer.merges]
    return _with_pattern(models.BPE(vocab, merges))


def to_tiktoken(tokenizer: BPETokenizer) -> tiktoken.Encoding:
    """The same tokenizer in OpenAI's library."""
    special = tokenizer.special_tokens
    ranks = {
        token: id_
        for id_, token in enumerate(tokenizer.vocab)
        if id_ not in special.values()
    }
    return tiktoken.Encoding(
        "ours",
        pat_str=tokenizer.pattern,
        mergeable_ranks=ranks,
        special_tokens=special,
    )


def _gpt2() -> dict[str, BPETokenizer]:
    files = gpt2_files()
    if not all(file.is_file() for file in files):
        return {}
    return {"GPT-2's tokens": BPETokenizer.from_files(*files)}


def table(record: dict[str, Any]) -> str:
    """Medians with their spread in seconds, and times ours."""
    lines = []
    for kind in ("training", "encoding"):
        for case, results in record[kind].items():
            lines.append(f"\n{kind}: {case}")
            for name, result in results.items():
                s, ratio = result["seconds"], result["ratio"]
                lines.append(
                    f"  {name:18} {s['median']:8.3f} s ({s['min']:.3f} to {s['max']:.3f})"
                    f"  {ratio['median']:6.2f} times ours"
                )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("bpe", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
