"""How a model is trained, as plain numbers and names that can be written to JSON."""

from dataclasses import dataclass, replace

import torch

from llmlib.model.config import check_choices, check_types

CHOICES = {
    "optimizer": ("adamw", "muon"),
    "schedule": ("cosine", "trapezoid"),
    "precision": ("auto", "float32", "bfloat16"),
}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training depends on, besides the model and the ids.

    Length: `max_iters` steps, each over `batch_size · gradient_accumulation_steps`
    pieces of `block_size` ids (by default the model's), a `batch_size` of them in
    memory at a time; validation every `eval_interval` steps and after the last.

    Rates: `learning_rate` is the highest. It is reached in `warmup_iters` steps (by
    default a tenth of all, at most 100); then "cosine" falls to `min_lr`, and
    "trapezoid" stays and falls to zero over the last `cooldown` share of the steps.
    With optimizer "muon", `learning_rate` and `momentum` are those of the matrices
    inside the blocks, and the embeddings, the head and the rest (vectors, smear) learn
    by Adam at `embedding_lr` (which is also that of the norm right after the
    embeddings), `head_lr` and `vector_lr`; "adamw" has one rate for all.

    `weight_decay` falls on matrices alone; `beta1` and `beta2` are Adam's. Gradients
    longer than `grad_clip` are shortened to it; 0 leaves them. `precision` "auto" is
    bfloat16 where the processor multiplies it fast; `device` "auto" is the first of
    cuda, mps, cpu. `compile` puts the model through torch.compile, which on a CPU needs
    a C++ compiler and about a minute before the first step: for long trainings.

    Raises ValueError, or TypeError for a wrong type, naming the value and what is
    allowed.
    """

    max_iters: int = 2000
    batch_size: int = 12
    block_size: int | None = None
    gradient_accumulation_steps: int = 1
    learning_rate: float = 1e-3
    min_lr: float = 0.0
    warmup_iters: int | None = None
    schedule: str = "cosine"
    cooldown: float = 0.6
    optimizer: str = "adamw"
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    momentum: float = 0.95
    embedding_lr: float = 0.02
    head_lr: float = 0.01
    vector_lr: float = 0.01
    grad_clip: float = 1.0
    eval_interval: int = 250
    precision: str = "auto"
    device: str = "auto"
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        for name in (
            "max_iters",
            "batch_size",
            "block_size",
            "gradient_accumulation_steps",
            "eval_interval",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("learning_rate", "embedding_lr", "head_lr", "vector_lr"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name} must be positive and finite, got {getattr(self, name)}"
                )
        for name in ("weight_decay", "grad_clip"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name} must be at least 0 and finite, got {getattr(self, name)}"
                )
        for name in ("beta1", "beta2", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, got {getattr(self, name)}"
                )
        if not 0 <= self.min_lr <= self.learning_rate:
            raise ValueError(
                f"min_lr must lie between 0 and learning_rate={self.learning_rate}, "
                f"got {self.min_lr}"
            )
        if self.min_lr and self.schedule == "trapezoid":
            raise ValueError(
                f"schedule='trapezoid' falls to zero and takes no min_lr, got {self.min_lr}"
            )
        if not 0 <= self.warmup_steps < self.max_iters:
            raise ValueError(
                f"warmup_iters must be at least 0 and below max_iters={self.max_iters}, "
                f"got {self.warmup_iters}"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie between 0 and 2**32 - 1, got {self.seed}")
        if not 0 < self.cooldown <= 1:
            raise ValueError(
                f"cooldown must be above 0 and at most 1, got {self.cooldown}"
            )
        check_choices(self, CHOICES)
        check_device(self.device)

    @property
    def warmup_steps(self) -> int:
        """warmup_iters; a tenth of all steps, at most 100, where that is not given."""
        default = min(100, self.max_iters // 10)
        return default if self.warmup_iters is None else self.warmup_iters

    def resolved(self) -> "TrainConfig":
        """The same config with the device and precision of this machine in place of
        "auto", and the number of warm-up steps.
        """
        device = best_device() if self.device == "auto" else self.device
        precision = (
            fast_precision(device) if self.precision == "auto" else self.precision
        )
        return replace(
            self, device=device, precision=precision, warmup_iters=self.warmup_steps
        )


def check_device(device: str) -> None:
    """ValueError, naming it, unless the device is to be had here, or "auto"."""
    if device == "auto":
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device {device!r} is not to be had here, 'auto' and 'cpu' are: {reason}"
        ) from None


def best_device() -> str:
    """The first of cuda, mps and cpu that is there."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def fast_precision(device: str) -> str:
    """bfloat16 where the device multiplies it faster than float32: Nvidia since
    Ampere, CPUs with AVX512-BF16 or AMX.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = kind == "cpu" and (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    return "bfloat16" if fast else "float32"
