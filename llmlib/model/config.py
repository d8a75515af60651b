"""The shape of a GPT, as plain numbers and names that can be written to JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any

from llmlib.model.attention import check_heads

CHOICES = {
    "positions": ("learned", "sinusoidal", "rotary", "none"),
    "norm": ("layernorm", "rmsnorm"),
    "feed_forward": ("gelu", "gelu_tanh", "relu2", "swiglu"),
    "attention": ("causal", "sliding_window", "strided", "everything"),
    "init": ("scaled_normal", "zero_output"),
}


@dataclass(frozen=True)
class GPTConfig:
    """What a GPT is made of. The defaults after n_embd are nanoGPT's: GPT-2 without
    biases, and with the exact GELU in place of the one by tanh.

    Sizes: `vocab_size` tokens, contexts of at most `block_size` of them, `n_layer`
    blocks of `n_head` heads (`n_kv_head` of keys and values, by default as many) over
    `n_embd` channels, `n_hidden` in the feed-forward layer (by default 4 · n_embd, or
    8/3 · n_embd for swiglu).

    Parts, by name: see CHOICES. `window` and `stride` belong to the attention masks of
    those names; `rope_theta` is the base of rotary positions. `norm_affine`: norms have
    weights. `embedding_norm`: one more norm after the embedding. `ngram_rows`: rows of
    a table with vectors for the last two, three and four tokens, 0 for none. `smear`:
    how many tokens before its own each embedding mixes in. `tie_word_embeddings`: the output
    head is the embedding table. `init`: "scaled_normal" as in GPT-2; "zero_output"
    starts every block and the head at zero.

    Raises ValueError, or TypeError for a wrong type, naming the value and what is
    allowed.
    """

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    n_kv_head: int | None = None
    n_hidden: int | None = None
    dropout: float = 0.0
    bias: bool = False
    positions: str = "learned"
    rope_theta: float = 10_000.0
    norm: str = "layernorm"
    norm_affine: bool = True
    embedding_norm: bool = False
    feed_forward: str = "gelu"
    attention: str = "causal"
    window: int = 0
    stride: int = 0
    ngram_rows: int = 0
    smear: int = 0
    tie_word_embeddings: bool = True
    init: str = "scaled_normal"

    def __post_init__(self) -> None:
        check_types(self)
        for name in (
            "vocab_size",
            "block_size",
            "n_layer",
            "n_head",
            "n_embd",
            "n_kv_head",
            "n_hidden",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        check_heads(self.n_embd, self.n_head, self.kv_heads)
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout must be at least 0 and below 1, got {self.dropout}"
            )
        if not 0 < self.rope_theta < float("inf"):
            raise ValueError(
                f"rope_theta must be positive and finite, got {self.rope_theta}"
            )
        for name in ("ngram_rows", "smear"):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        check_choices(self, CHOICES)
        self._check_combinations()

    def _check_combinations(self) -> None:
        if self.positions == "rotary" and self.head_size % 2:
            raise ValueError(
                f"rotary positions need an even head size, got n_embd / n_head = {self.head_size}"
            )
        masks = {"sliding_window": {"window"}, "strided": {"window", "stride"}}
        needed = masks.get(self.attention, set())
        for name in ("window", "stride"):
            value = getattr(self, name)
            if name in needed and value < 1:
                raise ValueError(
                    f"attention={self.attention!r} needs {name} of at least 1, got {value}"
                )
            if name not in needed and value != 0:
                raise ValueError(
                    f"attention={self.attention!r} takes no {name}, got {value}"
                )
        if self.init == "zero_output" and self.tie_word_embeddings:
            raise ValueError(
                "init='zero_output' starts the head at zero: it needs tie_word_embeddings=False"
            )

    @property
    def head_size(self) -> int:
        """Channels of one head."""
        return self.n_embd // self.n_head

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values: n_kv_head, or n_head where that is not given."""
        return self.n_head if self.n_kv_head is None else self.n_kv_head


def check_types(config: Any) -> None:
    """TypeError unless each field of a dataclass holds what it is annotated with; an int
    is a float too, and an integer of NumPy becomes an int.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Integral) and not isinstance(value, int):
            value = int(value)  # JSON knows no other
            object.__setattr__(config, field.name, value)  # configs are frozen
        kinds: Any = int | float if field.type is float else field.type
        is_bool = isinstance(value, bool)  # which Python counts among the ints
        if is_bool != (field.type is bool) or not isinstance(value, kinds):
            kind = getattr(field.type, "__name__", field.type)
            raise TypeError(f"{field.name} must be {kind}, got {value!r}")


def check_choices(config: Any, choices: Mapping[str, tuple[str, ...]]) -> None:
    """ValueError unless each field with choices holds one of them."""
    for name, allowed in choices.items():
        value = getattr(config, name)
        if value not in allowed:
            raise ValueError(f"unknown {name} {value!r}; allowed: {', '.join(allowed)}")
