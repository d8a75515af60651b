"""One tiny training that all tests share."""

import random

import pytest
import torch

from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.training.config import TrainConfig
from llmlib.training.trainer import Trainer

VOCAB = 11


@pytest.fixture
def ids() -> list[int]:
    """400 ids in which what follows depends on what came."""
    rng, row = random.Random(0), [1]
    while len(row) < 400:
        row.append((row[-1] * 3 + rng.choice([1, 2])) % VOCAB)
    return row


@pytest.fixture
def make_trainer(ids):
    """Builds the training, always from the same weights; keywords change its configs."""

    def make(model=None, **changes) -> Trainer:
        torch.manual_seed(0)
        shape = {"n_layer": 2, "n_head": 2, "n_embd": 16, "block_size": 8}
        shape |= model or {}
        config = {
            "batch_size": 4,
            "max_iters": 8,
            "eval_interval": 3,
            "warmup_iters": 2,
            "device": "cpu",
        }
        config |= {"precision": "float32", "learning_rate": 0.01} | changes
        gpt = GPT(GPTConfig(**{"vocab_size": VOCAB} | shape))
        return Trainer(gpt, ids[:300], ids[300:], TrainConfig(**config))

    return make
