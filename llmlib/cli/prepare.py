"""What ``llmlib train`` trains, and on what: a model, a tokenizer, the ids of a text."""

import argparse
from dataclasses import replace

import torch

from llmlib.cli.options import option
from llmlib.cli.settings import (
    BLOCK_SIZE,
    FEWEST_STEPS,
    MOST_STEPS,
    READINGS,
    RECIPE,
    RECIPES,
    SETTINGS,
    SHAPES,
)
from llmlib.model.gpt import GPT
from llmlib.model.size import size_report
from llmlib.text.batches import token_ids
from llmlib.text.bpe import BPETokenizer
from llmlib.text.corpora import Corpus, load_corpus
from llmlib.text.tokenizers import CharTokenizer, Tokenizer, WordTokenizer
from llmlib.training.saving import load_model
from llmlib.training.trainer import Trainer
from llmlib.training.weights import fill, weights

TOKENIZER = "bpe"
VOCABULARY = 1024
MOST_VALIDATED = 2**16  # tokens: the rest of a long validation text is left out


def prepare(arguments: argparse.Namespace) -> tuple[Trainer, Tokenizer]:
    """The trainer and the tokenizer that the arguments describe; prints their sizes."""
    settings = {name: getattr(arguments, name) for name in (*SETTINGS, "compile")}
    settings = {name: value for name, value in settings.items() if value is not None}
    settings.setdefault("block_size", BLOCK_SIZE)
    recipe = RECIPES[arguments.recipe or RECIPE]
    _, training = recipe(1, **settings)  # a wrong setting shows before the text is read
    model, tokenizer = None, None
    if arguments.origin is not None:
        model, tokenizer = saved_model(arguments)
    block_size = settings["block_size"] if model is None else model.block_size
    corpus = load_corpus(arguments.corpus)
    if tokenizer is None:
        kind = arguments.tokenizer or TOKENIZER
        tokenizer = train_tokenizer(kind, corpus, arguments.vocab_size)
    train_ids, val_ids = (token_ids(tokenizer, half) for half in corpus.split())
    check_length(corpus, train_ids, val_ids, block_size)
    steps = READINGS * len(train_ids) // (training.batch_size * block_size)
    steps = settings.setdefault("max_iters", min(MOST_STEPS, max(FEWEST_STEPS, steps)))
    settings.setdefault("eval_interval", max(1, steps // 10))
    config, training = recipe(tokenizer.vocab_size, **settings)
    if model is None:
        torch.manual_seed(training.seed)
        model = GPT(config)
    print(f"{corpus.name}: {len(train_ids):,} tokens to train on, {steps:,} steps")
    print(f"{tokenizer}, context {block_size} tokens")
    print(size_report(model.config))
    trainer = Trainer(model, train_ids, val_ids[:MOST_VALIDATED], training)
    return trainer, tokenizer


def saved_model(arguments: argparse.Namespace) -> tuple[GPT, Tokenizer]:
    """The model to begin with, with the dropout that was asked for, and its tokenizer.
    ValueError for options that describe another.
    """
    names = (*SHAPES, "tokenizer", "vocab_size")
    given = [option(name) for name in names if getattr(arguments, name) is not None]
    if given:
        raise ValueError(f"--from {arguments.origin} takes no {', '.join(given)}")
    model, tokenizer = load_model(arguments.origin)
    if arguments.dropout is not None:
        saved = weights(model)
        model = GPT(replace(model.config, dropout=arguments.dropout))
        fill(model, saved)
    return model, tokenizer


def train_tokenizer(kind: str, corpus: Corpus, vocab_size: int | None) -> Tokenizer:
    """The tokenizer of that kind for a corpus.

    Words and pieces are counted in the training text alone, so that the validation text
    is as new to the tokenizer as to the model: words that only it has are read as
    <unk>, and pieces as bytes. Characters are those of the whole text, since a
    CharTokenizer refuses those it has not seen.
    """
    if kind == "char":
        if vocab_size is not None:
            raise ValueError(
                "--vocab-size goes with --tokenizer word or bpe; char takes every character"
            )
        return CharTokenizer.train(corpus.text)
    trained = WordTokenizer if kind == "word" else BPETokenizer
    train_text, _ = corpus.split()
    return trained.train(train_text, VOCABULARY if vocab_size is None else vocab_size)


def check_length(
    corpus: Corpus, train_ids: torch.Tensor, val_ids: torch.Tensor, block_size: int
) -> None:
    """ValueError for a text shorter than one context, naming both lengths."""
    if len(train_ids) <= block_size:
        raise ValueError(
            f"{corpus.name} has {len(train_ids)} tokens to train on, fewer than one context "
            f"of {block_size} and a target: take a longer text, or a smaller --block-size"
        )
    if len(val_ids) < 2:
        raise ValueError(
            f"{corpus.name} leaves {len(val_ids)} tokens for validation, at least 2 are needed"
        )
