"""Where a token stands: learned, sinusoidal and rotary positions.

Attention by itself does not see order. Learned and sinusoidal positions are vectors
added to the token embeddings; rotary positions turn queries and keys by an angle that
grows with the position.

Shapes: B batch, T time, C channels, H heads, D head size.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LearnedPositions(nn.Embedding):
    """A table of one trained vector for each position (GPT, Radford et al. 2018)."""

    def forward(self, start: int, length: int) -> Float[Tensor, "T C"]:  # type: ignore[override]
        """The vectors of positions start … start + length - 1."""
        return self.weight.narrow(0, start, length)


class SinusoidalPositions(nn.Module):
    """Fixed waves of falling frequency (Vaswani et al. 2017, section 3.5).

    Channel 2i of position t is sin(t / 10000^(2i/C)), channel 2i + 1 the cosine of the
    same angle.
    """

    waves: Tensor

    def __init__(self, block_size: int, n_embd: int) -> None:
        super().__init__()
        angles = position_angles(block_size, n_embd, theta=10_000.0)
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :n_embd]
        self.register_buffer("waves", waves, persistent=False)

    def forward(self, start: int, length: int) -> Float[Tensor, "T C"]:
        """The vectors of positions start … start + length - 1."""
        return self.waves.narrow(0, start, length)


class RotaryPositions(nn.Module):
    """Turns pairs of channels by an angle proportional to the position (RoPE, Su et al.
    2021).

    Channel i is paired with channel i + D/2 (the half-split layout of Hugging Face's
    Llama) and turned by t / theta^(2i/D). The product of a turned query with a turned
    key then depends on their distance alone.

    Raises ValueError if head_size is odd.
    """

    cos: Tensor
    sin: Tensor

    def __init__(
        self, block_size: int, head_size: int, theta: float = 10_000.0
    ) -> None:
        super().__init__()
        if head_size % 2:
            raise ValueError(
                f"rotary positions turn pairs of channels: head_size {head_size} is not even"
            )
        angles = position_angles(block_size, head_size, theta)[:, None]
        cos, sin = angles.cos(), angles.sin()
        # (block_size, 1, D): the same for all heads
        self.register_buffer("cos", torch.cat([cos, cos], dim=-1), persistent=False)
        self.register_buffer("sin", torch.cat([-sin, sin], dim=-1), persistent=False)

    def forward(
        self, x: Float[Tensor, "B T H D"], start: int
    ) -> Float[Tensor, "B T H D"]:
        """x with the vector of each position turned; the first stands at position
        `start`.
        """
        cos, sin = (
            table.narrow(0, start, x.shape[1]) for table in (self.cos, self.sin)
        )
        # A pair (a, b) becomes (a cos - b sin, b cos + a sin): every channel needs its own
        # number and its partner's, which stands half a vector away.
        partner = x.roll(x.shape[-1] // 2, dims=-1)
        return x * cos + partner * sin


def position_angles(
    length: int, channels: int, theta: float
) -> Float[Tensor, "T half_C"]:
    """Angles t / theta^(2i/channels) for positions t and channel pairs i, computed in
    float64, returned in float32.
    """
    frequencies = theta ** (
        -torch.arange(0, channels, 2, dtype=torch.float64) / channels
    )
    return torch.outer(torch.arange(length, dtype=torch.float64), frequencies).float()
