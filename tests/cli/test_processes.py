"""The command line as a process of its own, and real signals that stop it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmlib.cli import main
from llmlib.training.checkpoints import read_checkpoint
from llmlib.training.progress import read_log

COMMAND_LINE = "import sys; from llmlib.cli import main; sys.exit(main(sys.argv[1:]))"


def start(*arguments: str, code: str = COMMAND_LINE) -> subprocess.Popen:
    """The command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for(folder: Path, pattern: str, process: subprocess.Popen) -> None:
    """Wait until a file of that name is in the folder."""
    while process.poll() is None and not list(folder.glob(pattern)):
        time.sleep(0.02)
    assert list(folder.glob(pattern)), process.communicate()


@pytest.fixture
def endless(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Options of a training that does not end by itself."""
    endless = ("--max-iters=1000000", "--eval-interval=1000000")
    return (*tiny, *endless, "--save-interval=50")


def test_a_second_training_is_refused_and_ctrl_c_saves(
    text, endless, tmp_path, one_line
):
    command = ["train", str(text), "--out", str(tmp_path), *endless]
    process = start(*command)
    try:
        wait_for(tmp_path, "step-*", process)
        assert main(command) == 2
        err = one_line()
        assert str(process.pid) in err
        assert "in use" in err
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "to go on: llmlib train --resume" in out
    step = int(out.rpartition("stopped after step ")[2].partition(";")[0])
    assert max(tmp_path.glob("step-*")).name.startswith(f"step-{step:08d}-")
    assert read_log(tmp_path / "log.jsonl")[-1].step == step
    assert not list(tmp_path.glob(".*tmp"))


SLOW_STEP = """
import sys, time
from llmlib.cli import main
from llmlib.training.trainer import Trainer
make_step = Trainer.__next__
def step_slowly(trainer):
    if trainer.step == 2:
        print("in the third step", flush=True)
        time.sleep(600)
    return make_step(trainer)
Trainer.__next__ = step_slowly
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_twice_stops_at_once_and_keeps_the_checkpoint(text, endless, tmp_path):
    command = [
        "train",
        str(text),
        "--out",
        str(tmp_path),
        *endless,
        "--save-interval=2",
    ]
    process = start(*command, code=SLOW_STEP)
    try:
        while process.stdout.readline() != "in the third step\n":
            assert process.poll() is None, process.communicate()
        for _ in range(2):
            time.sleep(0.5)  # a second signal at once would be taken for the first
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err == "llmlib: stopped\n"
    (kept,) = tmp_path.glob("step-*")
    assert kept.name.startswith("step-00000002-")
    read_checkpoint(kept)
