"""What ``llmlib train`` leaves behind and tells of a training."""

import csv
import shlex
import warnings
from dataclasses import asdict, fields
from pathlib import Path

from llmlib.evaluation.metrics import perplexity
from llmlib.generation.decoding import write
from llmlib.generation.sampling import Sampling
from llmlib.text.tokenizers import Tokenizer
from llmlib.training.files import DamagedFileError
from llmlib.training.progress import read_log
from llmlib.training.saving import PRETRAINED
from llmlib.training.steps import StepLog
from llmlib.training.trainer import Trainer


def describe(log: StepLog) -> str:
    """A step's losses in a line."""
    losses = f"loss {log.loss:.4f}   validation {log.val_loss:.4f}"
    return f"step {log.step:>6,}   {losses} nats a token"


def report_log(path: Path, name: str) -> None:
    """Write a table and a picture beside the log of a training of that name. Where the
    log is damaged a warning says so: the model is none the worse for it.
    """
    try:
        logs = read_log(path)
    except DamagedFileError as error:
        warnings.warn(f"no new log.csv and loss.png: {error}", stacklevel=2)
        return
    if logs:
        write_table(logs, path.with_name("log.csv"))
        draw_losses(logs, path.with_name("loss.png"), name)


def write_table(logs: list[StepLog], path: Path) -> None:
    """Write the log as a table of comma-separated values."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(StepLog)])
        table.writeheader()
        table.writerows(map(asdict, logs))


def draw_losses(logs: list[StepLog], path: Path, name: str) -> None:
    """Draw the log of a training of that name; where matplotlib is not installed, a
    warning says so.
    """
    from llmlib.show.curves import plot_losses

    alt = f"Training and validation losses over {len(logs)} steps"
    try:
        picture = plot_losses({name: logs}, alt=alt)
    except ModuleNotFoundError as error:
        advice = f'it needs {error.name}, pip install "llmlib[show]"'
        warnings.warn(f"there is no {path.name}: {advice}", stacklevel=2)
    else:
        picture.save(path)


def tell(trainer: Trainer, tokenizer: Tokenizer, folder: Path) -> None:
    """Print how good the best model is, something that it writes, and what to do with it."""
    trainer.restore_best()
    loss = trainer.best_val_loss
    print(
        f"best after step {trainer.best_step}: {loss:.4f} nats a token, "
        f"perplexity {perplexity(loss):.2f}"
    )
    print("it writes:\n")
    rules = Sampling(temperature=0.8, seed=trainer.config.seed)
    print("".join(write(trainer.model.cpu(), tokenizer, "", 100, rules)).strip())
    name = f"./{folder}" if str(folder) in PRETRAINED else str(folder)
    print(f"\ntry: llmlib chat --model {shlex.quote(name)}")
