"""The smallest language model: the next token depends on the last one alone.

Shapes: B batch, T time, V vocabulary.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from llmlib.text.ids import check_form, check_range


class Bigram(nn.Module):
    """A V × V table of logits: row i says what follows token i. It starts at zero,
    where every token is as likely.

    Raises ValueError unless vocab_size is positive, and at the call for ids of another
    shape or outside the vocabulary, TypeError for ids that are no tensor of integers.
    """

    block_size = 1

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        if vocab_size < 1:
            raise ValueError(f"vocab_size must be at least 1, got {vocab_size}")
        self.vocab_size = vocab_size
        self.table = nn.Parameter(torch.zeros(vocab_size, vocab_size))

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Logits for the token after each position."""
        check_form(ids)
        if ids.numel():
            check_range("ids", *ids.aminmax(), self.vocab_size)
        return self.table[ids]
