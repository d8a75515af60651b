"""How large a model is: parameters, arithmetic and memory, part by part, before any of
it is allocated.
"""

from dataclasses import dataclass

import torch
from torch import nn

from llmlib.model.attention import Attention
from llmlib.model.cache import LONGEST_NGRAM
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT

# The line of the report that a parameter belongs to: the first of these its name contains.
PARTS = {
    "embed_tokens": "token embedding",
    "embed_ngrams": "n-gram embedding",
    "position_embedding": "position embedding",
    "attention_norm": "norms",
    "feed_forward_norm": "norms",
    "attention": "attention",
    "feed_forward": "feed-forward",
    "smear": "smear",
    "norm": "norms",
    "lm_head": "output head",
}


@dataclass(frozen=True)
class PartSize:
    """One line of the report: a part, its parameters, and the FLOPs (multiplications
    and additions) of its matrix products for one token.
    """

    part: str
    parameters: int
    flops_per_token: int


@dataclass(frozen=True)
class SizeReport:
    """What a model costs. FLOPs are those of a forward pass at the full context;
    training costs three times as many.
    """

    config: GPTConfig
    parts: tuple[PartSize, ...]

    @property
    def parameters(self) -> int:
        """All parameters; a tied head counts once, with the embedding."""
        return sum(part.parameters for part in self.parts)

    @property
    def flops_per_token(self) -> int:
        """FLOPs of the forward pass for one token at the full context."""
        return sum(part.flops_per_token for part in self.parts)

    @property
    def weight_bytes(self) -> int:
        """Memory of the weights in float32."""
        return 4 * self.parameters

    @property
    def training_bytes(self) -> int:
        """Memory of weights, gradients and AdamW's two moments in float32, without
        activations.
        """
        return 4 * self.weight_bytes

    def cache_bytes(self, bytes_per_number: int = 4) -> int:
        """Memory of a KV cache for one text of the full context: keys and values, with
        a smear the embeddings, 4 bytes a number in float32, 2 in bfloat16; with a table
        of n-grams the ids, 8 bytes each.
        """
        config = self.config
        a_position = 2 * config.n_layer * config.kv_heads * config.head_size
        numbers = config.block_size * a_position
        if config.smear:
            numbers += (config.smear + config.block_size) * config.n_embd
        ids = LONGEST_NGRAM - 1 + config.block_size if config.ngram_rows else 0
        return numbers * bytes_per_number + 8 * ids

    def __str__(self) -> str:
        rows = [
            (part.part, part.parameters, part.flops_per_token) for part in self.parts
        ]
        rows.append(("all", self.parameters, self.flops_per_token))
        lines = [
            f"{'part':<20}{'parameters':>14}{'share':>8}{'FLOPs/token':>16}{'share':>8}"
        ]
        for name, parameters, flops in rows:
            shares = parameters / self.parameters, flops / self.flops_per_token
            lines.append(
                f"{name:<20}{parameters:>14,}{shares[0]:>8.1%}{flops:>16,}{shares[1]:>8.1%}"
            )
        lines.append(
            f"in float32: {self.weight_bytes / 1e6:,.1f} MB of weights, "
            f"{self.training_bytes / 1e6:,.1f} MB to train, "
            f"{self.cache_bytes() / 1e6:,.1f} MB of cache for one text"
        )
        return "\n".join(lines)


def size_report(config: GPTConfig) -> SizeReport:
    """The size of the model that `config` describes, counted on the model itself
    without allocating its weights.
    """
    with torch.device("meta"):
        model = GPT(config)
    parameters = dict.fromkeys(PARTS.values(), 0)
    flops = dict.fromkeys(PARTS.values(), 0)
    for name, weight in model.named_parameters():
        parameters[part_of(name)] += weight.numel()
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            flops[part_of(name)] += 2 * module.weight.numel()
        elif isinstance(module, Attention):  # Q Kᵀ and weights · V: 2 · T · C each
            flops[part_of(name)] += 4 * config.block_size * config.n_embd
    return SizeReport(
        config,
        tuple(
            PartSize(p, parameters[p], flops[p])
            for p in parameters
            if parameters[p] or flops[p]
        ),
    )


def part_of(name: str) -> str:
    """The line of the report for a parameter or module of this name."""
    return next(part for key, part in PARTS.items() if key in name)
