"""The bar, the log on disk and Ctrl-C."""

import io
import os
import signal
import sys
from types import SimpleNamespace

import pytest

from llmlib.training.files import DamagedFileError
from llmlib.training.progress import (
    finish_step_on_interrupt,
    log_to,
    progress,
    read_log,
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_shows_losses_and_speed(make_trainer, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    logs = list(progress(make_trainer()))
    assert [log.step for log in logs] == list(range(1, 9))
    last = terminal.getvalue().rstrip().rpartition("\r")[2]
    assert "8/8" in last
    assert f"loss={logs[-1].loss:.3f}" in last
    assert f"val={logs[-1].val_loss:.3f}" in last
    assert "tokens/s=" in last


def test_the_bar_is_silent_in_a_file(make_trainer, monkeypatch):
    output = io.StringIO()
    monkeypatch.setattr(sys, "stderr", output)
    assert len(list(progress(make_trainer()))) == 8
    assert output.getvalue() == ""


def test_a_notebook_keeps_one_line(make_trainer, monkeypatch):
    import IPython.display

    shown = []
    cell = SimpleNamespace(
        update=lambda bundle, raw: shown.append(bundle["text/plain"])
    )
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=True))
    monkeypatch.setattr(IPython.display, "display", lambda *_, **__: cell)
    logs = list(progress(make_trainer()))
    losses = f"loss={logs[-1].loss:.3f}, val={logs[-1].val_loss:.3f}, tokens/s="
    assert shown[-1].startswith(losses)
    assert "8/8" in shown[-1]
    assert len(shown[-1]) <= 70
    assert not any("\n" in line or "\r" in line for line in shown)


def test_the_log_survives_a_resume(make_trainer, tmp_path):
    path = tmp_path / "logs" / "log.jsonl"
    trainer = make_trainer()
    write = log_to(path)
    expected = []
    for log in trainer:
        write(log)
        expected.append(log)
        if log.step == 4:
            trainer.save(tmp_path)
    assert read_log(path) == expected
    with open(path, "a") as file:
        file.write('{"step": 5, "lo')  # the process died while it wrote
    resumed = make_trainer().resume(tmp_path)
    write = log_to(path, after=resumed.step)
    assert read_log(path) == expected[:4]
    for log in resumed:
        write(log)
    assert [log.step for log in read_log(path)] == list(range(1, 9))
    assert [log.loss for log in read_log(path)] == [log.loss for log in expected]


ROW = (
    '{"step": %d, "loss": 2.5, "val_loss": null, "learning_rate": 0.1, '
    '"grad_norm": 1, "tokens": 8, "seconds": 0.5}\n'
)
NO_ROWS = [
    (b"{\n", "is damaged"),
    (b"\xff\xfe\n", "is damaged"),
    (b"\n", "is damaged"),
    (b"[1, 2]\n", "no JSON object"),
    (b'{"step": 2, "note": "mine"}\n', "other keys"),
    ((ROW % 2).replace("2.5", '"low"').encode(), "loss is 'low'"),
    ((ROW % 2).replace("0.5", "null").encode(), "seconds is None"),
]


def test_a_log_that_is_not_there_has_no_steps(tmp_path):
    assert read_log(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize(("line", "reason"), NO_ROWS)
def test_a_line_that_is_no_row_is_named_and_left_where_it_is(tmp_path, line, reason):
    path = tmp_path / "log.jsonl"
    first, last = ((ROW % step).encode() for step in (1, 3))
    path.write_bytes(first + line + last)
    with pytest.raises(DamagedFileError, match=reason) as caught:
        read_log(path)
    assert f"{path}, line 2" in str(caught.value)
    log_to(path, after=1)
    assert path.read_bytes() == first + line


def test_the_first_interrupt_waits_and_the_second_does_not(make_trainer):
    handler = signal.getsignal(signal.SIGINT)
    trainer = make_trainer()
    with finish_step_on_interrupt() as interrupted:
        for log in trainer:
            if log.step == 3:
                os.kill(os.getpid(), signal.SIGINT)
            if interrupted.is_set():
                break
        assert trainer.step == 3
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is handler
