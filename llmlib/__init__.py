"""The small GPT of the book "Your Own GPT": each part in one place, in the book's order."""

from llmlib.model.attention import (
    Attention,
    causal,
    everything,
    sliding_window,
    strided,
)
from llmlib.model.bigram import Bigram
from llmlib.model.blocks import MLP, Block, LayerNorm, RMSNorm, SwiGLU
from llmlib.model.cache import KVCache
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.model.observe import observe
from llmlib.model.size import size_report

__all__ = [
    "GPT",
    "MLP",
    "Attention",
    "Bigram",
    "Block",
    "GPTConfig",
    "KVCache",
    "LayerNorm",
    "RMSNorm",
    "SwiGLU",
    "causal",
    "everything",
    "observe",
    "size_report",
    "sliding_window",
    "strided",
]
