"""Writing token by token: tokens per second here and in transformers, and what rounding
the weights costs.

    python -m benchmarks.generation [--quick]

Speed is measured with random weights in two shapes, nanoGPT's for Shakespeare and
GPT-2's, with one thread, greedily: how long a step takes does not depend on what is
written. transformers runs the very same weights with its own KV cache, in float32.
Quality is measured with the two models that come with the package: bits per character
on held-out text, and how much of 200 greedy tokens after each of 20 prompts is the
same.

Takes about six minutes on one free core; with --quick seconds, and no results are
written.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import torch

from benchmarks.elsewhere import to_transformers, write_with
from benchmarks.machine import alternate, describe, ratios, report, spread
from llmlib import (
    GPT,
    GPTConfig,
    Sampling,
    bits_per_character,
    generate,
    generate_batch,
    load_corpus,
    load_model,
    size_report,
)
from llmlib.generation.packing import packed

GREEDY = Sampling(temperature=0)
SMALL = GPTConfig(vocab_size=65, block_size=256, n_layer=6, n_head=6, n_embd=384)
LARGE = GPTConfig(
    vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768, bias=True
)
SHAPES = {"10.7 M": (SMALL, 200), "124 M": (LARGE, 50)}  # and how many tokens it writes
PROMPT = 8  # ids of a prompt whose speed is measured
BATCH = 8
N_PROMPTS, N_TOKENS = 20, 200  # whose agreement is measured
CHARACTERS = 40_000  # of held-out text

Runs = dict[str, Callable[[], Any]]


def measure(quick: bool = False) -> dict[str, Any]:
    """Tokens per second, times transformers', and what the fast paths lose."""
    with one_thread():
        lost = {name: quality(name, quick) for name in ("shakespeare", "stories")}
        speed = {
            name: _speed(*(_tiny(config) if quick else (config, n)), quick)
            for name, (config, n) in SHAPES.items()
        }
        return {
            "machine": describe("transformers"),
            "weights": "random for speed, the shipped models for quality",
            "speed": speed,
            "quality": lost,
        }


@contextmanager
def one_thread() -> Iterator[None]:
    """All arithmetic in one thread, as long as the `with` lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _tiny(config: GPTConfig) -> tuple[GPTConfig, int]:
    return replace(config, vocab_size=65, n_layer=1, n_head=2, n_embd=32), 4


def _speed(config: GPTConfig, n: int, quick: bool) -> dict[str, Any]:
    """One shape: a text alone, then a batch."""
    torch.manual_seed(0)
    model = GPT(config).eval()
    theirs = to_transformers(model)
    paths = {
        "ours": model,
        "ours, packed float32": packed(model, "float32"),
        "ours, packed int8": packed(model, "int8"),
        "ours, bfloat16": copy.deepcopy(model).bfloat16(),
    }
    prompts = torch.arange(BATCH * PROMPT).view(BATCH, PROMPT) % config.vocab_size

    def alone(path: GPT) -> Callable[[], list[int]]:
        return lambda: list(generate(path, prompts[0], n, GREEDY))

    def together(path: GPT) -> Callable[[], list[list[int]]]:
        return lambda: generate_batch(path, list(prompts), n, GREEDY)

    one: Runs = {"transformers": lambda: write_with(theirs, prompts[:1], n)}
    one |= {name: alone(path) for name, path in paths.items()}
    one["ours, no cache"] = lambda: list(
        generate(lambda ids: model(ids[:, -config.block_size :]), prompts[0], n, GREEDY)
    )
    many: Runs = {"transformers": lambda: write_with(theirs, prompts, n)}
    many |= {name: together(path) for name, path in paths.items()}
    rounds = 2 if quick else 5
    return {
        "config": asdict(config),
        "parameters": size_report(config).parameters,
        "new tokens": n,
        "rounds": rounds,
        "one text": speeds(alternate(one, rounds), n),
        f"{BATCH} texts": speeds(alternate(many, rounds), n * BATCH),
    }


def speeds(taken: dict[str, list[float]], n: int) -> dict[str, Any]:
    """Tokens per second of each way that wrote n tokens in each of these seconds, and
    how many times the first way's.
    """
    first = next(iter(taken))
    return {
        name: {
            "tokens per second": spread([n / s for s in seconds], digits=1),
            "ratio": ratios(taken[first], seconds),
        }
        for name, seconds in taken.items()
    }


def quality(name: str, quick: bool = False) -> dict[str, Any]:
    """What each path loses on a shipped model, against the model itself."""
    model, tokenizer = load_model(name)
    _, val = load_corpus(name).split()
    n, n_tokens = (400, 10) if quick else (CHARACTERS, N_TOKENS)
    text, step = val[:n], n // N_PROMPTS
    starts = [tokenizer.encode(text[i : i + step])[:PROMPT] for i in range(0, n, step)]
    expected = generate_batch(model, starts, n_tokens, GREEDY)
    bits = bits_per_character(model, tokenizer, text)
    results: dict[str, Any] = {"bits per character": round(bits, 4), "characters": n}
    for kind, path in {
        "packed float32": packed(model, "float32"),
        "packed int8": packed(model, "int8"),
        "bfloat16": copy.deepcopy(model).bfloat16(),
    }.items():
        rows = generate_batch(path, starts, n_tokens, GREEDY)
        lengths = [_agreement(*pair) for pair in zip(rows, expected, strict=True)]
        lost = bits_per_character(path, tokenizer, text) / bits - 1
        results[kind] = {
            "bits lost, %": round(100 * lost, 3),
            "texts the same": sum(length == n_tokens for length in lengths),
            "tokens the same before the first other": spread(
                [float(x) for x in lengths]
            ),
        }
    return results | {"texts": len(starts), "tokens each": n_tokens}


def _agreement(a: list[int], b: list[int]) -> int:
    """How many ids are the same before the first that is not."""
    same = (i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y)
    return next(same, len(a))


def table(record: dict[str, Any]) -> str:
    """Medians with their spread, times transformers, and what is lost."""
    lines = [f"weights: {record['weights']}"]
    for shape, results in record["speed"].items():
        for case in ("one text", f"{BATCH} texts"):
            lines.append(f"\n{shape}: {case}, {results['new tokens']} tokens each")
            lines += speed_lines(results[case])
    for model, results in record["quality"].items():
        lines.append(f"\n{model}: {results['bits per character']} bits per character")
        for name in ("packed float32", "packed int8", "bfloat16"):
            result = results[name]
            lengths = result["tokens the same before the first other"]
            lines.append(
                f"  {name:22} {result['bits lost, %']:+.3f} %, "
                f"{result['texts the same']} of {results['texts']} greedy texts the same, "
                f"half of them for {lengths['median']:.0f} tokens or more"
            )
    return "\n".join(lines)


def speed_lines(results: dict[str, Any]) -> list[str]:
    """A line for each way of writing in what `speeds` gives."""
    lines = []
    for name, result in results.items():
        speed, ratio = result["tokens per second"], result["ratio"]
        lines.append(
            f"  {name:22} {speed['median']:8.1f} tokens/s "
            f"({speed['min']:.1f} to {speed['max']:.1f})"
            f"  {ratio['median']:6.2f} times transformers"
        )
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("generation", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
