"""Makes a model that ships with the package: its folder in llmlib/pretrained, and its card.

    python -m benchmarks.pretrain stories
    python -m benchmarks.pretrain shakespeare

Five minutes each on two cores. The card says what came out: for the stories how far above
the floor it is, for Shakespeare the loss on the validation split.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

import llmlib
from llmlib import (
    GPT,
    BPETokenizer,
    CharTokenizer,
    StoryGrammar,
    Tokenizer,
    Trainer,
    bits_per_character,
    distance_to_floor,
    fast_recipe,
    load_corpus,
    load_model,
    mean_loss,
    progress,
    save_model,
    size_report,
    token_ids,
)

PRETRAINED = Path(llmlib.__file__).parent / "pretrained"
N_STORIES, SEED = 98_000, 1  # max_iters · batch_size and some; no corpus has this seed
TEST_SEED = 20_000_000  # of stories that are in no corpus


def train_stories() -> tuple[GPT, Tokenizer]:
    """A GPT of under a million parameters, trained longer than in the book, on more
    stories, none of them twice.
    """
    train = StoryGrammar().sample(N_STORIES, seed=SEED)
    _, val = load_corpus("stories").split()
    tokenizer = BPETokenizer.train(train[:1_000_000], vocab_size=2048)
    shape = {"block_size": 192, "n_layer": 2, "n_head": 4, "n_embd": 128}
    rates: dict[str, Any] = {"embedding_lr": 0.04, "head_lr": 0.02, "cooldown": 1.0}
    config, training = fast_recipe(
        tokenizer.vocab_size, **shape, **rates, max_iters=6000, eval_interval=600
    )
    ids = token_ids(tokenizer, train), token_ids(tokenizer, val[:100_000])
    return run(Trainer(new(config), *ids, training, tokenizer.start_ids)), tokenizer


def train_shakespeare() -> tuple[GPT, Tokenizer]:
    """A GPT of under two million parameters that reads Tiny Shakespeare character by
    character, three times over: more would be learning it by heart.
    """
    corpus = load_corpus("shakespeare")
    tokenizer = CharTokenizer.train(corpus.text)
    shape = {"block_size": 192, "n_layer": 4, "n_head": 4, "n_embd": 192}
    config, training = fast_recipe(
        tokenizer.vocab_size,
        **shape,
        max_iters=1000,
        learning_rate=0.02,
        eval_interval=100,
    )
    train_ids, val_ids = (token_ids(tokenizer, half) for half in corpus.split())
    return run(Trainer(new(config), train_ids, val_ids, training)), tokenizer


def new(config: llmlib.GPTConfig) -> GPT:
    """An untrained model, the same each time."""
    torch.manual_seed(0)
    return GPT(config)


def run(trainer: Trainer) -> GPT:
    """Trains to the end and goes back to the best weights."""
    for log in progress(trainer):
        if log.val_loss is not None:
            print(f"step {log.step}: {log.val_loss:.4f} nats per token", flush=True)
    return trainer.best_model()  # type: ignore[return-value]


def measure_stories(model: GPT, tokenizer: Tokenizer) -> dict[str, Any]:
    """Bits per character on stories that nobody has read, and the floor on the same."""
    village = StoryGrammar()
    stories = [village.sample(1, seed=TEST_SEED + i) for i in range(300)]
    floor = village.bits_per_character(stories)
    bits = bits_per_character(model, tokenizer, stories)
    return {
        "bits_per_character": round(bits, 4),
        "floor": round(floor, 4),
        "above_the_floor": f"{distance_to_floor(bits, floor):.1%}",
    }


def measure_shakespeare(model: GPT, tokenizer: Tokenizer) -> dict[str, Any]:
    """The loss over the whole validation split, in consecutive contexts."""
    _, val = load_corpus("shakespeare").split()
    loss = mean_loss(model, token_ids(tokenizer, val))
    return {"nats_per_character": round(loss, 4)}


def write_card(name: str) -> None:
    """Measures the model as it was saved, and writes down what it is."""
    folder = PRETRAINED / name
    model, tokenizer = load_model(folder)
    weights = (folder / "model.safetensors").read_bytes()
    card = {
        "command": f"python -m benchmarks.pretrain {name}",
        "parameters": size_report(model.config).parameters,
        **MODELS[name][1](model, tokenizer),
        "bytes": len(weights),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "torch": torch.__version__,
    }
    text = json.dumps(card, indent=1) + "\n"
    (folder / "card.json").write_text(text, encoding="utf-8")
    print(text)


MODELS = {
    "stories": (train_stories, measure_stories),
    "shakespeare": (train_shakespeare, measure_shakespeare),
}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in MODELS:
        sys.exit(f"usage: python -m benchmarks.pretrain {'|'.join(MODELS)}")
    trained, its_tokenizer = MODELS[sys.argv[1]][0]()
    save_model(trained, its_tokenizer, PRETRAINED / sys.argv[1], dtype=torch.float16)
    write_card(sys.argv[1])
