"""What stands around attention: norms, feed-forward layers, and the block that joins
them to the residual stream.

Shapes: B batch, T time, C channels, F hidden channels of the feed-forward layer.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from llmlib.model.attention import Attention
from llmlib.model.cache import LONGEST_NGRAM, KVCache, LayerCache
from llmlib.text.counts import checked_count


class LayerNorm(nn.Module):
    """(x - mean) / √(variance + ε) · weight + bias, over the channels of each position
    (Ba et al. 2016).

    With affine=False there is neither weight nor bias; with bias=False only no bias.
    """

    def __init__(
        self, n_embd: int, *, affine: bool = True, bias: bool = False, eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_embd)) if affine else None
        self.bias = nn.Parameter(torch.zeros(n_embd)) if affine and bias else None
        self.eps = eps

    def forward(self, x: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """x with mean 0 and variance 1 at each position, then scaled and shifted."""
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """x / √(mean(x²) + ε) · weight, over the channels of each position (Zhang &
    Sennrich 2019).

    With affine=False there is no weight.
    """

    def __init__(self, n_embd: int, *, affine: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n_embd)) if affine else None
        self.eps = eps

    def forward(self, x: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """x with mean square 1 at each position, then scaled. Computed in float32, as
        Llama does.
        """
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        normed = (wide * scale).to(x.dtype)
        return normed if self.weight is None else self.weight * normed


def relu2(x: Tensor) -> Tensor:
    """max(x, 0)², the squared ReLU (So et al. 2021)."""
    return F.relu(x).square()


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU in the tanh approximation that GPT-2 was trained with (Hendrycks & Gimpel
    2016).
    """
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": gelu_tanh,
    "relu2": relu2,
}


class MLP(nn.Module):
    """Two linear layers with a nonlinearity between them: down(activation(up(x))), at
    each position alone.

    n_hidden defaults to 4 · n_embd. Raises ValueError for an activation other than
    gelu, gelu_tanh, relu2 and for sizes below 1, TypeError for those that are no integers.
    """

    def __init__(
        self,
        n_embd: int,
        n_hidden: int | None = None,
        *,
        activation: str = "gelu",
        dropout: float = 0.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {activation!r}; allowed: {', '.join(ACTIVATIONS)}"
            )
        n_embd = checked_count("n_embd", n_embd)
        n_hidden = 4 * n_embd if n_hidden is None else n_hidden
        n_hidden = checked_count("n_hidden", n_hidden)
        self.up_proj = nn.Linear(n_embd, n_hidden, bias=bias)
        self.activation = ACTIVATIONS[activation]
        self.down_proj = nn.Linear(n_hidden, n_embd, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """What the layer adds to each position."""
        return self.dropout(self.down_proj(self.activation(self.up_proj(x))))


class SwiGLU(nn.Module):
    """A gated feed-forward layer: down(silu(gate(x)) · up(x)) (Shazeer 2020).

    n_hidden defaults to 8/3 · n_embd rounded up to a multiple of 8: as many weights as
    an MLP's 4 · n_embd. Raises ValueError for sizes below 1, TypeError for those that are
    no integers.
    """

    def __init__(
        self,
        n_embd: int,
        n_hidden: int | None = None,
        *,
        dropout: float = 0.0,
        bias: bool = False,
    ) -> None:
        super().__init__()
        n_embd = checked_count("n_embd", n_embd)
        n_hidden = -(-n_embd // 3) * 8 if n_hidden is None else n_hidden
        n_hidden = checked_count("n_hidden", n_hidden)
        self.gate_proj = nn.Linear(n_embd, n_hidden, bias=bias)
        self.up_proj = nn.Linear(n_embd, n_hidden, bias=bias)
        self.down_proj = nn.Linear(n_hidden, n_embd, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*B C"]) -> Float[Tensor, "*B C"]:
        """What the layer adds to each position."""
        return self.dropout(self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x)))


class NGramEmbedding(nn.Embedding):
    """Vectors for the last two, three and four tokens of each position, looked up as that
    of the token itself is (Pagnoni et al. 2024).

    There is no room for a row for each of them: a hash of the tokens says which of the
    `rows` it is, and those with the same hash share one. Before the beginning stand zeros.
    """

    PRIME = 0x9E3779B1  # spreads its multiples over 32 bits (Knuth 1998, section 6.4)

    def __init__(self, rows: int, n_embd: int) -> None:
        super().__init__(rows, n_embd)

    def forward(
        self, ids: Int[Tensor, "B T"], cache: KVCache | None = None
    ) -> Float[Tensor, "B T C"]:
        """The sum of the three vectors of each position. With a cache, the ids before
        the first position are there.
        """
        before, time = LONGEST_NGRAM - 1, ids.shape[1]
        if cache is None:
            padded = F.pad(ids.long(), (before, 0))  # (B, before + T)
        else:
            padded = cache.append_ids(ids, before)
        code, rows = padded[:, before:], []
        for back in range(1, LONGEST_NGRAM):
            factor = pow(self.PRIME, back, 2**32)
            code = code + factor * padded[:, before - back : before - back + time]
            code = code % 2**32
            rows.append(code % self.num_embeddings)
        return super().forward(torch.stack(rows, dim=-1)).sum(dim=-2)


class Smear(nn.Module):
    """Adds to each position a learned mix, channel by channel, of the `reach` positions
    before it.

    A causal depthwise convolution on the embeddings; its weights start at zero, so that
    it begins as the identity.
    """

    def __init__(self, n_embd: int, reach: int) -> None:
        super().__init__()
        # weight[j] is for the position j + 1 before.
        self.weight = nn.Parameter(torch.zeros(reach, n_embd))

    def forward(
        self, x: Float[Tensor, "B T C"], cache: KVCache | None = None
    ) -> Float[Tensor, "B T C"]:
        """x with what came just before mixed in. With a cache, what came before the
        first position is there.
        """
        reach, time = len(self.weight), x.shape[1]
        if cache is None:
            padded = F.pad(x, (0, 0, reach, 0))  # (B, reach + T, C)
        else:
            padded = cache.append_embedded(x, reach)
        for j in range(reach):
            x = x + self.weight[j] * padded[:, reach - 1 - j : reach - 1 - j + time]
        return x


class Block(nn.Module):
    """One layer of the transformer: attention and feed-forward, each adding to the
    residual stream what it makes of it.

    The norms stand before the parts and not after them ("pre-norm", Radford et al.
    2019), so that the stream itself runs from the embeddings to the logits with nothing
    but additions on its way.
    """

    def __init__(
        self,
        attention: Attention,
        feed_forward: nn.Module,
        attention_norm: nn.Module,
        feed_forward_norm: nn.Module,
    ) -> None:
        super().__init__()
        self.attention_norm, self.attention = attention_norm, attention
        self.feed_forward_norm, self.feed_forward = feed_forward_norm, feed_forward

    def forward(
        self, x: Float[Tensor, "B T C"], cache: LayerCache | None = None
    ) -> Float[Tensor, "B T C"]:
        """The residual stream after this block."""
        x = x + self.attention(self.attention_norm(x), cache)
        return x + self.feed_forward(self.feed_forward_norm(x))
