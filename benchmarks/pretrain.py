"""Makes a model that ships with the package: its folder in llmlib/pretrained, and its card.

    python -m benchmarks.pretrain

A few minutes on two cores. The card says what came out, and how far it is from the floor.
"""

import hashlib
import json
from pathlib import Path

import torch

import llmlib
from llmlib import (
    GPT,
    BPETokenizer,
    StoryGrammar,
    Trainer,
    bits_per_character,
    distance_to_floor,
    fast_recipe,
    load_corpus,
    load_model,
    progress,
    save_model,
    size_report,
    token_ids,
)

FOLDER = Path(llmlib.__file__).parent / "pretrained" / "stories"
N_STORIES, SEED = 66_000, 1  # more than max_iters · batch_size; no corpus has this seed
TEST_SEED = 20_000_000  # of stories that are in no corpus


def train_stories() -> tuple[GPT, BPETokenizer]:
    """A GPT of under a million parameters, trained longer than in the book, on so many
    stories that it reads none of them twice.
    """
    train = StoryGrammar().sample(N_STORIES, seed=SEED)
    _, val = load_corpus("stories").split()
    tokenizer = BPETokenizer.train(train[:1_000_000], vocab_size=2048)
    train_ids, val_ids = (
        token_ids(tokenizer, train),
        token_ids(tokenizer, val[:100_000]),
    )
    model_config, config = fast_recipe(
        tokenizer.vocab_size,
        192,
        n_layer=2,
        n_head=4,
        n_embd=128,
        max_iters=4000,
        embedding_lr=0.04,
        head_lr=0.02,
        eval_interval=500,
    )
    torch.manual_seed(0)
    trainer = Trainer(
        GPT(model_config), train_ids, val_ids, config, tokenizer.start_ids
    )
    for log in progress(trainer):
        if log.val_loss is not None:
            print(f"step {log.step}: {log.val_loss:.4f} nats per token", flush=True)
    return trainer.model, tokenizer  # type: ignore[return-value]


def write_card() -> None:
    """Measures the model as it was saved, and writes down what it is."""
    model, tokenizer = load_model(FOLDER)
    village = StoryGrammar()
    stories = [village.sample(1, seed=TEST_SEED + i) for i in range(300)]
    floor = -sum(map(village.log2_prob, stories)) / sum(map(len, stories))
    bits = bits_per_character(model, tokenizer, stories)
    weights = (FOLDER / "model.safetensors").read_bytes()
    card = {
        "command": "python -m benchmarks.pretrain",
        "parameters": size_report(model.config).parameters,
        "bits_per_character": round(bits, 4),
        "floor": round(floor, 4),
        "above_the_floor": f"{distance_to_floor(bits, floor):.1%}",
        "bytes": len(weights),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "torch": torch.__version__,
    }
    text = json.dumps(card, indent=1) + "\n"
    (FOLDER / "card.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    trained, its_tokenizer = train_stories()
    save_model(trained, its_tokenizer, FOLDER, dtype=torch.float16)
    write_card()
