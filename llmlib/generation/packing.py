"""The same model with its weights stored for writing: one token at a time, each step
reads every weight once, and that reading is most of what it costs on a CPU.

    model  --packed-->  the same GPT, forward and parts, only its Linear layers are
                        "float32": HalvedLinear   (the same up to rounding; where that is faster)
                        "int8":    Int8Linear     (a quarter of the bytes)
                        and queries, keys and values come from one matrix

The weights of these layers are plain tensors, neither parameters nor buffers: they are
read at every step, and a module takes longer to find those.

Shapes: B batch, I inputs, O outputs.
"""

import copy
import time
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from llmlib.evaluation.models import device_of
from llmlib.model.attention import Attention
from llmlib.model.gpt import GPT

WEIGHTS = ("float32", "int8")
BLOCK = 16  # PyTorch's kernel reads so many inputs at once, without looking for the end


class HalvedLinear(nn.Module):
    """The same Linear layer; for a single row, it makes the two halves of its outputs
    as a batch of two products.

    The numbers are the same up to rounding. But MKL, which multiplies for PyTorch on
    most processors, reads the weights on AMD's up to twice as fast in a batch as in the
    product of one matrix with one vector. On Intel's it takes twice as long: see
    `halving_pays`.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()  # (O, I)
        self.n_outputs, n_inputs = weight.shape
        weight = F.pad(weight, (0, 0, 0, self.n_outputs % 2))  # an even number of rows
        self.weight, self.bias = weight[: self.n_outputs], linear.bias
        self.halves = weight.view(2, -1, n_inputs)

    def forward(self, x: Float[Tensor, "*B I"]) -> Float[Tensor, "*B O"]:
        """What the layer makes of each position."""
        n_inputs = x.shape[-1]
        if x.numel() != n_inputs:
            return F.linear(x, self.weight, self.bias)
        # a transposed view of the row: a contiguous column would go to a slower kernel
        columns = x.reshape(1, 1, n_inputs).expand(2, 1, n_inputs).mT
        y = torch.bmm(self.halves, columns).flatten()[: self.n_outputs]
        y = y.view(*x.shape[:-1], self.n_outputs)
        return y if self.bias is None else y + self.bias


@cache
def halving_pays() -> bool:
    """Whether HalvedLinear is faster than Linear on this processor, tried once in a
    process, which takes a few milliseconds.
    """
    linear = nn.utils.skip_init(nn.Linear, 768, 768, bias=False)  # draws nothing
    row = torch.ones(768)

    @torch.no_grad()
    def least_time(layer: nn.Module) -> float:
        taken = []
        for _ in range(20):
            started = time.perf_counter()
            layer(row)
            taken.append(time.perf_counter() - started)
        return min(taken)

    nn.init.ones_(linear.weight)
    return least_time(HalvedLinear(linear)) < least_time(linear)


class Int8Linear(nn.Module):
    """A Linear layer whose weights are whole numbers from -127 to 127, with one scale
    for each output::

        y_o = s_o Σ_i q_oi x_i + b_o,    s_o = max_i |w_oi| / 127,    q_oi = round(w_oi / s_o)

    Inputs, scales and results are rounded to bfloat16 (8 bits of precision), sums are
    float32. Scales from the largest weight of an output are those of LLM.int8()
    (Dettmers et al. 2022), which rounds the inputs to integers as well.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        w = linear.weight.detach().float()  # (O, I)
        scale = (w.abs().amax(1).clamp(min=1e-30) / 127).bfloat16()
        q = (w / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
        self.missing = -w.shape[1] % BLOCK  # inputs up to a whole block
        self.weight, self.scale = F.pad(q, (0, self.missing)), scale
        self.bias = linear.bias

    def forward(self, x: Float[Tensor, "*B I"]) -> Float[Tensor, "*B O"]:
        """What the layer makes of each position, in the type of x."""
        rows = x.reshape(-1, x.shape[-1])
        if self.missing:
            rows = F.pad(rows, (0, self.missing))
        # always a copy, since the kernel needs rows in one piece at aligned addresses
        rows = rows.to(torch.bfloat16, copy=True, memory_format=torch.contiguous_format)
        y = torch._weight_int8pack_mm(rows, self.weight, self.scale).type_as(x)
        y = y.view(*x.shape[:-1], len(self.scale))
        return y if self.bias is None else y + self.bias


class FusedQKVAttention(Attention):
    """Attention with one matrix for queries, keys and values: one product, not three."""

    qkv_proj: nn.Module

    def project(self, x: Float[Tensor, "B T C"]) -> tuple[Tensor, Tensor, Tensor]:
        """As Attention's, which it replaces."""
        keys = self.n_kv_head * self.head_size
        q, k, v = self.qkv_proj(x).split((self.n_head * self.head_size, keys, keys), -1)
        return q, k, v


def packed(model: GPT, weights: str = "int8") -> GPT:
    """A copy of the model that writes faster on a CPU, for `generate` and the like; not
    for training or saving.

    ``weights``: "float32" keeps every number. "int8" rounds the matrices, the head among
    them, and leaves embeddings, norms, the products of attention and the cache as they
    are: a fraction of a per cent in the loss.

    Raises TypeError for what is no GPT, ValueError for other weights and for a model
    that is not on the CPU.
    """
    if not isinstance(model, GPT):
        raise TypeError(f"only a GPT can be packed, not {model!r}")
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be {' or '.join(WEIGHTS)}, not {weights!r}")
    device = device_of(model)
    if device.type != "cpu":
        raise ValueError(f"packed models run on the CPU, and this one is on {device}")
    model = copy.deepcopy(model).eval()
    for part in model.modules():
        if type(part) is Attention:  # a subclass may have its own idea of q, k and v
            _fuse(part)
    for name, part in list(model.named_modules()):
        if isinstance(part, nn.Linear):
            if weights == "int8":
                model.set_submodule(name, Int8Linear(part))
            elif halving_pays():
                model.set_submodule(name, HalvedLinear(part))
        elif isinstance(part, nn.Dropout):  # which only takes time here
            model.set_submodule(name, nn.Identity())
    return model.requires_grad_(False)


def _fuse(attention: Attention) -> None:
    """Makes a FusedQKVAttention of it."""
    parts = [attention.q_proj, attention.k_proj, attention.v_proj]
    fused = nn.utils.skip_init(nn.Linear, 1, 1, bias=False)  # draws nothing
    fused.weight = nn.Parameter(torch.cat([part.weight for part in parts]))
    if parts[0].bias is not None:
        fused.bias = nn.Parameter(torch.cat([part.bias for part in parts]))
    del attention.q_proj, attention.k_proj, attention.v_proj
    attention.qkv_proj = fused
    attention.__class__ = FusedQKVAttention
