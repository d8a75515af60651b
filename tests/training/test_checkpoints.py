"""Checkpoints: a resumed training equals an uninterrupted one, and nothing that happens to
a file or a folder loses work.
"""

import ctypes
import json
import os
import pickle
import resource
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from benchmarks.throughput import kilobytes
from llmlib.text.files import CannotWriteError
from llmlib.training.checkpoints import checkpoints_in, state, step_of
from llmlib.training.config import TrainConfig
from llmlib.training.files import (
    DamagedFileError,
    FolderInUseError,
    check_writable,
    hold_folder,
    read_tensors,
    release_folder,
)
from llmlib.training.memory import keep_freed_memory
from llmlib.training.trainer import Trainer

FAST = {
    "positions": "rotary",
    "norm_affine": False,
    "embedding_norm": True,
    "feed_forward": "swiglu",
    "tie_word_embeddings": False,
    "ngram_rows": 30,
    "smear": 2,
    "dropout": 0.1,
}
TRAININGS = {
    "adamw": {},
    "accumulated": {"gradient_accumulation_steps": 2, "model": {"dropout": 0.2}},
    "muon": {"optimizer": "muon", "precision": "bfloat16", "model": FAST},
}


def run(trainer, steps=None):
    """Makes steps, all by default; returns the logs without seconds."""
    logs = []
    while steps is None or len(logs) < steps:
        log = next(trainer, None)
        if log is None:
            break
        logs.append({**asdict(log), "seconds": None})
    return logs


def same(a: Trainer, b: Trainer) -> bool:
    """Whether two trainings are in the same state, to the bit."""
    (tensors_a, record_a), (tensors_b, record_b) = state(a), state(b)
    return record_a == record_b and save(tensors_a) == save(tensors_b)


@contextmanager
def disk_with_room_for(n_bytes: int):
    """No file may become longer: as on a full disk, writing fails in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@contextmanager
def read_only(folder):
    """The folder without permission to write, and this process without root's rights."""
    root, mode = os.geteuid() == 0, folder.stat().st_mode
    folder.chmod(0o555)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(mode)


@pytest.mark.parametrize("cut", [1, 4, 7])
@pytest.mark.parametrize("name", TRAININGS)
def test_resumed_equals_uninterrupted(make_trainer, tmp_path, name, cut):
    whole, first = (make_trainer(**TRAININGS[name]) for _ in range(2))
    logs = run(whole)
    assert run(first, cut) == logs[:cut]
    first.save(tmp_path)
    run(first)  # what happens after the checkpoint does not matter
    resumed = make_trainer(**TRAININGS[name])
    assert resumed.resume(tmp_path) is resumed
    assert resumed.step == cut
    assert run(resumed) == logs[cut:]
    assert same(resumed, whole)
    assert (resumed.best_step, resumed.best_val_loss) == (
        whole.best_step,
        whole.best_val_loss,
    )


def test_a_training_can_be_saved_before_its_first_step(make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.save(tmp_path)
    assert run(make_trainer().resume(tmp_path)) == run(trainer)


def test_checkpoint_bytes_is_a_bound(make_trainer, tmp_path):
    for training in TRAININGS.values():
        trainer = make_trainer(**training)
        run(trainer)
        size = trainer.save(tmp_path / str(id(training))).stat().st_size
        assert size <= trainer.checkpoint_bytes


def test_the_last_two_are_kept(make_trainer, tmp_path):
    trainer = make_trainer()
    (tmp_path / ".step-00000001-0123456789abcdef.safetensors.tmp").write_text("dead")
    (tmp_path / "notes.txt").write_text("mine")
    for _ in trainer:
        path = trainer.save(tmp_path)
        assert path == checkpoints_in(tmp_path)[-1]
        assert path.name.endswith(
            f"-{sha256(path.read_bytes()).hexdigest()[:16]}.safetensors"
        )
    assert trainer.save(tmp_path) == path  # the same state is the same file
    assert [step_of(path) for path in checkpoints_in(tmp_path)] == [7, 8]
    others = {path.name for path in tmp_path.iterdir()} - {
        path.name for path in checkpoints_in(tmp_path)
    }
    assert others == {".lock", "notes.txt"}
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


@pytest.fixture
def two(make_trainer, tmp_path):
    """The checkpoints of steps 3 and 6."""
    trainer = make_trainer()
    run(trainer, 3)
    earlier = trainer.save(tmp_path)
    run(trainer, 3)
    return earlier, trainer.save(tmp_path)


def test_a_cut_or_changed_file_is_damaged_and_the_one_before_is_offered(
    two, make_trainer
):
    earlier, newest = two
    whole = newest.read_bytes()
    fresh = make_trainer()
    before = state(fresh)
    positions = [0, 1, 7, 8, 9, 400, *range(1000, len(whole), 9973), len(whole) - 1]
    for position in positions:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        for data in (whole[:position], bytes(flipped)):
            newest.write_bytes(data)
            with pytest.raises(DamagedFileError) as caught:
                fresh.resume(newest.parent)
            assert f"{newest} is damaged" in str(caught.value)
            assert f"whole one before it is {earlier}: delete" in str(caught.value)
    assert save(state(fresh)[0]) == save(before[0])
    assert fresh.resume(earlier).step == 3
    newest.unlink()  # as the sentence says, for those who have no Python to type
    assert make_trainer().resume(newest.parent).step == 3
    newest.write_bytes(whole)
    assert fresh.resume(newest.parent).step == 6


def test_no_whole_checkpoint_is_said(two, make_trainer):
    for path in two:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match="no whole one before it"):
        make_trainer().resume(two[1].parent)


def test_going_on_from_an_older_checkpoint_replaces_what_came_after(two, make_trainer):
    earlier, newest = two
    newest.write_bytes(b"damaged")
    trainer = make_trainer().resume(earlier)
    next(trainer)
    path = trainer.save(earlier.parent)
    assert checkpoints_in(earlier.parent) == [earlier, path]
    assert make_trainer().resume(earlier.parent).step == 4


@pytest.mark.parametrize("steps", [1, 5, 8])
def test_another_training_is_not_overwritten(two, make_trainer, steps):
    trainer = make_trainer(seed=1)
    run(trainer, steps)
    with pytest.raises(ValueError, match=f"{two[1]} is from another training"):
        trainer.save(two[1].parent)
    assert checkpoints_in(two[1].parent) == list(two)


@pytest.mark.parametrize("kind", [list, tuple])
def test_start_ids_may_be_of_any_kind(make_trainer, ids, tmp_path, kind):
    like = make_trainer()
    first, second = (
        Trainer(like.model, ids, ids, like.config, kind([4])) for _ in range(2)
    )
    first.save(tmp_path)
    assert second.resume(tmp_path).start_ids == [4]


class Own(nn.Module):
    """A reader's own model: it has a part called module, and a config of its own."""

    vocab_size, block_size = 11, 8

    def __init__(self):
        super().__init__()
        self.config = {"depth": 1}
        self.module, self.head = nn.Embedding(11, 4), nn.Linear(4, 11)

    def forward(self, ids):
        return self.head(self.module(ids))


def test_a_model_of_the_readers_own_is_saved_whole_and_resumed(ids, tmp_path):
    config = TrainConfig(max_iters=4, warmup_iters=0, device="cpu", eval_interval=2)
    first, second, straight = (Trainer(Own(), ids, ids, config) for _ in range(3))
    second.model.load_state_dict(first.model.state_dict())
    straight.model.load_state_dict(first.model.state_dict())
    run(first, 2)
    path = first.save(tmp_path)
    assert {"model.module.weight", "model.head.weight"} <= state(first)[0].keys()
    assert run(second.resume(path)) == run(straight)[2:]


def test_there_must_be_a_checkpoint(make_trainer, tmp_path):
    with pytest.raises(ValueError, match=f"no checkpoint in {tmp_path}"):
        make_trainer().resume(tmp_path)
    with pytest.raises(ValueError, match="there is no file"):
        make_trainer().resume(tmp_path / "step-00000001-0123456789abcdef.safetensors")
    (tmp_path / "model.safetensors").write_bytes(save({"a": torch.zeros(1)}))
    with pytest.raises(ValueError, match="is not named as a checkpoint is"):
        make_trainer().resume(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_iters": 9}, "max_iters = 8, this training has 9"),
        (
            {"precision": "bfloat16"},
            "precision = 'float32', this training has 'bfloat16'",
        ),
        ({"seed": 3}, "seed = 0, this training has 3"),
        ({"model": {"n_embd": 32}}, "model.n_embd = 16, this training has 32"),
        ({"model": {"vocab_size": 12}}, "model.vocab_size = 11, this training has 12"),
    ],
)
def test_refuses_another_config(two, make_trainer, changes, message):
    with pytest.raises(ValueError, match=message):
        make_trainer(**changes).resume(two[1])


def test_refuses_other_data(two, make_trainer, ids):
    ours = make_trainer()
    other = Trainer(ours.model, [*ids[:299], 0], ids[300:], ours.config)
    with pytest.raises(
        ValueError, match=r"train_ids = '300 ids, SHA-256 .* has '300 ids, "
    ):
        other.resume(two[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "x"},
        {"step": -1},
        {"identity": []},
        {"best": []},
        {"best": {"step": 1}},
        {"best": {"step": 1, "val_loss": "low"}},
    ],
)
def test_refuses_values_of_another_kind(make_trainer, tmp_path, changes):
    tensors, record = state(make_trainer())
    path = checkpoint_of(
        tmp_path, save(tensors, {"llmlib": json.dumps(record | changes)})
    )
    with pytest.raises(DamagedFileError, match=f"{path} is no checkpoint of a train"):
        make_trainer().resume(path)


def test_refuses_tensors_of_another_name(make_trainer, tmp_path):
    tensors, record = state(make_trainer())
    tensors["a.b"] = torch.zeros(1)
    path = checkpoint_of(tmp_path, save(tensors, {"llmlib": json.dumps(record)}))
    with pytest.raises(DamagedFileError, match=r"it has a tensor a\.b"):
        make_trainer().resume(path)


def checkpoint_of(tmp_path, data: bytes):
    """A file that is named as a checkpoint of these bytes is."""
    path = tmp_path / f"step-00000009-{sha256(data).hexdigest()[:16]}.safetensors"
    path.write_bytes(data)
    return path


def header(text: str, data: bytes = b"") -> bytes:
    return len(text).to_bytes(8, "little") + text.encode() + data


class Bomb:
    def __reduce__(self):
        return (os.abort, ())


ENTRY = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HOSTILE = {
    "pickle": pickle.dumps(Bomb()),
    "header of 2^63 bytes": (2**63).to_bytes(8, "little") + bytes(64),
    "header longer than the file": (65).to_bytes(8, "little") + bytes(64),
    "100,000 tensors": header(
        json.dumps(
            {
                f"t{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]}
                for i in range(100_000)
            }
        ),
        bytes(100_000),
    ),
    "duplicate keys": header(f'{{"a":{ENTRY},"a":{ENTRY}}}', bytes(4)),
    "a shape of 2^62": header(
        ENTRY.join(['{"a":', "}"]).replace("[1]", f"[{2**62}]"), bytes(4)
    ),
    "deep": header("[" * 100_000),
    "no JSON": header("weights"),
    "no object": header("[]"),
    "no record": save({"a": torch.zeros(1)}),
    "metadata of null": header('{"__metadata__":null}'),
    "another record": save({"a": torch.zeros(1)}, {"llmlib": "{}"}),
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(make_trainer, tmp_path, name):
    path = checkpoint_of(tmp_path, HOSTILE[name])
    with pytest.raises(DamagedFileError, match=path.name):
        make_trainer().resume(path)


def peak() -> int:
    """The most bytes this process has held since its peak was last forgotten."""
    return 1024 * kilobytes("VmHWM")


def forget_peak() -> None:
    """What is taken from now on counts, also where as much was taken and freed before."""
    ctypes.CDLL(None).malloc_trim(0)  # trainers ask the C library to keep it
    Path("/proc/self/clear_refs").write_text("5")


def test_a_peak_is_seen_after_a_higher_one():
    keep_freed_memory()
    torch.ones(2**25)
    forget_peak()
    before = peak()
    torch.ones(2**24)
    assert peak() - before > 2**25


@pytest.mark.parametrize(
    "name", ["header of 2^63 bytes", "100,000 tensors", "duplicate keys"]
)
def test_hostile_headers_cost_no_memory(name):
    forget_peak()
    data, before = HOSTILE[name], peak()
    with pytest.raises(DamagedFileError, match="the file"):
        read_tensors(data, "the file")
    assert peak() - before <= 2**22 + len(data)


def test_a_torch_file_under_our_name_is_refused(make_trainer, tmp_path):
    torch.save({"model": Bomb()}, tmp_path / "bomb.pt")
    path = checkpoint_of(tmp_path, (tmp_path / "bomb.pt").read_bytes())
    with pytest.raises(DamagedFileError, match="damaged or no safetensors file"):
        make_trainer().resume(path)


def test_a_full_disk_keeps_the_old_checkpoint(make_trainer, tmp_path):
    trainer = make_trainer()
    run(trainer, 3)
    old = trainer.save(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    next(trainer)
    with disk_with_room_for(5000):
        with pytest.raises(
            CannotWriteError, match=f"cannot write .* into {tmp_path}: "
        ):
            trainer.save(tmp_path)
        with pytest.raises(CannotWriteError, match=f"into {tmp_path}: File too large"):
            check_writable(tmp_path, trainer.checkpoint_bytes)
    assert {path.name for path in tmp_path.iterdir()} == names
    assert make_trainer().resume(tmp_path).step == step_of(old)
    check_writable(tmp_path, trainer.checkpoint_bytes)
    assert {path.name for path in tmp_path.iterdir()} == names
    assert step_of(trainer.save(tmp_path)) == 4


def test_a_read_only_folder_is_found_at_once(make_trainer, tmp_path):
    trainer = make_trainer()
    next(trainer)
    with read_only(tmp_path):
        for folder in (tmp_path, tmp_path / "new"):
            with pytest.raises(CannotWriteError, match="Permission denied"):
                check_writable(folder)
            with pytest.raises(CannotWriteError, match="Permission denied"):
                trainer.save(folder)
    assert list(tmp_path.iterdir()) == []
    assert trainer.save(tmp_path).is_file()


@pytest.mark.parametrize("allocates", [True, False])
def test_looking_for_room_leaves_the_folder_alone(tmp_path, monkeypatch, allocates):
    if not allocates:  # as on macOS and Windows
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    (tmp_path / "probe").write_text("mine")
    check_writable(tmp_path, 10**6)
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]
    assert (tmp_path / "probe").read_text() == "mine"
    with (
        disk_with_room_for(5000),
        pytest.raises(CannotWriteError, match=f"into {tmp_path}: File too large"),
    ):
        check_writable(tmp_path, 10**6)
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]


HOLDER = """
import os, sys
from llmlib.training.files import FolderInUseError, hold_folder
hold_folder(sys.argv[1])
if os.fork() == 0:
    try:
        hold_folder(sys.argv[1])
    except FolderInUseError:
        os._exit(0)
    os._exit(1)
print("held, and refused to a child:", os.wait()[1] == 0, flush=True)
sys.stdin.read()
"""


def test_two_trainings_do_not_share_a_folder(make_trainer, tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "held, and refused to a child: True\n"
        with pytest.raises(
            FolderInUseError, match=f"in use by process {other.pid} on "
        ):
            make_trainer().save(tmp_path)
        assert checkpoints_in(tmp_path) == []
    finally:
        other.kill()
        other.communicate()
    make_trainer().save(tmp_path)  # the lock died with its holder
    hold_folder(tmp_path)  # and is this process's now, as often as it asks
    text = (tmp_path / ".lock").read_text()
    assert text.startswith(f"process {os.getpid()} on ")
    release_folder(tmp_path)
    release_folder(tmp_path)


def test_device_and_compiling_may_differ(make_trainer, tmp_path, monkeypatch):
    trainer = make_trainer(device="cpu")
    run(trainer, 3)
    path = trainer.save(tmp_path)
    tensors, record = state(trainer)
    assert not {"device", "compile"} & record["identity"].keys()
    monkeypatch.setattr(torch, "compile", lambda module: module)  # it takes a minute
    resumed = make_trainer(device="auto", compile=True).resume(path)
    there = state(resumed)[0]
    assert all(torch.equal(t, there[name].cpu()) for name, t in tensors.items())


def test_killed_at_random_moments(tmp_path):
    """LLMLIB_KILLS says how often; the helper asserts, and says what it did."""
    kills = os.environ.get("LLMLIB_KILLS", "8")
    script = os.path.join(os.path.dirname(__file__), "train_and_kill.py")
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, script, tmp_path, kills],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout, f"{time.monotonic() - started:.1f} s")
    assert f"killed {kills} times, the end is the same" in done.stdout


def test_a_training_may_go_back_to_a_folder_of_its_own(make_trainer, tmp_path):
    trainer = make_trainer()
    for name in ("a", "b", "a", "b"):
        next(trainer)
        trainer.save(tmp_path / name)
    stranger = make_trainer()
    with pytest.raises(ValueError, match="is from another training"):
        stranger.save(tmp_path / "a")


def test_a_model_of_many_layers_can_be_resumed(make_trainer, tmp_path):
    deep = {"n_layer": 128, "n_head": 1, "n_embd": 2, "bias": True}
    trainer = make_trainer(model=deep)
    run(trainer, 3)
    path = trainer.save(tmp_path)
    assert int.from_bytes(path.read_bytes()[:8], "little") > 2**20
    assert make_trainer(model=deep).resume(tmp_path).step == 3
