"""The smallest language model: the next token depends on the last one alone.

Shapes: B batch, T time, V vocabulary.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from llmlib.text.counts import checked_count
from llmlib.text.ids import check_form, check_range


class Bigram(nn.Module):
    """A V × V table of logits: row i says what follows token i. It starts at zero,
    where every token is as likely.

    Raises ValueError unless vocab_size is positive, TypeError unless it is an integer;
    and at the call ValueError for ids of another shape or outside the vocabulary,
    TypeError for ids that are no tensor of integers.
    """

    block_size = 1

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.vocab_size = V = checked_count("vocab_size", vocab_size)
        self.table = nn.Parameter(torch.zeros(V, V))

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Logits for the token after each position."""
        check_form(ids)
        if ids.numel():
            check_range("ids", *ids.aminmax(), self.vocab_size)
        return self.table[ids]
