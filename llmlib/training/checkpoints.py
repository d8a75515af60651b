"""Trainings on disk: checkpoints from which one goes on as if it had never stopped.

A checkpoint is one safetensors file, so that a pair of files can never be mixed. Its
name tells the step and the beginning of the file's own SHA-256, so that any cut or
changed bit is found: step-00000100-1f0c9b7de52a4438.safetensors.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from hashlib import sha256
from pathlib import Path
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Any

from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from llmlib.evaluation.models import unwrapped
from llmlib.text.files import write_files
from llmlib.training.files import DamagedFileError, hold_folder, read_json, read_tensors
from llmlib.training.weights import check_fit, fill, weights

if TYPE_CHECKING:
    from llmlib.training.trainer import Trainer

CHECKPOINT = re.compile(r"step-(\d{8,})-([0-9a-f]{16})\.safetensors")
KEPT = 2
PARTS = ("model", "best", "optimizer")  # what the names of tensors begin with


def checkpoints_in(folder: str | Path) -> list[Path]:
    """The checkpoints of a folder, the newest last."""
    found = [
        path for path in Path(folder).glob("step-*") if CHECKPOINT.fullmatch(path.name)
    ]
    return sorted(found, key=step_of)


def step_of(path: Path) -> int:
    """The step in a checkpoint's name; ValueError if it is no such name."""
    match = CHECKPOINT.fullmatch(path.name)
    if not match:
        raise ValueError(
            f"{path} is not named as a checkpoint is: step-<number>-<digest>.safetensors"
        )
    return int(match[1])


def write_checkpoint(
    folder: Path, tensors: Mapping[str, Tensor], record: dict[str, Any], *, mine: bool
) -> Path:
    """Writes one checkpoint and keeps the one before it; older ones go, once the new
    one is safe on disk, and so do those of later steps, from before a rewinding.

    Unless the folder is the training's own (`mine`), ValueError protects what is there.
    """
    hold_folder(folder)
    data = save(dict(tensors), {"llmlib": json.dumps(record)})
    step, digest = record["step"], sha256(data).hexdigest()[:16]
    path = folder / f"step-{step:08d}-{digest}.safetensors"
    others = [other for other in checkpoints_in(folder) if other != path]
    if others and not mine:
        raise ValueError(
            f"{others[-1]} is from another training: resume from it, or save into "
            "another folder"
        )
    for leftover in folder.glob(".step-*.tmp"):  # of a process that died while writing
        leftover.unlink()
    write_files(folder, {path.name: data})
    earlier = [other for other in others if step_of(other) < step]
    for outdated in [other for other in others if other not in earlier[1 - KEPT :]]:
        # The new one is there: an old one too many is no failure.
        with suppress(OSError):
            outdated.unlink()
    return path


def read_checkpoint(path: Path) -> tuple[Path, dict[str, Tensor], dict[str, Any]]:
    """A checkpoint, or the newest of a folder: its path, its tensors and the record
    beside them.

    Raises ValueError if there is none, and DamagedFileError if it is not what was
    written; the sentence names the newest whole one before it.
    """
    if path.is_dir():
        found = checkpoints_in(path)
        if not found:
            raise ValueError(f"no checkpoint in {path}")
        path = found[-1]
    try:
        return path, *_read(path)
    except DamagedFileError as error:
        earlier = _whole_before(path)
        advice = "there is no whole one before it"
        if earlier is not None:
            advice = (
                f"the newest whole one before it is {earlier}: delete the damaged file, "
                "and that one is taken"
            )
        raise DamagedFileError(f"{error}; {advice}") from None


def _whole_before(path: Path) -> Path | None:
    for earlier in reversed(checkpoints_in(path.parent)):
        if step_of(earlier) < step_of(path):
            with suppress(DamagedFileError):
                _read(earlier)
                return earlier
    return None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    step_of(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    data = path.read_bytes()
    digest = sha256(data).hexdigest()[:16]
    if digest != path.stem.rpartition("-")[2]:
        raise DamagedFileError(
            f"{path} is damaged: its SHA-256 begins with {digest}, not as its name says"
        )
    tensors, metadata = read_tensors(data, path)
    record = read_json(metadata.get("llmlib", "").encode(), path)
    _check_record(record, path)
    for name in tensors:
        if name.partition(".")[0] not in PARTS:
            raise DamagedFileError(
                f"{path} is no checkpoint of a training: it has a tensor {name}"
            )
    return tensors, record


def _check_record(record: dict[str, Any], path: Path) -> None:
    """DamagedFileError unless the values are of the kinds that `state` gives."""
    match record:
        case {
            "step": int(step),
            "identity": dict(),
            "best": None | {"step": int(), "val_loss": float()},
        } if step >= 0:
            return
    raise DamagedFileError(
        f"{path} is no checkpoint of a training: its record is {shortened(record)}"
    )


def state(trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that a training needs to go on: tensors (weights, the best weights, what the
    optimizers remember) and a record that fits into JSON.
    """
    tensors = {f"model.{name}": t for name, t in weights(trainer.model).items()}
    tensors |= {f"best.{name}": t for name, t in trainer.best_weights.items()}
    for name, p, optimizer in slots(trainer):
        memory = optimizer.state[p].items()
        tensors |= {f"optimizer.{name}.{key}": t for key, t in memory}
    best = None
    if trainer.best_step is not None:
        best = {"step": trainer.best_step, "val_loss": trainer.best_val_loss}
    record = {
        "step": trainer.step,
        "best": best,
        "identity": identity(trainer),
    }
    return tensors, record


def restore(
    trainer: Trainer,
    tensors: Mapping[str, Tensor],
    record: dict[str, Any],
    origin: Path,
) -> None:
    """Puts a training back to a `state`. ValueError, with nothing changed, if it is
    another training's.
    """
    ours, theirs = identity(trainer), record["identity"]
    for key in ours | theirs:
        if ours.get(key) != theirs.get(key):
            raise ValueError(
                f"{origin} was written with {key} = {theirs.get(key)!r}, "
                f"this training has {ours.get(key)!r}"
            )
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    check_fit(weights(trainer.model), parts["model"], origin)
    if record["best"] is not None:
        check_fit(weights(trainer.model), parts["best"], origin)
    fill(trainer.model, parts["model"])
    memory = defaultdict[str, dict[str, Tensor]](dict)  # by parameter
    for name, tensor in parts["optimizer"].items():
        parameter, _, key = name.rpartition(".")
        memory[parameter][key] = tensor
    for name, p, optimizer in slots(trainer):
        optimizer.state[p] = {key: t.to(p.device) for key, t in memory[name].items()}
    trainer.step = record["step"]
    trainer.best_weights = {
        n: t.to(trainer.config.device) for n, t in parts["best"].items()
    }
    best = record["best"] or {"step": None, "val_loss": math.inf}
    trainer.best_step, trainer.best_val_loss = best["step"], best["val_loss"]


def slots(trainer: Trainer) -> Iterator[tuple[str, nn.Parameter, Optimizer]]:
    """Every parameter that learns, with its name and its optimizer."""
    model = unwrapped(trainer.model)
    names = {p: name.replace("_orig_mod.", "") for name, p in model.named_parameters()}
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            for p in group["params"]:
                yield names[p], p, optimizer


def identity(trainer: Trainer) -> dict[str, Any]:
    """All that a resumed training must share with the one that was saved; where and how
    it is computed, `device` and `compile`, are not among it.
    """
    model = unwrapped(trainer.model)
    config = getattr(model, "config", None)
    values = {"vocab_size": model.vocab_size}
    if is_dataclass(config) and not isinstance(config, type):
        values = asdict(config)
    same: dict[str, Any] = {"model": type(model).__name__}
    same |= {f"model.{key}": value for key, value in values.items()}
    same |= {
        key: value
        for key, value in asdict(trainer.config).items()
        if key not in ("device", "compile")
    }
    same["start_ids"] = trainer.start_ids
    for name, ids in (("train_ids", trainer.train_ids), ("val_ids", trainer.val_ids)):
        digest = sha256(ids.numpy().tobytes()).hexdigest()
        same[name] = f"{len(ids)} ids, SHA-256 {digest}"
    return same
