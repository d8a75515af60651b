"""Models on disk: a folder of a config, a tokenizer and weights, checked when it is
read.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from llmlib.evaluation.models import unwrapped
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.text.files import write_files
from llmlib.text.tokenizers import Tokenizer, read_tokenizer
from llmlib.training.files import DamagedFileError, read_json, read_tensors
from llmlib.training.weights import check_fit, fill, stored, weights

PRETRAINED = ("stories", "shakespeare")
MODEL_FILES = ("config.json", "tokenizer.json", "model.safetensors")


def save_model(
    model: nn.Module,
    tokenizer: Tokenizer,
    dir: str | Path,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Writes a GPT and its tokenizer into a folder: config.json, tokenizer.json,
    model.safetensors. Raises as `model_files` does, and CannotWriteError if the folder
    cannot be written.
    """
    write_files(Path(dir), model_files(model, tokenizer, dtype))


def model_files(
    model: nn.Module, tokenizer: Tokenizer, dtype: torch.dtype = torch.float32
) -> dict[str, bytes]:
    """What `save_model` writes, by the names of the files.

    The weights are stored as `dtype`; a tied head is left out. The safetensors file
    carries the config and the SHA-256 of the other two and of its own tensors, so that
    a mixed or damaged set is never loaded.

    Raises TypeError for another model than a GPT, ValueError if the tokenizer's
    vocabulary is not the model's, for weights that its config does not describe, as
    those of a packed model, for weights that are not finite, in the model or as
    `dtype`, and for a dtype that is not floating point.
    """
    gpt = unwrapped(model)
    if not isinstance(gpt, GPT):
        raise TypeError(f"save_model takes a GPT, got {type(gpt).__name__}")
    check_vocabulary(gpt.config, tokenizer)
    config = asdict(gpt.config)
    try:
        described = weights(outline(config, "its config"))
        check_fit(described, weights(gpt), "what is to be saved")
    except ValueError as error:  # it could not be loaded again
        raise ValueError(
            f"{error} by its config; of a packed model, save the one it was made from"
        ) from None
    if not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating point one, got {dtype}")
    tensors = save(stored(weights(gpt), dtype))
    files = {
        "config.json": (json.dumps(config, indent=2) + "\n").encode(),
        "tokenizer.json": tokenizer.to_bytes(),
    }
    metadata = {name: sha256(data).hexdigest() for name, data in files.items()}
    metadata |= {"format": "pt", "config": json.dumps(config)}
    metadata["model.safetensors"] = tensor_digest(tensors)
    return files | {"model.safetensors": with_metadata(tensors, metadata)}


def load_model(dir_or_name: str | Path) -> tuple[GPT, Tokenizer]:
    """The model and tokenizer that save_model wrote into a folder, or one of the
    shipped models, "stories" and "shakespeare" (a folder of such a name is
    "./stories"). Float32, eval mode, CPU.

    Raises ValueError, naming the file and both values, for an unknown name, a file that
    is missing or damaged, files that do not belong together, and weights that do not
    fit the config.
    """
    folder = model_folder(dir_or_name)
    for name in MODEL_FILES:
        if not (folder / name).is_file():
            raise ValueError(f"there is no {name} in {folder}")
    files = {name: (folder / name).read_bytes() for name in MODEL_FILES}
    return read_model(files, folder)


def read_model(files: Mapping[str, bytes], folder: Path) -> tuple[GPT, Tokenizer]:
    """The model and tokenizer of the three files, given their bytes; errors say that
    they are from the folder. Raises as `load_model` does.
    """
    origin = folder / "model.safetensors"
    tensors, metadata = read_tensors(files["model.safetensors"], origin)
    values = read_json(files["config.json"], folder / "config.json")
    check_same_config(values, metadata, origin)
    check_depth(values, len(tensors), origin)
    check_fit(weights(outline(values, folder / "config.json")), tensors, origin)
    tokenizer = read_tokenizer(files["tokenizer.json"], folder / "tokenizer.json")
    config = GPTConfig(**values)
    check_vocabulary(config, tokenizer)
    check_digests(files, metadata, folder)
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        model = GPT(config).float()  # its first weights are drawn for nothing
    fill(model, tensors)
    return model.eval(), tokenizer


def model_folder(dir_or_name: str | Path) -> Path:
    """Where a model lies: the shipped one of that name, or the folder itself."""
    if dir_or_name in PRETRAINED:
        return Path(__file__).parents[1] / "pretrained" / dir_or_name
    if not Path(dir_or_name).is_dir():
        shipped = Path(dir_or_name).name.lower()
        if shipped in PRETRAINED:  # asked for as a Path, in capitals, or in a folder
            raise ValueError(
                f"there is no folder {dir_or_name}; "
                f"the shipped model is load_model({shipped!r})"
            )
        names = ", ".join(repr(name) for name in PRETRAINED)
        raise ValueError(
            f"unknown model {str(dir_or_name)!r}; allowed: {names}, or a folder of save_model"
        )
    return Path(dir_or_name)


def check_same_config(
    values: dict[str, Any], metadata: dict[str, str], origin: Path
) -> None:
    """ValueError, naming both values, unless config.json says what the weights were
    saved with.
    """
    if "config" not in metadata:
        raise DamagedFileError(f"{origin} is not from save_model: it names no config")
    saved = read_json(metadata["config"].encode(), origin)
    for key in values | saved:
        if values.get(key) != saved.get(key):
            raise ValueError(
                f"config.json says {key} = {values.get(key)!r}, "
                f"{origin} was saved with {saved.get(key)!r}"
            )


def check_depth(values: dict[str, Any], n_tensors: int, origin: Path) -> None:
    """ValueError, naming both, for more blocks than tensors: even an outline of them
    would take minutes.
    """
    n_layer = values.get("n_layer")
    if isinstance(n_layer, int) and n_layer > n_tensors:
        raise ValueError(
            f"{origin} has {n_tensors} tensors, too few for n_layer = {n_layer}"
        )


def check_digests(
    files: Mapping[str, bytes], metadata: dict[str, str], folder: Path
) -> None:
    """DamagedFileError naming the file, unless all are as they were saved together."""
    found = {name: sha256(data).hexdigest() for name, data in files.items()}
    found["model.safetensors"] = tensor_digest(files["model.safetensors"])
    for name, digest in found.items():
        if metadata.get(name) != digest:
            raise DamagedFileError(
                f"{name} in {folder} is damaged or from another save: its SHA-256 is "
                f"{digest}, model.safetensors names {metadata.get(name)}"
            )


def outline(values: dict[str, Any], origin: object) -> GPT:
    """The model that a config describes, without memory for its weights: a wrong config
    cannot claim more than the weights on disk have. ValueError names the origin.
    """
    try:
        with torch.device("meta"):
            return GPT(GPTConfig(**values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{origin} is no model's config: {error}") from None


def check_vocabulary(config: GPTConfig, tokenizer: Tokenizer) -> None:
    """ValueError, naming both, unless model and tokenizer have vocabularies of one
    size.
    """
    if tokenizer.vocab_size != config.vocab_size:
        raise ValueError(
            f"the tokenizer has a vocabulary of {tokenizer.vocab_size}, "
            f"the model one of {config.vocab_size}"
        )


def with_metadata(data: bytes, metadata: dict[str, str]) -> bytes:
    """A safetensors file without metadata, given it. The library would write it in an
    order of chance, here the same model gives the same bytes.

    The format: the header's length in 8 bytes, the header in JSON, padded with spaces
    to a multiple of 8, the tensors.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = {"__metadata__": metadata} | json.loads(data[8:end])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def tensor_digest(data: bytes) -> str:
    """The SHA-256 of the tensors in a safetensors file: of all that comes after its
    header.
    """
    header = int.from_bytes(data[:8], "little")
    return sha256(memoryview(data)[8 + header :]).hexdigest()
