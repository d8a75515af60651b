"""What ``llmlib train`` leaves behind and tells of a training."""

import csv
import shlex
import shutil
import sys
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
        advice = f"it needs {error.name}: pip install {error.name}"
        warnings.warn(f"there is no {path.name}: {advice}", stacklevel=2)
    else:
        picture.save(path)


def tell(trainer: Trainer, tokenizer: Tokenizer, folder: Path) -> None:
    """Print how good the best model is, something that it writes, and what to do with it."""
    loss = trainer.best_val_loss
    print(
        f"best after step {trainer.best_step}: {loss:.4f} nats a token, "
        f"perplexity {perplexity(loss):.2f}"
    )
    print("it writes:\n")
    rules = Sampling(temperature=0.8, seed=trainer.config.seed)
    print("".join(write(trainer.best_model().cpu(), tokenizer, "", 100, rules)).strip())
    print(f"\ntry: {command()} chat --model {named(folder)}")


def tell_finished(steps: int, folder: Path) -> None:
    """Print that a training was finished before, and what to do with its model."""
    print(
        f"all {steps} steps are made: {command()} chat --model {named(folder)}. "
        f"{training_further(folder)}"
    )


def training_further(folder: Path) -> str:
    """How the model in a folder is trained further."""
    start = f"{command()} train TEXT --from {named(folder)} --out DIR"
    return f"To train its model further: {start}"


def named(folder: Path) -> str:
    """A folder as it is typed for a model, never a shipped one's name."""
    name = f"./{folder}" if str(folder) in PRETRAINED else str(folder)
    return shlex.quote(name)


def command() -> str:
    """``llmlib``, or the path that it was started by where the shell would not find it."""
    path = Path(sys.argv[0])
    found = path.stem != "llmlib" or shutil.which("llmlib") == shutil.which(path)
    return "llmlib" if found else shlex.quote(sys.argv[0])
