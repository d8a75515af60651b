"""The small GPT of the book "Your Own GPT": each part in one place, in the book's order."""

import os
from importlib import import_module
from typing import Any

# PyTorch's threads wait for each other hundreds of times a step. GNU's OpenMP lets them wait
# busily for some ten milliseconds, which on a core that has other work, too, makes small models
# ten times slower; a tenth of a millisecond is as fast on a free one. Read when PyTorch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "4000")

from llmlib.evaluation.dependences import (
    chance_accuracy,
    choose_candidates,
    dependence_accuracy,
)
from llmlib.evaluation.metrics import (
    bits_per_character,
    distance_to_floor,
    mean_loss,
    next_token_loss,
    perplexity,
    token_bits,
)
from llmlib.evaluation.ngrams import NGram
from llmlib.generation.decoding import beam_search, generate, generate_batch, write
from llmlib.generation.packing import packed
from llmlib.generation.sampling import Sampling
from llmlib.inside.heads import (
    ablate_heads,
    attention_of,
    gathered_of,
    source_shares,
    uniform_shares,
)
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
from llmlib.show.bertviz_views import bertviz_view
from llmlib.show.curves import plot_losses
from llmlib.show.diagrams import plot_model
from llmlib.show.grids import plot_grid
from llmlib.show.plots import (
    plot_attention,
    plot_bars,
    plot_embedding,
    plot_next_tokens,
    plot_surprisal,
)
from llmlib.show.source import show
from llmlib.text.batches import batch_at, document_starts, token_ids
from llmlib.text.bpe import BPETokenizer
from llmlib.text.corpora import Corpus, load_corpus
from llmlib.text.splitting import GPT2_PATTERN
from llmlib.text.stories import StoryGrammar
from llmlib.text.tokenizers import (
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
    load_tokenizer,
)
from llmlib.training.config import TrainConfig
from llmlib.training.optimizers import Muon
from llmlib.training.progress import progress
from llmlib.training.recipes import fast_recipe, plain_recipe
from llmlib.training.saving import load_model, save_model
from llmlib.training.steps import StepLog
from llmlib.training.trainer import Trainer

__all__ = [
    "GPT",
    "GPT2_PATTERN",
    "MLP",
    "Attention",
    "BPETokenizer",
    "Bigram",
    "Block",
    "CharTokenizer",
    "Corpus",
    "GPTConfig",
    "KVCache",
    "LayerNorm",
    "Muon",
    "NGram",
    "RMSNorm",
    "Sampling",
    "StepLog",
    "StoryGrammar",
    "SwiGLU",
    "Tokenizer",
    "TrainConfig",
    "Trainer",
    "WordTokenizer",
    "ablate_heads",
    "attention_of",
    "batch_at",
    "beam_search",
    "bertviz_view",
    "bits_per_character",
    "causal",
    "chance_accuracy",
    "choose_candidates",
    "dependence_accuracy",
    "distance_to_floor",
    "document_starts",
    "everything",
    "fast_recipe",
    "gathered_of",
    "generate",
    "generate_batch",
    "load_corpus",
    "load_model",
    "load_tokenizer",
    "mean_loss",
    "next_token_loss",
    "observe",
    "packed",
    "perplexity",
    "plain_recipe",
    "plot_attention",
    "plot_bars",
    "plot_embedding",
    "plot_grid",
    "plot_losses",
    "plot_model",
    "plot_next_tokens",
    "plot_surprisal",
    "progress",
    "save_model",
    "show",
    "size_report",
    "sliding_window",
    "source_shares",
    "strided",
    "token_bits",
    "token_ids",
    "uniform_shares",
    "write",
]

WIDGETS = (
    "AttentionExplorer",
    "EmbeddingMap",
    "LossCurve",
    "Playground",
    "TokenizerExplorer",
)


def __getattr__(name: str) -> Any:
    """The widgets, which load what they need of Jupyter when they are first asked for.

    Raises ModuleNotFoundError, with the way to install it, where that is missing.
    """
    if name not in WIDGETS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module("llmlib.show.widgets"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{name} needs {error.name}: pip install {error.name}", name=error.name
        ) from error


def __dir__() -> list[str]:
    return [*__all__, *WIDGETS]
