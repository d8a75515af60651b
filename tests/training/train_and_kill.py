"""Trains with frequent saves, kills that training at random moments, resumes it, and
compares its end with an uninterrupted training's. Run by test_checkpoints.py:

    python train_and_kill.py FOLDER KILLS

Every training is a fork of this process, so that torch is imported once.
"""

import os
import random
import shutil
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import torch

from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.training.checkpoints import checkpoints_in, read_checkpoint
from llmlib.training.config import TrainConfig
from llmlib.training.progress import log_to, read_log
from llmlib.training.trainer import Trainer

STEPS = 40


def train(folder: Path) -> None:
    """One training, from the newest checkpoint on; every second step is saved."""
    torch.manual_seed(0)
    shape = {"vocab_size": 11, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 16}
    model = GPT(GPTConfig(**shape, dropout=0.1))
    ids = torch.arange(2000) ** 2 % 11
    config = TrainConfig(max_iters=STEPS, eval_interval=5, batch_size=4, warmup_iters=0)
    trainer = Trainer(model, ids[:1900], ids[1900:], config)
    if checkpoints_in(folder):
        trainer.resume(folder)
    write = log_to(folder / "log.jsonl", after=trainer.step)
    for log in trainer:
        write(log)
        if log.step % 2 == 0:
            trainer.save(folder)


def start(folder: Path) -> int:
    """The process id of a training in a fork."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            train(folder)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def finish(folder: Path) -> None:
    """A training to its end."""
    _, status = os.waitpid(start(folder), 0)
    assert status == 0, f"the training ended with status {status}"


def main(folder: Path, kills: int) -> None:
    """Kills `kills` trainings; one that ends is compared, and begins anew."""
    reference, attacked = folder / "reference", folder / "attacked"
    torch.optim.SGD([torch.zeros(1)])  # what torch imports late, it imports here
    started = time.monotonic()
    finish(reference)
    duration = time.monotonic() - started
    rng, killed, resumed_at = random.Random(), 0, []
    while killed < kills:
        pid = start(attacked)
        time.sleep(rng.uniform(0, duration / 2))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            if checkpoints_in(attacked):
                resumed_at.append(read_checkpoint(attacked)[2]["step"])
        else:
            assert status == 0, f"the training ended with status {status}"
            compare(attacked, reference)
            shutil.rmtree(attacked)
    finish(attacked)
    compare(attacked, reference)
    print(f"killed {killed} times, the end is the same; resumed at {resumed_at}")


def compare(attacked: Path, reference: Path) -> None:
    """The last checkpoints (weights, optimizer, best weights) must be the same bytes, the
    logs the same rows.
    """
    ours, theirs = checkpoints_in(attacked)[-1], checkpoints_in(reference)[-1]
    assert ours.name == theirs.name
    assert ours.read_bytes() == theirs.read_bytes()
    rows = [
        [replace(log, seconds=0) for log in read_log(path / "log.jsonl")]
        for path in (attacked, reference)
    ]
    assert len(rows[0]) == STEPS
    assert rows[0] == rows[1]
    left = {path.name for path in attacked.iterdir()} - {
        p.name for p in checkpoints_in(attacked)
    }
    assert left == {".lock", "log.jsonl"}, left


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
