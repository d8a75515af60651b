"""``llmlib info`` and ``llmlib export``: a model's size, and its files in another precision."""

import argparse
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from llmlib.cli.options import add_option, option
from llmlib.cli.settings import SHAPES
from llmlib.model.config import GPTConfig
from llmlib.model.size import size_report
from llmlib.training.saving import load_model, save_model

SIZES = {
    "vocab_size": 1024,
    "block_size": 256,
    "n_layer": 4,
    "n_head": 4,
    "n_embd": 128,
}
MEANINGS = {"vocab_size": "tokens that the model knows"} | SHAPES
DTYPES = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32")}


def add_commands(commands: Any) -> None:
    """Add ``info`` and ``export`` to the command line."""
    info = commands.add_parser(
        "info", help="parameters, FLOPs and memory, part by part"
    )
    info.add_argument(
        "model", nargs="?", help="a folder or a shipped model; or describe one:"
    )
    for name, size in SIZES.items():
        add_option(info, name, int, f"{MEANINGS[name]}; by default {size}")
    info.set_defaults(run=run_info)
    export = commands.add_parser(
        "export", help="write a model's folder in another precision"
    )
    export.add_argument("model", help="a folder, or a shipped model")
    export.add_argument("dir", help="the folder to write, which has no model yet")
    export.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float16",
        help="of the weights; by default %(default)s",
    )
    export.set_defaults(run=run_export)


def run_info(arguments: argparse.Namespace) -> int:
    """Print the size of a model that is there, or of one that is described."""
    given = {name: getattr(arguments, name) for name in SIZES}
    given = {name: size for name, size in given.items() if size is not None}
    if arguments.model is None:
        config = GPTConfig(**SIZES | given)
    elif given:
        raise ValueError(
            f"{', '.join(map(option, given))} describe a model; give them without {arguments.model}"
        )
    else:
        model, tokenizer = load_model(arguments.model)
        config = model.config
        print(tokenizer)
    print(describe(config))
    print(size_report(config))
    return 0


def describe(config: GPTConfig) -> str:
    """A line with the sizes, and one with all parts that are not as by default."""
    values = asdict(config)
    sizes = ", ".join(f"{name} {values[name]:,}" for name in SIZES)
    defaults = {f.name: f.default for f in fields(config) if f.name not in SIZES}
    changed = [name for name in defaults if values[name] != defaults[name]]
    parts = ", ".join(f"{name} {values[name]}" for name in changed)
    return f"{sizes}\n{parts}".rstrip()


def run_export(arguments: argparse.Namespace) -> int:
    """Write a copy of a model, its weights as `--dtype`."""
    folder = Path(arguments.dir)
    if (folder / "model.safetensors").exists():
        raise ValueError(f"there is a model in {folder} already; choose another folder")
    model, tokenizer = load_model(arguments.model)
    save_model(model, tokenizer, folder, DTYPES[arguments.dtype])
    size = (folder / "model.safetensors").stat().st_size
    print(f"{folder / 'model.safetensors'}: {size / 1e6:.2f} MB in {arguments.dtype}")
    return 0
