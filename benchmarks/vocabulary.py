"""Vocabularies: what GPT-2's makes of several kinds of text, and how large one should be.

    LLMLIB_DATA=folder python -m benchmarks.vocabulary

`folder/gpt2` holds GPT-2's two files, vocab.json and merges.txt. The study of sizes
trains the same small GPT over vocabularies of 256 tokens and more, on the stories, each
with the same number of FLOPs. Equal text would not do: a model over bytes would get four
times the arithmetic of one over words. All have a context of as many tokens, so that
with longer tokens a model also sees further back, as it does in practice. Two controls
say how much of the gain is that: bytes with twice the FLOPs, and long tokens that see no
further back than bytes do. Takes about ten minutes.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import torch

from benchmarks.gpt2 import LEARNED_FROM, measure_gpt2
from benchmarks.machine import aligned, describe, write_results
from llmlib import (
    GPT,
    BPETokenizer,
    StoryGrammar,
    Trainer,
    bits_per_character,
    fast_recipe,
    load_corpus,
    mean_loss,
    size_report,
    token_ids,
)
from llmlib.training.recipes import Recipe

SIZES = (256, 512, 1024, 2048, 4096)
SEEDS = range(2)
STEPS = 600  # of the smallest vocabulary; the larger ones get as many FLOPs
N_SCORED = 60  # stories that no model has read
BLOCK_SIZE = 128
CONTROLLED = 2048  # the size that is tried once more with the reach of bytes
SHAPE: dict[str, Any] = {"n_layer": 3, "n_head": 4, "n_embd": 64}


def measure_size(
    vocab_size: int, seed: int, budget: float, bytes_back: int | None = None
) -> dict[str, Any]:
    """Trains one model with `budget` FLOPs; what it is and how far it got. It looks back
    as many tokens as fill `bytes_back` on average, or BLOCK_SIZE.
    """
    stories = load_corpus("stories")
    train, val = stories.split()
    scored = stories.documents[-N_SCORED:]
    tokenizer = BPETokenizer.train(train[:LEARNED_FROM], vocab_size)
    train_ids, val_ids = token_ids(tokenizer, train), token_ids(tokenizer, val[:60_000])

    reach = BLOCK_SIZE
    if bytes_back is not None:
        reach = round(bytes_back * len(train_ids) / len(train.encode()))

    def recipe(steps: int) -> Recipe:
        settings = {"max_iters": steps, "seed": seed, "eval_interval": 10**6}
        model, config = fast_recipe(tokenizer.vocab_size, reach, **SHAPE, **settings)
        rows = round(config.batch_size * BLOCK_SIZE / reach)  # as many tokens a step
        return model, replace(config, batch_size=rows)

    steps = round(budget / flops_per_step(recipe(1)))
    model_config, config = recipe(steps)
    torch.manual_seed(seed)
    trainer = Trainer(GPT(model_config), train_ids, val_ids, config)
    start = time.process_time()  # of the processor, so that others do not count
    tokens = sum(log.tokens for log in trainer)
    seconds = time.process_time() - start
    model = trainer.model
    return {
        "wanted": vocab_size,
        "vocab_size": tokenizer.vocab_size,
        "seed": seed,
        "reach": reach,
        "parameters": size_report(model_config).parameters,
        "steps": steps,
        "tokens": tokens,
        "characters": round(tokens * len(train) / len(train_ids)),
        "seconds": round(seconds, 1),
        "tokens_per_story": round(len(train_ids) / train.count("\n\n"), 1),
        "loss": round(mean_loss(model, val_ids), 4),
        "bits_per_character": round(bits_per_character(model, tokenizer, scored), 4),
    }


def flops_per_step(recipe: Recipe) -> int:
    """Forward and backward, over all tokens of a batch."""
    model_config, config = recipe
    forward = size_report(model_config).flops_per_token
    return 3 * forward * config.batch_size * model_config.block_size


def measure_sizes() -> dict[str, Any]:
    """Trains all sizes over the seeds, beside the floor of the stories they are scored on."""
    stories = load_corpus("stories").documents[-N_SCORED:]
    floor = StoryGrammar().bits_per_character(stories)
    budget = STEPS * flops_per_step(fast_recipe(SIZES[0], BLOCK_SIZE, **SHAPE))
    runs = []
    for seed in SEEDS:
        for vocab_size in SIZES:
            runs.append(measure_size(vocab_size, seed, budget))
            print(runs[-1], flush=True)
    controls: dict[str, list[dict[str, Any]]] = {
        "twice the FLOPs": [measure_size(SIZES[0], seed, 2 * budget) for seed in SEEDS],
        "the reach of bytes": [
            measure_size(CONTROLLED, seed, budget, BLOCK_SIZE) for seed in SEEDS
        ],
    }
    settings = {"block_size": BLOCK_SIZE, **SHAPE, "flops": budget}
    return {
        "floor": round(floor, 4),
        **settings,
        "runs": runs,
        "controls": controls,
    }


def table(record: dict[str, Any]) -> str:
    """Bytes a token by text, and a line for each model of the study of sizes."""
    texts = [
        (
            row["text"],
            f"{row['bytes'] / row['tokens']:.2f}",
            f"{row['bytes'] / row['tokens_of_the_stories']:.2f}",
        )
        for row in record["gpt2"]["texts"]
    ]
    counts = ("vocab_size", "seed", "parameters", "tokens")
    runs = [
        (*(f"{run[key]:,}" for key in counts), f"{run['bits_per_character']:.4f}")
        for run in record["sizes"]["runs"]
    ]
    controls = [
        (name, run["vocab_size"], run["seed"], f"{run['bits_per_character']:.4f}")
        for name, again in record["sizes"]["controls"].items()
        for run in again
    ]
    floor = record["sizes"]["floor"]
    return "\n".join(
        [
            aligned(("bytes a token", "GPT-2's", "the stories'"), *texts),
            f"\nbits per character, of which the floor is {floor:.4f}:",
            aligned(("vocabulary", "seed", "parameters", "tokens", "bits"), *runs),
            "\nthe controls:",
            aligned(("", "vocabulary", "seed", "bits"), *controls),
        ]
    )


def main() -> None:
    """Measures both, prints and writes the results."""
    argparse.ArgumentParser(description=__doc__).parse_args()  # there are no options
    record = {"machine": describe(), "gpt2": measure_gpt2(), "sizes": measure_sizes()}
    print(table(record))
    write_results("vocabulary", record)


if __name__ == "__main__":
    main()
