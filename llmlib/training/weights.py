"""The weights of a model by name: taken out, compared, put back."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from llmlib.evaluation.models import unwrapped


def weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters and saved buffers of a model by name, each tensor once (so that a
    tied head is left out), and without the prefixes of compiled or distributed models.

    The tensors are the model's own, detached: writing into them changes the model.
    """
    named: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in unwrapped(model).state_dict(keep_vars=True).items():
        named.setdefault(id(tensor), (name.replace("_orig_mod.", ""), tensor.detach()))
    return dict(named.values())


def check_fit(
    expected: Mapping[str, Tensor], given: Mapping[str, Tensor], origin: object
) -> None:
    """ValueError, naming both sides, unless the tensors have the names and shapes
    that are expected.
    """
    for name in sorted(expected.keys() | given.keys()):
        if name not in given:
            raise ValueError(
                f"{origin} lacks {name}, which the model has as {tuple(expected[name].shape)}"
            )
        if name not in expected:
            raise ValueError(
                f"{origin} has {name} {tuple(given[name].shape)}, which the model lacks"
            )
        if given[name].shape != expected[name].shape:
            raise ValueError(
                f"{name} is {tuple(given[name].shape)} in {origin} "
                f"and {tuple(expected[name].shape)} in the model"
            )


def stored(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors as `dtype`, for a file. ValueError, naming the first, for one with
    NaN or infinities, and for one that the dtype is too small for.
    """
    narrowed = {name: t.to(dtype).contiguous() for name, t in tensors.items()}
    for name, tensor in narrowed.items():
        if not tensor.float().isfinite().all():
            peak = tensors[name].abs().max()
            if not peak.isfinite():
                raise ValueError(f"{name} holds {peak:g}, its numbers must be finite")
            room = peak <= torch.finfo(torch.bfloat16).max
            raise ValueError(
                f"{name} reaches {peak:g}, {dtype} only {torch.finfo(dtype).max:g}"
                + ("; torch.bfloat16 has room for it" if room else "")
            )
    return narrowed


def fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copies tensors, that fit, into the model, from any device and precision to the
    model's own.
    """
    for name, tensor in weights(model).items():
        tensor.copy_(tensors[name])
