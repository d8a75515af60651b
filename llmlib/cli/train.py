"""``llmlib train``: from a text to a model that writes like it."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from tqdm import tqdm

from llmlib.cli.begun import keep_options, recall_options
from llmlib.cli.options import add_option, check_least
from llmlib.cli.prepare import TOKENIZER, VOCABULARY, prepare
from llmlib.cli.report import (
    command,
    describe,
    report_log,
    tell,
    tell_finished,
    training_further,
)
from llmlib.cli.settings import add_settings
from llmlib.text.tokenizers import Tokenizer
from llmlib.training.checkpoints import checkpoints_in, read_checkpoint
from llmlib.training.files import check_writable, hold_folder, release_folder
from llmlib.training.progress import (
    finish_step_on_interrupt,
    log_to,
    progress,
)
from llmlib.training.saving import save_model
from llmlib.training.trainer import Trainer

CORPUS = "a UTF-8 text file, or stories, shakespeare, simplestories"
LOG = "log.jsonl"


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
    parser.add_argument(
        "--from",
        dest="origin",
        metavar="MODEL",
        help="begin with the weights and the tokenizer of this folder or shipped model",
    )
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
        finished = trainer.step == trainer.config.max_iters
        if arguments.resume and not finished:
            print(f"going on after step {trainer.step}")
        check_writable(folder, 2 * trainer.checkpoint_bytes)
        keep_options(arguments, folder)
        whole = train(trainer, tokenizer, folder, arguments.save_interval)
        report_log(folder / LOG, Path(arguments.corpus).stem)
        if not whole:
            print(
                f"stopped after step {trainer.step}; to go on: "
                f"{command()} train --resume --out {shlex.quote(str(folder))}"
            )
            return 130
        if finished:
            tell_finished(trainer.step, folder)
        else:
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
        check_steps(arguments.max_iters, folder)
        recall_options(arguments, folder)
    if arguments.resume and not begun:
        raise ValueError(f"there is no training in {folder} to resume")
    if not arguments.resume and (begun or (folder / "model.safetensors").exists()):
        going_on = "add --resume to go on with its training, or " if begun else ""
        raise ValueError(
            f"there is a model in {folder} already: {going_on}choose another --out"
        )


def check_steps(asked: int | None, folder: Path) -> None:
    """ValueError for another number of steps than a training was begun with."""
    if asked is None:
        return
    _, _, record = read_checkpoint(folder)
    steps = record["identity"].get("max_iters")
    if asked != steps:
        raise ValueError(
            f"{folder} is a training of {steps} steps, {record['step']} of them made, and "
            f"cannot become one of {asked}: the rate of each step depends on how many "
            f"there are. {training_further(folder)}"
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
        save_model(trainer.best_model(), tokenizer, folder)
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
                save_model(trainer.best_model(), tokenizer, folder)
            if interrupted.is_set():
                break
    if trainer.best_step is None:
        save_model(trainer.model, tokenizer, folder)
    return trainer.step == trainer.config.max_iters
