"""A model on its way to a page: its three files, with weights in half precision.

What a page runs are these files, so whatever is shown beside it is computed from them
too: the numbers on both sides are the same.
"""

import json
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from llmlib.evaluation.models import unwrapped
from llmlib.model.gpt import GPT
from llmlib.text.files import write_files
from llmlib.text.tokenizers import Tokenizer
from llmlib.training.saving import (
    MODEL_FILES,
    load_model,
    model_files,
    read_model,
    tensor_digest,
)

EXPORT_VARIABLE = "LLMLIB_EXPORT"  # the environment variable of a build: a folder


@dataclass(frozen=True)
class PageModel:
    """A model as a page runs it: `files` by name, and what Python reads from them."""

    name: str
    files: dict[str, bytes]
    model: GPT
    tokenizer: Tokenizer

    def message(self) -> tuple[dict[str, Any], list[bytes]]:
        """What a widget with a kernel is sent: JSON, and the weights beside it."""
        config, tokenizer = (json.loads(self.files[name]) for name in MODEL_FILES[:2])
        content = {"type": "model", "name": self.name}
        return content | {"config": config, "tokenizer": tokenizer}, [
            self.files["model.safetensors"]
        ]


def page_model(model: GPT | str | Path, tokenizer: Tokenizer | None) -> PageModel:
    """The model as it is now (or the one of that name), rounded to half precision.

    While the book is built, its files go to ``$LLMLIB_EXPORT/<name>``, from where the
    build copies those that pages use; else nothing is kept on disk. The name ends with a
    hash of the files. Raises as `opened` does, and ValueError as model_files does.
    """
    name = Path(model).name if isinstance(model, str | Path) else "model"
    files = model_files(*opened(model, tokenizer), torch.float16)
    rounded, same_tokenizer = read_model(files, Path(name))
    return PageModel(export(name, files), files, rounded, same_tokenizer)


def opened(
    model: GPT | str | Path, tokenizer: Tokenizer | None
) -> tuple[GPT, Tokenizer]:
    """The GPT, out of what wraps it, and its tokenizer; of a saved model, given by its
    name or folder, both as they were saved.

    Raises TypeError for another model than a GPT and where a tokenizer is missing, or
    there is one too many; ValueError as load_model does.
    """
    if isinstance(model, str | Path):
        if tokenizer is not None:
            raise TypeError(f"the model {str(model)!r} brings its own tokenizer")
        return load_model(model)
    gpt = unwrapped(model)
    if not isinstance(gpt, GPT):
        raise TypeError(f"a widget shows a GPT, not a {type(gpt).__name__}")
    if not isinstance(tokenizer, Tokenizer):
        raise TypeError(f"a GPT needs its tokenizer beside it, not {tokenizer!r}")
    return gpt, tokenizer


def export(name: str, files: dict[str, bytes]) -> str:
    """Writes the files where a build wants them, and returns their folder's name."""
    folder = f"{_plain(name)}-{_digest(files)}"
    root = os.environ.get(EXPORT_VARIABLE)
    if root and not all((Path(root) / folder / name).is_file() for name in files):
        write_files(Path(root) / folder, files)
    return folder


def _digest(files: dict[str, bytes]) -> str:
    """Twelve hexadecimal digits that stand for the contents of the files."""
    digest = sha256()
    for name, data in files.items():
        # The order of a safetensors header is left to chance: the tensors are what counts.
        part = tensor_digest(data) if name.endswith(".safetensors") else data.hex()
        digest.update(f"{name} {part}\n".encode())
    return digest.hexdigest()[:12]


def _plain(name: str) -> str:
    """A name that is safe in a path and in an address."""
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name) or "model"
