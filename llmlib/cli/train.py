"""``llmlib train``: from a text to a model that writes like it."""

import argparse
import shlex
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from llmlib.cli.begun import keep_options, recall_options
from llmlib.cli.options import add_option, check_least
from llmlib.cli.report import describe, report_log, tell
from llmlib.cli.settings import (
    BLOCK_SIZE,
    FEWEST_STEPS,
    MOST_STEPS,
    READINGS,
    RECIPE,
    RECIPES,
    SETTINGS,
    add_settings,
)
from llmlib.model.gpt import GPT
from llmlib.model.size import size_report
from llmlib.text.batches import token_ids
from llmlib.text.bpe import BPETokenizer
from llmlib.text.corpora import Corpus, load_corpus
from llmlib.text.tokenizers import CharTokenizer, Tokenizer, WordTokenizer
from llmlib.training.checkpoints import checkpoints_in
from llmlib.training.files import check_writable, hold_folder, release_folder
from llmlib.training.progress import (
    finish_step_on_interrupt,
    log_to,
    progress,
)
from llmlib.training.saving import save_model
from llmlib.training.trainer import Trainer
from llmlib.training.weights import fill

CORPUS = "a UTF-8 text file, or stories, shakespeare, simplestories"
TOKENIZER = "bpe"
VOCABULARY = 1024
LOG = "log.jsonl"
MOST_VALIDATED = 2**16  # tokens: the rest of a long validation text is left out


def add_commands(commands: Any) -> None:
    """Add ``train`` to the command line."""
    parser = commands.add_parser("train", help="train a model on a text")
    parser.add_argument("corpus", nargs="?", help=CORPUS)
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="the model's folder"
    )
    parser.add_argument(
        "--tokenizer",
        choices=("char", "word", "bpe"),
        help=f"a token is a character, a word, or a piece of one; by default {TOKENIZER}",
    )
    meaning = f"the most tokens of word and bpe; by default {VOCABULARY}"
    add_option(parser, "vocab_size", int, meaning)
    add_settings(parser)
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="wait a minute for shorter steps, in a training of ten minutes or more",
    )
    meaning = (
        "steps from one checkpoint to the next, besides one at every best model; "
        "by default --eval-interval"
    )
    add_option(parser, "save_interval", int, meaning)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the newest checkpoint in --out, with the options it was begun with",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train until the end or Ctrl-C; the folder then holds the model and all that tells of it."""
    folder = Path(arguments.out)
    try:
        check_before(arguments, folder)
        if arguments.corpus is None:
            raise ValueError(f"the text to train on is missing: {CORPUS}")
        trainer, tokenizer = prepare(arguments)
        hold_folder(folder)
        if arguments.resume:
            trainer.resume(folder)
            print(f"going on after step {trainer.step}")
        check_writable(folder, 2 * trainer.checkpoint_bytes)
        keep_options(arguments, folder)
        finished = train(trainer, tokenizer, folder, arguments.save_interval)
        report_log(folder / LOG, Path(arguments.corpus).stem)
        if not finished:
            print(
                f"stopped after step {trainer.step}; to go on: "
                f"llmlib train --resume --out {shlex.quote(str(folder))}"
            )
            return 130
        tell(trainer, tokenizer, folder)
        return 0
    finally:
        release_folder(folder)


def check_before(arguments: argparse.Namespace, folder: Path) -> None:
    """ValueError for what can be refused before the text is read. A folder that is there
    is held from here on; a mistake makes none. To resume, the options are recalled.
    """
    check_least(arguments, save_interval=1)
    if folder.is_dir():
        hold_folder(folder)
    begun = checkpoints_in(folder)
    if begun and arguments.resume:
        recall_options(arguments, folder)
    if arguments.resume and not begun:
        raise ValueError(f"there is no training in {folder} to resume")
    if not arguments.resume and (begun or (folder / "model.safetensors").exists()):
        going_on = "add --resume to go on with its training, or " if begun else ""
        raise ValueError(
            f"there is a model in {folder} already: {going_on}choose another --out"
        )


def prepare(arguments: argparse.Namespace) -> tuple[Trainer, Tokenizer]:
    """The trainer and the tokenizer that the arguments describe; prints their sizes."""
    settings = {name: getattr(arguments, name) for name in (*SETTINGS, "compile")}
    settings = {name: value for name, value in settings.items() if value is not None}
    block_size = settings.setdefault("block_size", BLOCK_SIZE)
    recipe = RECIPES[arguments.recipe or RECIPE]
    _, training = recipe(1, **settings)  # a wrong setting shows before the text is read
    corpus = load_corpus(arguments.corpus)
    kind = arguments.tokenizer or TOKENIZER
    tokenizer = train_tokenizer(kind, corpus, arguments.vocab_size)
    train_ids, val_ids = (token_ids(tokenizer, half) for half in corpus.split())
    check_length(corpus, train_ids, val_ids, block_size)
    steps = READINGS * len(train_ids) // (training.batch_size * block_size)
    steps = settings.setdefault("max_iters", min(MOST_STEPS, max(FEWEST_STEPS, steps)))
    settings.setdefault("eval_interval", max(1, steps // 10))
    config, training = recipe(tokenizer.vocab_size, **settings)
    print(f"{corpus.name}: {len(train_ids):,} tokens to train on, {steps:,} steps")
    print(f"{tokenizer}, context {config.block_size} tokens")
    print(size_report(config))
    torch.manual_seed(training.seed)
    trainer = Trainer(GPT(config), train_ids, val_ids[:MOST_VALIDATED], training)
    return trainer, tokenizer


def train_tokenizer(kind: str, corpus: Corpus, vocab_size: int | None) -> Tokenizer:
    """The tokenizer of that kind for a corpus."""
    if kind == "char":
        if vocab_size is not None:
            raise ValueError(
                "--vocab-size goes with --tokenizer word or bpe; char takes every character"
            )
        return CharTokenizer.train(corpus.text)
    trained = WordTokenizer if kind == "word" else BPETokenizer
    return trained.train(corpus.text, VOCABULARY if vocab_size is None else vocab_size)


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


def train(
    trainer: Trainer, tokenizer: Tokenizer, folder: Path, save_interval: int | None
) -> bool:
    """Run the training, and keep on disk what a stop must not lose; False if it was stopped.

    The folder's model is the best so far, by its validation loss. A checkpoint is there
    before it, so that a training that is killed can always be resumed.
    """
    interval = save_interval or trainer.config.eval_interval
    if trainer.best_step is not None:  # killed before it was written, perhaps
        save_best(trainer, tokenizer, folder)
    write_log = log_to(folder / LOG, after=trainer.step)
    with finish_step_on_interrupt() as interrupted:
        for log in progress(trainer):
            write_log(log)
            if log.val_loss is not None:
                tqdm.write(describe(log))
            best = trainer.best_step == log.step
            last = interrupted.is_set() or log.step == trainer.config.max_iters
            if best or last or log.step % interval == 0:
                trainer.save(folder)
            if best:
                save_best(trainer, tokenizer, folder)
            if interrupted.is_set():
                break
    if trainer.best_step is None:
        save_model(trainer.model, tokenizer, folder)
    return trainer.step == trainer.config.max_iters


def save_best(trainer: Trainer, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the best model so far; the one that is trained stays as it is."""
    model = deepcopy(trainer.model)
    fill(model, trainer.best_weights)
    save_model(model, tokenizer, folder)
