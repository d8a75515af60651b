"""The training loop: one step after another, the same however often it is
interrupted.
"""

import math
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor, nn

from llmlib.evaluation.metrics import mean_loss, mean_loss_at
from llmlib.evaluation.models import unwrapped
from llmlib.text.batches import batch_at, document_starts
from llmlib.training import checkpoints
from llmlib.training.config import TrainConfig
from llmlib.training.gradients import GradientWorker
from llmlib.training.ids import checked_ids
from llmlib.training.memory import keep_freed_memory
from llmlib.training.optimizers import build_optimizers, clip_gradient, step_at
from llmlib.training.schedules import multiplier
from llmlib.training.steps import StepLog, TrainingDivergedError
from llmlib.training.weights import fill, weights


class Trainer:
    """Trains a model: an iterator, each `next` of which makes one whole step and gives
    its StepLog.

    The model learns in place. Between steps it is up to date, in float32 and eval mode.
    With precision "bfloat16" a twin of it in bfloat16 computes the gradients.

    Rows begin anywhere in the ids. With `start_ids` (a tokenizer's own, say), every row
    begins where a document does, at its start_ids. In training one document in eight is
    read from just after them, so that the model also learns to read a prompt without
    them. All documents are used once before any is used again.

    Batches and dropout depend on the config's seed and the step alone, and torch's global
    generator is left as it was, so a training that is saved and resumed goes on bit for
    bit as if it had never stopped (same machine, torch and number of threads). The
    weights of the best validation loss so far are kept aside: `best_step`,
    `best_val_loss`, `best_model()`.

    A step that Ctrl-C interrupts is made again by the next `next`, and so is a
    validation; if it was moving the weights already, `next` and `save` raise
    RuntimeError until `resume`.

    Raises ValueError for ids outside the vocabulary, ids too few for one context, a
    context that the model does not read, a model without parameters to train and, in
    bfloat16, one that saves more than parameters; TypeError for ids that are not
    integers. A step raises TrainingDivergedError, naming
    itself, where its loss or gradient is not finite, before it moves the weights, or
    where the validation loss is not, after it has moved them.
    """

    def __init__(
        self,
        model: nn.Module,
        train_ids: Int[Tensor, " N"] | list[int],
        val_ids: Int[Tensor, " M"] | list[int],
        config: TrainConfig,
        start_ids: Sequence[int] | None = None,
    ) -> None:
        if not any(p.requires_grad for p in model.parameters()):
            raise ValueError(
                "the model has no parameters to train: all are frozen, as in a packed model"
            )
        config = config.resolved()
        keep_freed_memory()
        self.block_size: int = config.block_size or unwrapped(model).block_size
        self.config = replace(config, block_size=self.block_size)
        self.train_ids = checked_ids("train_ids", train_ids, model, self.block_size + 1)
        self.val_ids = checked_ids("val_ids", val_ids, model, 2)
        self.start_ids = None if start_ids is None else [int(i) for i in start_ids]
        self.starts = self.val_starts = None
        if self.start_ids is not None:
            room = self.block_size + 1
            self.val_starts = document_starts(self.val_ids, self.start_ids, room)
            self.starts = document_starts(self.train_ids, self.start_ids, room)
            self.starts[::8] += len(self.start_ids)  # as a bare prompt is
        self.model = model.to(device=config.device, dtype=torch.float32).eval()
        # A context that the model cannot read is refused by the model itself, now.
        with torch.no_grad():
            model(self.train_ids[None, : self.block_size].to(config.device))
        self._worker = GradientWorker(self.model, config)
        self.optimizers = build_optimizers(model, config)
        self.step = 0
        self.best_step: int | None = None
        self.best_val_loss = math.inf
        self.best_weights: dict[str, Tensor] = {}
        self._halfway = False  # through moving the weights
        self._pending: StepLog | None = (
            None  # the step whose validation is still to come
        )
        self._folders: set[Path] = set()  # where this training has its checkpoints

    def __iter__(self) -> "Trainer":
        return self

    def __next__(self) -> StepLog:
        self._check_whole()
        if self._pending is None:  # else its validation was interrupted
            if self.step >= self.config.max_iters:
                raise StopIteration
            self._pending = self._make_step()
        log = self._pending
        last = log.step == self.config.max_iters
        if last or log.step % self.config.eval_interval == 0:
            log = replace(log, val_loss=self._validate())
        self._pending = None
        return log

    def _make_step(self) -> StepLog:
        """Moves the weights once; the log has no validation loss yet."""
        config, started = self.config, time.perf_counter()
        loss = self._differentiate()
        norm = clip_gradient(self.model, config.grad_clip)
        if not math.isfinite(loss) or not math.isfinite(norm):
            number = self.step + 1
            raise TrainingDivergedError(
                f"step {number} has the loss {loss} and a gradient of length {norm}: "
                f"the training stops, with the weights of step {self.step}"
            )
        factor = multiplier(self.step, config)
        self._halfway = True
        step_at(factor, self.optimizers)
        self.step, self._halfway = self.step + 1, False
        return StepLog(
            step=self.step,
            loss=loss,
            val_loss=None,
            learning_rate=factor * config.learning_rate,
            grad_norm=norm,
            tokens=self.tokens_per_step,
            seconds=time.perf_counter() - started,
        )

    def _differentiate(self) -> float:
        """Leaves the gradient of the step's mean loss in the model; returns the loss."""
        config = self.config
        pieces = config.gradient_accumulation_steps
        inputs, targets = batch_at(
            self.train_ids,
            config.batch_size * pieces,
            self.block_size,
            step=self.step,
            seed=config.seed,
            starts=self.starts,
        )
        devices = [config.device] if config.device.startswith("cuda") else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(1_000_003 * config.seed + self.step)  # for dropout
            return self._worker.differentiate(
                inputs.to(config.device), targets.to(config.device), pieces
            )

    def _check_whole(self) -> None:
        """RuntimeError if the latest step was left while it was moving the weights."""
        if self._halfway:
            raise RuntimeError(
                f"step {self.step + 1} was interrupted halfway: resume from a "
                "checkpoint, or build a new Trainer"
            )

    def _validate(self) -> float:
        """The loss over all validation ids, with start_ids over the first block_size of
        each document; if it is the best so far, the weights are kept.
        """
        model, ids, block_size = self.model, self.val_ids, self.block_size
        if self.val_starts is None:
            val_loss = mean_loss(model, ids, block_size=block_size)
        else:
            val_loss = mean_loss_at(model, ids, self.val_starts, block_size)
        if not math.isfinite(val_loss):
            self._pending = None  # it would not be finite the next time either
            raise TrainingDivergedError(
                f"after step {self.step} the validation loss is {val_loss}"
            )
        if val_loss < self.best_val_loss:
            kept = {n: t.clone() for n, t in weights(self.model).items()}
            self.best_step, self.best_val_loss = self.step, val_loss
            self.best_weights = kept
        return val_loss

    def best_model(self) -> nn.Module:
        """A copy of the model, with the weights of the best validation loss; ValueError
        before the first.
        """
        if self.best_step is None:
            raise ValueError(f"there is no validation loss yet at step {self.step}")
        model = deepcopy(unwrapped(self.model))
        fill(model, self.best_weights)
        return model

    @property
    def tokens_per_step(self) -> int:
        """Ids predicted in one step."""
        config = self.config
        rows = config.batch_size * config.gradient_accumulation_steps
        return rows * self.block_size

    @property
    def checkpoint_bytes(self) -> int:
        """At most the size of a checkpoint: weights, the best weights, and two averages
        of each, besides names and numbers.
        """
        return sum(16 * p.numel() + 2048 for p in self.model.parameters()) + 2**16

    def save(self, dir: str | Path) -> Path:
        """Writes a checkpoint into a folder, keeps the one before it, removes older
        ones; returns its path.

        Raises FolderInUseError if another process trains into the folder,
        CannotWriteError if there is no room or permission, ValueError if the folder
        holds checkpoints that this training neither wrote nor resumed from. What was
        there then stays.
        """
        self._check_whole()
        folder = Path(dir)
        mine = folder.resolve() in self._folders
        path = checkpoints.write_checkpoint(folder, *checkpoints.state(self), mine=mine)
        self._folders.add(folder.resolve())
        return path

    def resume(self, dir: str | Path) -> "Trainer":
        """Goes back to the newest checkpoint of a folder, or to the one that is given.

        Raises DamagedFileError, naming the newest whole checkpoint before it, if it is
        not what was written; ValueError, naming both values, if it is from another
        model, config, data or precision (`device` and `compile` may differ). Nothing is
        changed then.
        """
        path, tensors, record = checkpoints.read_checkpoint(Path(dir))
        checkpoints.restore(self, tensors, record, path)
        self._halfway, self._pending = False, None
        self._folders.add(path.parent.resolve())
        return self
