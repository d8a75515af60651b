"""The GPT: embeddings, a stack of blocks, a head. A frozen config becomes parts here
and nowhere else.

Shapes: B batch, T time, C channels, V vocabulary.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from llmlib.model.attention import (
    Attention,
    Mask,
    causal,
    everything,
    sliding_window,
    strided,
)
from llmlib.model.blocks import (
    MLP,
    Block,
    LayerNorm,
    NGramEmbedding,
    RMSNorm,
    Smear,
    SwiGLU,
)
from llmlib.model.cache import KVCache
from llmlib.model.config import GPTConfig
from llmlib.model.positions import (
    LearnedPositions,
    RotaryPositions,
    SinusoidalPositions,
)
from llmlib.text.ids import check_form, check_range


class GPT(nn.Module):
    """A decoder-only transformer (Radford et al. 2018, 2019): token ids in, and out, for
    each of them, logits for the token that comes after it.

    Training, loss and sampling are elsewhere; this class only predicts.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.n_embd)
        self.embed_ngrams = None
        if config.ngram_rows:
            self.embed_ngrams = NGramEmbedding(config.ngram_rows, config.n_embd)
        self.position_embedding = make_position_embedding(config)
        self.embedding_norm = make_norm(config) if config.embedding_norm else None
        self.smear = Smear(config.n_embd, config.smear) if config.smear else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(make_block(config) for _ in range(config.n_layer))
        self.norm = make_norm(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.embed_tokens.weight
        initialise(self)

    @property
    def vocab_size(self) -> int:
        """How many tokens it knows."""
        return self.config.vocab_size

    @property
    def block_size(self) -> int:
        """The longest context it reads, in tokens."""
        return self.config.block_size

    def forward(
        self, ids: Int[Tensor, "B T"], cache: KVCache | None = None
    ) -> Float[Tensor, "B T V"]:
        """Logits for the token after each position.

        With a cache, ids continue the texts it holds, and it is advanced by T. Raises
        ValueError for ids of another shape or outside the vocabulary, for more
        positions than block_size and for a cache of another batch size, TypeError for
        ids that are no tensor of integers.
        """
        x = self.embed(ids, cache)
        for i, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache.layer(i))
        if cache is not None:
            cache.advance(ids.shape[1])
        return self.lm_head(self.norm(x))

    def embed(
        self, ids: Int[Tensor, "B T"], cache: KVCache | None = None
    ) -> Float[Tensor, "B T C"]:
        """The residual stream before the first block: what each token is, and where."""
        check_form(ids)
        if cache is not None and len(ids) != cache.batch_size:
            raise ValueError(
                f"ids has {len(ids)} rows, the cache room for {cache.batch_size}"
            )
        start, length = 0 if cache is None else cache.length, ids.shape[1]
        if start + length > self.block_size:
            raise ValueError(
                f"{start} + {length} positions do not fit into block_size={self.block_size}"
            )
        elsewhere = ids.device.type not in ("cpu", "meta") and ids.numel()
        if elsewhere and not torch.compiler.is_compiling():
            # On a GPU an id outside the table kills the whole CUDA context: look first.
            self._check(ids)
        try:
            x = self.embed_tokens(ids)
        except IndexError:
            self._check(ids)
            raise
        if self.embed_ngrams is not None:
            x = x + self.embed_ngrams(ids, cache)
        if self.position_embedding is not None:
            x = x + self.position_embedding(start, length)
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        if self.smear is not None:
            x = self.smear(x, cache)
        return self.dropout(x)

    def _check(self, ids: Int[Tensor, "B T"]) -> None:
        low, high = torch.stack(ids.aminmax()).tolist()  # one wait for the device
        check_range("ids", low, high, self.vocab_size)


def make_position_embedding(config: GPTConfig) -> nn.Module | None:
    """The vectors added to the embeddings, where positions come in that way."""
    if config.positions == "learned":
        return LearnedPositions(config.block_size, config.n_embd)
    if config.positions == "sinusoidal":
        return SinusoidalPositions(config.block_size, config.n_embd)
    return None


def make_norm(config: GPTConfig) -> nn.Module:
    """One norm, of the kind the config names."""
    if config.norm == "rmsnorm":
        return RMSNorm(config.n_embd, affine=config.norm_affine)
    return LayerNorm(config.n_embd, affine=config.norm_affine, bias=config.bias)


def make_mask(config: GPTConfig) -> Mask:
    """Who sees whom, as the config names it."""
    masks = {
        "causal": lambda: causal,
        "everything": lambda: everything,
        "sliding_window": lambda: sliding_window(config.window),
        "strided": lambda: strided(config.window, config.stride),
    }
    return masks[config.attention]()


def make_block(config: GPTConfig) -> Block:
    """One block with all its parts."""
    rotary = None
    if config.positions == "rotary":
        rotary = RotaryPositions(config.block_size, config.head_size, config.rope_theta)
    switches: Any = {"dropout": config.dropout, "bias": config.bias}
    attention = Attention(
        config.n_embd,
        config.n_head,
        config.n_kv_head,
        mask=make_mask(config),
        rotary=rotary,
        **switches,
    )
    if config.feed_forward == "swiglu":
        feed_forward: nn.Module = SwiGLU(config.n_embd, config.n_hidden, **switches)
    else:
        feed_forward = MLP(
            config.n_embd, config.n_hidden, activation=config.feed_forward, **switches
        )
    return Block(attention, feed_forward, make_norm(config), make_norm(config))


@torch.no_grad()
def initialise(model: GPT) -> None:
    """Draws the weights a training starts from, from torch's generator.

    "scaled_normal" is GPT-2's: standard deviation 0.02, and for the two layers that
    write into the residual stream 0.02 / √(2 · n_layer), so that the stream does not
    grow with depth. "zero_output": embeddings 1 (but learned positions 0.02: as large as
    the words, they would be noise on each), matrices 1 / √(inputs), and zero for the
    layers that write into the stream, for the head and for the table of n-grams.
    """
    config = model.config
    scaled = config.init == "scaled_normal"
    for name, part in model.named_modules():
        writes = name.endswith(("o_proj", "down_proj"))
        if isinstance(part, NGramEmbedding) and not scaled:
            part.weight.zero_()
        elif isinstance(part, nn.Embedding):
            small = scaled or name == "position_embedding"
            part.weight.normal_(std=0.02 if small else 1.0)
        elif isinstance(part, nn.Linear):
            if part.bias is not None:
                part.bias.zero_()
            if scaled:
                std = 0.02 / (2 * config.n_layer) ** 0.5 if writes else 0.02
                part.weight.normal_(std=std)
            elif writes or name == "lm_head":
                part.weight.zero_()
            else:
                part.weight.normal_(std=part.in_features**-0.5)
