"""What turns gradients into steps: AdamW with decay for matrices alone, and Muon.

Shapes: N matrices of one shape, R rows, K columns.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from inspect import unwrap
from math import inf
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from llmlib.training.config import TrainConfig

Quintic = tuple[float, float, float]
"""a, b, c of the polynomial a·x + b·x³ + c·x⁵."""

NEWTON_SCHULZ: tuple[Quintic, ...] = ((3.4445, -4.7750, 2.0315),) * 5
"""One polynomial five times (Jordan et al. 2024)."""

# Each polynomial is the best for the interval that the ones before it leave. The divisors are the
# paper's safety margin for bfloat16: values a little above 1 do not run away.
POLAR_EXPRESS: tuple[Quintic, ...] = tuple(
    (a / 1.01, b / 1.01**3, c / 1.01**5)
    for a, b, c in (
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    )
)
"""The first three polynomials of the Polar Express (Amsel et al. 2025). They lift the small
singular values fastest, and leave all of them between about 0.2 and 1.9.
"""


def orthogonalize(
    matrices: Float[Tensor, "N R K"], polynomials: Sequence[Quintic]
) -> Float[Tensor, "N R K"]:
    """Roughly the nearest matrix with orthonormal rows, or columns where those are
    fewer: U Vᵀ where the matrix is U S Vᵀ.

    An odd polynomial of a matrix, a·X + b·(XXᵀ)X + c·(XXᵀ)²X, applies the polynomial to
    its singular values and leaves U and V alone. The polynomials, one after another,
    lift all but the smallest values in (0, 1] into a band around 1. X(XᵀX) is the same
    as (XXᵀ)X: the smaller of the two squares is taken.
    """
    lengths = matrices.norm(dim=(1, 2), keepdim=True)
    x = matrices / lengths.clamp(min=1e-7)  # singular values at most 1
    tall = x.shape[1] > x.shape[2]
    for a, b, c in polynomials:
        gram = torch.bmm(x.mT, x) if tall else torch.bmm(x, x.mT)
        higher = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)  # b·XXᵀ + c·(XXᵀ)²
        left, right = (x, higher) if tall else (higher, x)
        x = torch.baddbmm(x, left, right, beta=a)  # a·X + (…)·X, or a·X + X·(…)
    return x


class AdamW(torch.optim.AdamW):
    """torch's, without what torch.compile wants around two methods: that imports the whole
    compiler, a second that every training here would begin with.
    """

    add_param_group = unwrap(Optimizer.add_param_group)
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))


class Muon(Optimizer):
    """Momentum, orthogonalized (Jordan et al. 2024): for each matrix W with gradient G

        M ← μ M + (1 - μ) G
        W ← (1 - ηλ) W - η √max(1, rows / columns) · orthogonalize((1 - μ) G + μ M)

    with rate η (`lr`), momentum μ (Nesterov's form) and decay λ. Every direction of the
    matrix moves alike, however small its gradient. Matrices of one shape are done in
    one batch; `dtype` is what the products are computed in.

    Raises ValueError for a parameter that is not a matrix, a rate or decay below 0 and
    a momentum outside [0, 1).
    """

    add_param_group = AdamW.add_param_group

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.02,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        polynomials: Sequence[Quintic] = POLAR_EXPRESS,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        defaults: dict[str, Any] = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "polynomials": polynomials,
            "dtype": dtype,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for name, end in {"lr": inf, "weight_decay": inf, "momentum": 1}.items():
                if not 0 <= group[name] < end:
                    raise ValueError(
                        f"{name} must be at least 0 and below {end}, got {group[name]}"
                    )
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        f"Muon moves matrices, got a parameter of shape {tuple(p.shape)}"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Moves every parameter that has a gradient; returns the closure's loss, if
        there is one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape].append(p)
            for matrices in by_shape.values():
                self._move(matrices, group)
        return loss

    def _move(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        """Moves matrices of one shape by the settings of their group."""
        lr, momentum = group["lr"], group["momentum"]
        for p in matrices:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        gradients = [p.grad for p in matrices if p.grad is not None]
        averages = [self.state[p]["momentum"] for p in matrices]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, averages, momentum)
        rows, columns = matrices[0].shape
        batch = torch.stack([matrix.to(group["dtype"]) for matrix in ahead])
        directions = orthogonalize(batch, group["polynomials"])
        for p, direction in zip(matrices, directions, strict=True):
            if group["weight_decay"]:
                p.mul_(1 - lr * group["weight_decay"])
            p.add_(direction, alpha=-lr * max(1, rows / columns) ** 0.5)


def build_optimizers(model: nn.Module, config: TrainConfig) -> list[Optimizer]:
    """The optimizers of a config, over the parameters of the model that are trained.

    "adamw" is one AdamW (Loshchilov & Hutter 2019). "muon" is Muon for the matrices
    inside the blocks, and AdamW, each at its own rate, for the embeddings, the head and
    the rest. Weight decay falls on matrices; vectors, norms and biases have none. Every
    group keeps its highest rate as "peak_lr".
    """
    matrices: list[Tensor] = []
    # By rate and decay.
    others = defaultdict[tuple[float, float], list[Tensor]](list)
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        if config.optimizer == "muon" and "blocks." in name and p.ndim == 2:
            matrices.append(p)
        else:
            decay = config.weight_decay if p.ndim >= 2 else 0.0
            others[adam_rate(name, config), decay].append(p)
    optimizers: list[Optimizer] = []
    if matrices:
        dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
        optimizers.append(
            Muon(
                matrices,
                config.learning_rate,
                momentum=config.momentum,
                weight_decay=config.weight_decay,
                dtype=dtype,
            )
        )
    if others:
        groups = [
            {"params": ps, "lr": lr, "weight_decay": decay}
            for (lr, decay), ps in others.items()
        ]
        optimizers.append(AdamW(groups, betas=(config.beta1, config.beta2), fused=True))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def step_at(share: float, optimizers: Iterable[Optimizer]) -> None:
    """Moves the weights, at this share of every group's highest rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = share * group["peak_lr"]
        optimizer.step()


def adam_rate(name: str, config: TrainConfig) -> float:
    """The highest Adam rate of the parameter of that name."""
    if config.optimizer == "adamw":
        return config.learning_rate
    if "embed" in name:
        return config.embedding_lr
    return config.head_lr if "lm_head" in name else config.vector_lr


def clip_gradient(model: nn.Module, max_norm: float) -> float:
    """Shortens the gradient of all parameters together to the length `max_norm`, unless
    that is 0; returns the length it had (Pascanu et al. 2013).
    """
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if max_norm:
        nn.utils.clip_grads_with_norm_(model.parameters(), max_norm, norm)
    return norm.item()
