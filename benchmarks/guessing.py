"""Guess and check: how much sooner a text is written if a model that counts guesses
ahead, against transformers and against the same model without guesses.

    python -m benchmarks.guessing [--quick]

How many guesses are right depends on what is written, so the model is trained first:
nanoGPT's shape for Shakespeare, 500 short steps on the training split. Its draft is a
5-gram model, counted on the same text. Every round writes after another prompt from the
validation split, greedily and drawn from the model's own distribution; transformers
writes greedily, in float32 with its own cache. One thread.

Takes about a quarter of an hour on one free core, half of it training; with --quick
seconds, and no results are written.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.elsewhere import to_transformers, write_with
from benchmarks.generation import SMALL, one_thread, speed_lines, speeds
from benchmarks.machine import alternate, describe, ranged, ratios, report
from llmlib import (
    GPT,
    CharTokenizer,
    GPTConfig,
    KVCache,
    NGram,
    Sampling,
    Trainer,
    bits_per_character,
    fast_recipe,
    generate,
    load_corpus,
    packed,
)
from llmlib.generation.speculation import GUESSES

STEPS, BATCH_SIZE = 500, 6
ORDER = 5
PROMPT, N_TOKENS, N_PROMPTS = 8, 200, 20
SAMPLINGS = {"greedy": Sampling(temperature=0), "drawn": Sampling(seed=0)}
Writer = Callable[[torch.Tensor], list[int]]
TINY = replace(SMALL, block_size=64, n_layer=1, n_head=2, n_embd=32)


def measure(quick: bool = False) -> dict[str, Any]:
    """Tokens per second with and without guesses, times transformers'."""
    corpus = load_corpus("shakespeare")
    train, val = corpus.split()
    tokenizer = CharTokenizer.train(train + val)
    n, n_prompts, rounds = (9, 2, 2) if quick else (N_TOKENS, N_PROMPTS, 10)
    prompts = [
        torch.tensor(tokenizer.encode(val[i : i + PROMPT]))
        for i in range(0, n_prompts * 5_000, 5_000)
    ]
    with one_thread():
        ids = torch.tensor(tokenizer.encode(train))
        model = _trained(tokenizer.vocab_size, ids, quick)
        draft = NGram(ORDER, tokenizer.vocab_size).fit(ids)
        paths = {kind: packed(model, kind) for kind in ("float32", "int8")}
        return {
            "machine": describe("transformers"),
            "parameters": sum(p.numel() for p in model.parameters()),
            "trained for": 2 if quick else STEPS,
            "bits per character": {
                kind: round(bits_per_character(path, tokenizer, val[:9_000]), 4)
                for kind, path in paths.items()
            },
            "draft": f"{ORDER}-gram, {GUESSES} guesses",
            "new tokens": n,
            "rounds": rounds,
            "speed": _speed(model, paths, draft, prompts[:rounds], n),
            "five rows against one": _checking(paths, ids, 5 if quick else 200),
            "readings": {
                kind: {
                    how: _readings(path, draft, prompts, n, sampling)
                    for how, sampling in SAMPLINGS.items()
                }
                for kind, path in paths.items()
            },
        }


def _trained(vocab_size: int, ids: torch.Tensor, quick: bool) -> GPT:
    """nanoGPT's shape after a short training."""
    torch.manual_seed(0)
    shape: GPTConfig = replace(TINY if quick else SMALL, vocab_size=vocab_size)
    steps = 2 if quick else STEPS
    _, config = fast_recipe(vocab_size, max_iters=steps, batch_size=BATCH_SIZE)
    model = GPT(shape)
    for _ in Trainer(model, ids, ids[: shape.block_size + 1], config):
        pass
    return model.eval()


def _speed(
    model: GPT, paths: dict[str, GPT], draft: NGram, prompts: list[torch.Tensor], n: int
) -> dict[str, Any]:
    """All ways of writing in turns, each round after another prompt."""
    theirs = to_transformers(model)
    writers: dict[str, Writer] = {
        "transformers": lambda ids: write_with(theirs, ids[None], n)[0]
    }
    for kind, path in paths.items():
        for how, sampling in SAMPLINGS.items():
            writers[f"{kind}, {how}"] = _writer(path, n, sampling, None)
            writers[f"{kind}, {how}, draft"] = _writer(path, n, sampling, draft)
    for write in writers.values():
        write(prompts[0])  # the first tokens of all are slow
    runs = {name: _in_turn(write, prompts) for name, write in writers.items()}
    return speeds(alternate(runs, len(prompts), warm_up=False), n)


def _writer(path: GPT, n: int, sampling: Sampling, draft: NGram | None) -> Writer:
    return lambda ids: list(generate(path, ids, n, sampling, draft))


def _in_turn(write: Writer, prompts: list[torch.Tensor]) -> Callable[[], Any]:
    """A function whose every call writes after the next prompt."""
    left = iter(prompts)
    return lambda: write(next(left))


def _checking(
    paths: dict[str, GPT], ids: torch.Tensor, rounds: int
) -> dict[str, dict[str, float]]:
    """How many times longer a reading of all guesses and one id more takes than that of
    one id, behind as many as a text has on average.
    """

    def reader(path: GPT, n_new: int) -> Callable[[], Any]:
        cache = KVCache(path)
        before, new = ids[None, :n_read], ids[None, n_read : n_read + n_new]
        path(before, cache)

        def read() -> None:
            path(new, cache)
            cache.take_back(n_new)

        return read

    n_read = min(N_TOKENS // 2, paths["float32"].block_size // 2)
    found = {}
    with torch.inference_mode():
        for kind, path in paths.items():
            runs = {str(n): reader(path, n) for n in (1, GUESSES + 1)}
            taken = alternate(runs, rounds)
            found[kind] = ratios(taken[str(GUESSES + 1)], taken["1"])
    return found


def _readings(
    path: GPT, draft: NGram, prompts: list[torch.Tensor], n: int, sampling: Sampling
) -> dict[str, Any]:
    """How often the model is read for a token, and how many texts are the same as
    without guesses.
    """
    calls: list[int] = []
    plain = [_writer(path, n, sampling, None)(ids) for ids in prompts]
    hook = path.register_forward_hook(lambda *call: calls.append(1))
    guessed = [_writer(path, n, sampling, draft)(ids) for ids in prompts]
    hook.remove()
    same = [a == b for a, b in zip(plain, guessed, strict=True)]
    return {
        "tokens per reading": round(n * len(prompts) / len(calls), 2),
        "texts": len(prompts),
        "texts the same": sum(same),
    }


def table(record: dict[str, Any]) -> str:
    """Medians with their spread, times transformers, and how often a model is read."""
    bits = ", ".join(f"{k} {v}" for k, v in record["bits per character"].items())
    lines = [
        f"{record['parameters']:,} parameters, {record['trained for']} steps, "
        f"bits per character: {bits}; draft: {record['draft']}",
        *speed_lines(record["speed"]),
    ]
    for kind, times in record["five rows against one"].items():
        lines.append(
            f"  {kind}: a reading of all guesses takes {ranged(times)} of one id"
        )
    for kind, ways in record["readings"].items():
        for how, result in ways.items():
            lines.append(
                f"  {kind}, {how}: {result['tokens per reading']} tokens per reading, "
                f"{result['texts the same']} of {result['texts']} texts the same"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("guessing", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
