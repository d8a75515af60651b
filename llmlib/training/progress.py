"""Watching a training: a progress bar, a log on disk, and Ctrl-C that waits for the
step's end.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from reprlib import repr as shortened
from threading import Event
from types import FrameType
from typing import Any

from tqdm import tqdm

from llmlib.training.files import DamagedFileError, read_json
from llmlib.training.steps import StepLog
from llmlib.training.trainer import Trainer

# A page's column holds some 80 letters, a phone's half as many: the losses stand first.
NOTEBOOK_FORMAT = "{desc}  {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"


def progress(trainer: Trainer) -> Iterator[StepLog]:
    """The trainer's steps, with a bar that shows the loss, the latest validation
    loss and tokens a second: in a terminal, or in a notebook as one line that renews
    itself, without the bar and the losses first. Silent elsewhere.
    """
    notebook = _NotebookLine.of_this_cell()
    with tqdm(
        total=trainer.config.max_iters,
        initial=trainer.step,
        unit="step",
        file=notebook,
        disable=None if notebook is None else False,  # None: unless it is a terminal
        dynamic_ncols=notebook is None,
        bar_format=None if notebook is None else NOTEBOOK_FORMAT,
    ) as bar:
        show = bar.set_postfix_str if notebook is None else bar.set_description_str
        val = ""
        for log in trainer:
            if log.val_loss is not None:
                val = f", val={log.val_loss:.3f}"
            speed = f"{log.tokens / log.seconds:,.0f}"
            show(f"loss={log.loss:.3f}{val}, tokens/s={speed}", refresh=False)
            bar.update()
            yield log


class _NotebookLine:
    """A text stream for tqdm whose latest line is all that a notebook's cell shows
    and stores.
    """

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    @classmethod
    def of_this_cell(cls) -> "_NotebookLine | None":
        """One at the end of the running cell; None outside a notebook."""
        ipython = sys.modules.get("IPython")
        if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
            return None
        from IPython.display import display

        return cls(display({"text/plain": ""}, raw=True, display_id=True))

    def write(self, text: str) -> None:
        """Shows the text instead of the one before."""
        if line := text.strip():
            self.handle.update({"text/plain": line}, raw=True)

    def flush(self) -> None:
        """Nothing waits to be written."""


def log_to(path: str | Path, *, after: int = 0) -> Callable[[StepLog], None]:
    """A function that appends a StepLog to a file as one line of JSON.

    `after` is the step that the training stands at (`trainer.step`): rows of later
    steps, which it is going to repeat, and a row that was cut are taken out first. So a
    log that gets every step before the next checkpoint has each row exactly once,
    however often the training is resumed. A line that is no row stays where it is.

        write = log_to("log.jsonl", after=trainer.step)
        for log in trainer:
            write(log)

    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        with open(path, "rb") as file:
            keep = sum(len(row) for row in _rows_until(after, file.readlines()))
        os.truncate(path, keep)

    def write(log: StepLog) -> None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(log)) + "\n")

    return write


def _rows_until(step: int, rows: list[bytes]) -> Iterator[bytes]:
    """The rows from the first on that are whole and of no later step, and what stands
    between them.
    """
    for row in rows:
        if not row.endswith(b"\n"):
            return
        with suppress(DamagedFileError):  # not ours to delete: `read_log` names it
            if _read_row(row, "").step > step:
                return
        yield row


def read_log(path: str | Path) -> list[StepLog]:
    """The steps in a file of `log_to`; none if there is no such file.

    Raises DamagedFileError, a ValueError, naming the file and the line that is no row.
    """
    path = Path(path)
    if not path.exists():
        return []
    rows = path.read_bytes().splitlines()
    return [_read_row(row, f"{path}, line {n},") for n, row in enumerate(rows, 1)]


def _read_row(row: bytes, origin: str) -> StepLog:
    """The step in a row of a log; DamagedFileError, naming the origin, if it is none."""
    values = read_json(row, origin)
    names = [field.name for field in fields(StepLog)]
    if sorted(values) != sorted(names):
        raise DamagedFileError(f"{origin} is no step of a training: it has other keys")
    for name, value in values.items():
        if type(value) not in (int, float) and (name, value) != ("val_loss", None):
            raise DamagedFileError(
                f"{origin} is no step of a training: {name} is {shortened(value)}"
            )
    return StepLog(**values)


@contextmanager
def finish_step_on_interrupt() -> Iterator[Event]:
    """Inside, the first Ctrl-C sets the event that is given, and the second raises
    KeyboardInterrupt.

        with finish_step_on_interrupt() as interrupted:
            for log in trainer:
                if interrupted.is_set():
                    break
        trainer.save(folder)

    Only in the main thread (ValueError elsewhere), as all of Python's signal handling.
    """
    interrupted = Event()

    def first(signum: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, first)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
