"""The training loop against one written out by hand, and what it promises around it."""

import json
import math
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from llmlib.evaluation.metrics import mean_loss, next_token_loss
from llmlib.generation.packing import packed
from llmlib.model.bigram import Bigram
from llmlib.text.batches import batch_at
from llmlib.training import trainer as trainer_module
from llmlib.training.config import TrainConfig
from llmlib.training.steps import TrainingDivergedError
from llmlib.training.trainer import Trainer
from llmlib.training.weights import weights


def numbers(logs):
    """The logs without the seconds, which no two runs share."""
    return [{**asdict(log), "seconds": None} for log in logs]


def same_weights(a, b):
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_equals_a_loop_written_by_hand(make_trainer, ids):
    trainer = make_trainer(weight_decay=0.2, grad_clip=0.5, warmup_iters=0, min_lr=0.01)
    by_hand = make_trainer().model
    decay = [p for p in by_hand.parameters() if p.ndim == 2]
    rest = [p for p in by_hand.parameters() if p.ndim == 1]
    groups = [
        {"params": decay, "weight_decay": 0.2},
        {"params": rest, "weight_decay": 0},
    ]
    adamw = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99))
    for log in trainer:
        x, y = batch_at(torch.tensor(ids[:300]), 4, 8, step=log.step - 1)
        loss = F.cross_entropy(by_hand(x).flatten(0, 1), y.flatten())
        adamw.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(by_hand.parameters(), 0.5)
        adamw.step()
        assert (log.loss, log.grad_norm) == pytest.approx(
            (loss.item(), norm.item()), rel=1e-4
        )
        assert log.learning_rate == 0.01
    for a, b in zip(trainer.model.parameters(), by_hand.parameters(), strict=True):
        assert_close(a, b, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_learns(make_trainer, optimizer, precision):
    trainer = make_trainer(optimizer=optimizer, precision=precision, max_iters=60)
    logs = list(trainer)
    assert logs[-1].val_loss < 0.75 * math.log(11)


COMPILED = """
import shutil
from functools import partial

import torch
from torch._dynamo.utils import counters
from llmlib import GPT, Trainer, fast_recipe

def losses(**settings):
    shape, config = fast_recipe(11, 8, n_layer=1, n_embd=16, max_iters=6, **settings)
    torch.manual_seed(0)
    ids = torch.arange(300) ** 2 % 11
    trainer = Trainer(GPT(shape), ids, ids[:50], config)
    return torch.tensor([log.loss for log in trainer])

if not (shutil.which("g++") or shutil.which("clang++")):  # then all but the C++
    torch.compile = partial(torch.compile, backend="aot_eager")
for precision, rtol in {"float32": 1e-5, "bfloat16": 1e-3}.items():
    plain, compiled = (losses(precision=precision, compile=c) for c in (False, True))
    torch.testing.assert_close(compiled, plain, atol=0, rtol=rtol)
assert counters["stats"]["unique_graphs"] > 0
"""


def test_a_compiled_training_is_the_same_training():
    """In a process of its own: what checks types and shapes here cannot be compiled."""
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


WITHOUT_THE_COMPILER = """
import sys, torch
from llmlib import GPT, Trainer, fast_recipe

model_config, config = fast_recipe(11, 8, n_embd=32, max_iters=2, batch_size=4)
ids = torch.arange(300) ** 2 % 11
trainer = Trainer(GPT(model_config), ids, ids[:50], config)
print(len(list(trainer)))
trainer.save(sys.argv[1])
print("torch._dynamo" in sys.modules)
"""


def test_a_training_does_not_wait_for_the_compiler(tmp_path):
    """Importing it takes about as long as importing torch."""
    command = [sys.executable, "-c", WITHOUT_THE_COMPILER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["2", "False"], done.stderr


def test_logs_say_what_happened(make_trainer, ids):
    trainer = make_trainer()
    logs = list(trainer)
    assert [log.step for log in logs] == list(range(1, 9))
    measured = [log.step for log in logs if log.val_loss is not None]
    assert measured == [3, 6, 8]
    assert {log.tokens for log in logs} == {4 * 8}
    assert all(log.seconds > 0 for log in logs)
    assert logs[-1].val_loss == mean_loss(trainer.model, torch.tensor(ids[300:]))
    assert list(trainer) == []


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_model_is_up_to_date_between_steps(make_trainer, precision):
    trainer = make_trainer(model={"dropout": 0.1}, precision=precision)
    before = {name: t.clone() for name, t in weights(trainer.model).items()}
    for _ in trainer:
        now = weights(trainer.model)
        assert not trainer.model.training
        assert all(t.dtype == torch.float32 for t in now.values())
        assert not torch.equal(
            now["embed_tokens.weight"], before["embed_tokens.weight"]
        )
        before = {name: t.clone() for name, t in now.items()}


def test_bfloat16_follows_float32(make_trainer):
    exact = make_trainer(max_iters=30)
    rough = make_trainer(max_iters=30, precision="bfloat16")
    for a, b in zip(exact, rough, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=0.03)
    assert not same_weights(exact.model, rough.model)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_accumulation_equals_the_big_batch(make_trainer, precision):
    big = make_trainer(batch_size=12, precision=precision)
    small = make_trainer(
        batch_size=4, gradient_accumulation_steps=3, precision=precision
    )
    near = {"rel": 1e-4 if precision == "float32" else 0.02}
    for a, b in zip(big, small, strict=True):
        assert (a.loss, a.tokens) == pytest.approx((b.loss, b.tokens), **near)
        assert a.grad_norm == pytest.approx(b.grad_norm, **near)


def test_the_seed_decides_alone(make_trainer):
    runs = []
    for noise, seed in ((1, 0), (2, 0), (1, 5)):
        trainer = make_trainer(model={"dropout": 0.3}, seed=seed)
        logs = []
        for log in trainer:
            logs.append(log)
            torch.manual_seed(noise)  # what others draw does not matter
        runs.append(numbers(logs))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_best_weights_are_kept(make_trainer, monkeypatch):
    losses = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(trainer_module, "mean_loss", lambda *_, **__: next(losses))
    trainer = make_trainer()
    with pytest.raises(ValueError, match="step 0"):
        trainer.best_model()
    best = {}
    for log in trainer:
        if log.step == 6:
            best = {n: t.clone() for n, t in weights(trainer.model).items()}
    assert (trainer.best_step, trainer.best_val_loss) == (6, 1.0)
    assert not torch.equal(weights(trainer.model)["norm.weight"], best["norm.weight"])
    copied = trainer.best_model()
    assert all(torch.equal(t, best[n]) for n, t in weights(copied).items())
    assert not torch.equal(weights(trainer.model)["norm.weight"], best["norm.weight"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops(make_trainer, value, precision):
    trainer = make_trainer(precision=precision)
    for _ in range(4):
        next(trainer)
    best = {n: t.clone() for n, t in trainer.best_weights.items()}
    with torch.no_grad():
        trainer.model.norm.weight[0] = value
    with pytest.raises(TrainingDivergedError, match="step 5 has the loss nan"):
        next(trainer)
    assert trainer.step == 4
    assert trainer.best_step == 3
    assert all(torch.equal(t, best[n]) for n, t in trainer.best_weights.items())


def test_a_validation_loss_that_is_no_number_stops(make_trainer, monkeypatch):
    trainer = make_trainer()
    monkeypatch.setattr(trainer_module, "mean_loss", lambda *_, **__: math.nan)
    with pytest.raises(TrainingDivergedError, match=r"after step 3 .* nan"):
        list(trainer)
    assert trainer.best_step is None


def press_after(monkeypatch, owner, name, nth):
    """Ctrl-C, as Python delivers it, once the nth call of a function has returned."""
    original, calls = getattr(owner, name), []

    def press(*args, **kwargs):
        result = original(*args, **kwargs)
        calls.append(name)
        if len(calls) == nth:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(owner, name, press)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_interrupted_step_is_made_again(make_trainer, monkeypatch, precision):
    expected = numbers(make_trainer(precision=precision))
    trainer = make_trainer(precision=precision)
    logs = [next(trainer), next(trainer)]
    press_after(monkeypatch, torch.Tensor, "backward", 1)
    with pytest.raises(KeyboardInterrupt):
        next(trainer)
    assert not trainer.model.training
    assert numbers([*logs, *trainer]) == expected


@pytest.mark.parametrize("max_iters", [3, 8])
def test_an_interrupted_validation_is_made_again(make_trainer, monkeypatch, max_iters):
    expected = make_trainer(max_iters=max_iters)
    logs = numbers(expected)
    trainer = make_trainer(max_iters=max_iters)
    found = [next(trainer), next(trainer)]
    with monkeypatch.context() as patched:
        press_after(patched, trainer_module, "mean_loss", 1)
        with pytest.raises(KeyboardInterrupt):
            next(trainer)
    assert numbers([*found, *trainer]) == logs
    assert trainer.best_step == expected.best_step


def test_weights_that_could_not_be_kept_are_not_the_best(
    make_trainer, monkeypatch, tmp_path
):
    expected = make_trainer()
    logs = numbers(expected)
    trainer = make_trainer()
    found = [next(trainer), next(trainer)]
    with monkeypatch.context() as patched:
        press_after(patched, trainer_module, "weights", 1)
        with pytest.raises(KeyboardInterrupt):
            next(trainer)
    assert trainer.best_step is None
    make_trainer().resume(trainer.save(tmp_path))
    assert numbers([*found, *trainer]) == logs
    assert same_weights(trainer.best_model(), expected.best_model())


def test_a_step_leaves_the_generator_as_it_was(make_trainer):
    trainer = make_trainer(model={"dropout": 0.1})
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    next(trainer)
    assert torch.equal(torch.rand(3), expected)


def test_half_a_step_is_never_gone_on_from(make_trainer, monkeypatch, tmp_path):
    changes = {"optimizer": "muon", "model": {"tie_word_embeddings": False}}
    expected = numbers(make_trainer(**changes))
    trainer = make_trainer(**changes)
    logs = [next(trainer), next(trainer)]
    trainer.save(tmp_path)
    with monkeypatch.context() as patched:
        press_after(patched, trainer.optimizers[0], "step", 1)
        with pytest.raises(KeyboardInterrupt):
            next(trainer)
    for go_on in (trainer.__next__, lambda: trainer.save(tmp_path)):
        with pytest.raises(RuntimeError, match="step 3 was interrupted halfway"):
            go_on()
    assert numbers([*logs, *trainer.resume(tmp_path)]) == expected


def test_trains_a_bigram(ids):
    model = Bigram(11)
    config = TrainConfig(block_size=16, max_iters=40, learning_rate=0.2, warmup_iters=0)
    logs = list(Trainer(model, ids, ids, config))
    assert logs[-1].val_loss < 1


@pytest.mark.parametrize(
    ("train_ids", "val_ids", "error", "message"),
    [
        ([0] * 8, [0, 1], ValueError, r"train_ids need at least 9 ids .* \(8,\)"),
        ([0] * 9, [0], ValueError, r"val_ids need at least 2 ids .* \(1,\)"),
        ([], [0, 1], ValueError, r"train_ids .* \(0,\)"),
        ([[0] * 9], [0, 1], ValueError, r"train_ids .* \(1, 9\)"),
        ([0] * 8 + [11], [0, 1], ValueError, "train_ids run from 0 to 11, .* 0 to 10"),
        ([0] * 9, [0, -1], ValueError, "val_ids run from -1 to 0, allowed are 0 to 10"),
        ([0.5] * 9, [0, 1], TypeError, "train_ids must be integers, got torch.float32"),
        ([True] * 9, [0, 1], TypeError, "train_ids must be integers, got torch.bool"),
    ],
)
def test_refuses_ids(make_trainer, train_ids, val_ids, error, message):
    model = make_trainer().model
    with pytest.raises(error, match=message):
        Trainer(model, train_ids, val_ids, TrainConfig())


def test_takes_ids_of_16_bits(make_trainer, ids):
    expected = numbers(make_trainer())
    trainer = make_trainer()
    model, config = make_trainer().model, trainer.config
    row = np.array(ids, dtype=np.uint16)
    assert numbers(Trainer(model, row[:300], row[300:], config)) == expected
    with pytest.raises(ValueError, match="train_ids run from 0 to 65535"):
        Trainer(model, np.array([0] * 8 + [65535], dtype=np.uint16), ids, config)


def test_a_parallel_model_is_trained_as_the_model_itself(make_trainer, ids):
    plain = make_trainer()
    model = torch.nn.DataParallel(make_trainer().model)
    config = replace(plain.config, block_size=None)  # the model knows its own
    parallel = Trainer(model, ids[:300], ids[300:], config)
    assert numbers(parallel) == numbers(plain)
    assert mean_loss(model, torch.tensor(ids)) == mean_loss(
        plain.model, torch.tensor(ids)
    )


class Averaging(torch.nn.Module):
    """A model of somebody's own, with a running mean beside its parameters."""

    block_size, vocab_size = 8, 11

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(11, 11)
        self.register_buffer("running_mean", torch.zeros(11))

    def forward(self, ids):
        logits = self.table(ids)
        if self.training:
            self.running_mean.lerp_(logits.detach().mean((0, 1)), 0.1)
        return logits - self.running_mean


def test_what_is_no_parameter_is_trained_in_float32_alone(ids):
    settings = {"device": "cpu", "max_iters": 3, "warmup_iters": 0, "eval_interval": 3}
    trainer = Trainer(
        Averaging(), ids, ids, TrainConfig(precision="float32", **settings)
    )
    list(trainer)
    assert trainer.model.running_mean.any()
    with pytest.raises(ValueError, match=r'running_mean .* take precision="float32"'):
        Trainer(Averaging(), ids, ids, TrainConfig(precision="bfloat16", **settings))


def test_refuses_a_model_that_cannot_learn(make_trainer, ids):
    model = packed(make_trainer().model)
    with pytest.raises(ValueError, match="no parameters to train: all are frozen"):
        Trainer(model, ids, ids, TrainConfig(device="cpu"))


def test_refuses_a_context_that_the_model_does_not_read(make_trainer):
    with pytest.raises(ValueError, match="9 positions do not fit into block_size=8"):
        make_trainer(block_size=9)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("max_iters", 0, "max_iters must be at least 1, got 0"),
        ("batch_size", -3, "batch_size .* got -3"),
        ("block_size", 0, "block_size .* got 0"),
        ("learning_rate", 0.0, "learning_rate must be positive"),
        ("learning_rate", math.nan, "learning_rate .* got nan"),
        ("head_lr", math.inf, "head_lr .* got inf"),
        ("min_lr", 1.0, "min_lr must lie between 0 and learning_rate=0.001, got 1.0"),
        ("beta2", 1.0, "beta2 must be at least 0 and below 1, got 1.0"),
        ("weight_decay", -0.1, "weight_decay .* got -0.1"),
        ("grad_clip", math.nan, "grad_clip .* got nan"),
        ("cooldown", 0.0, "cooldown .* got 0.0"),
        ("warmup_iters", -1, "warmup_iters .* below max_iters=2000, got -1"),
        ("warmup_iters", 2000, "warmup_iters .* below max_iters=2000, got 2000"),
        ("seed", -1, "seed .* got -1"),
        ("optimizer", "sgd", "unknown optimizer 'sgd'; allowed: adamw, muon"),
        ("schedule", "none", "unknown schedule 'none'; allowed: cosine, trapezoid"),
        (
            "precision",
            "half",
            "unknown precision 'half'; allowed: auto, float32, bfloat16",
        ),
        ("device", "abacus", "device 'abacus' is not to be had here"),
    ],
)
def test_config_refuses_values(name, value, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_iters", 1.5),
        ("batch_size", True),
        ("learning_rate", "0.1"),
        ("device", None),
    ],
)
def test_config_refuses_types(name, value):
    with pytest.raises(TypeError, match=f"{name} must be .*, got {value!r}"):
        TrainConfig(**{name: value})


def test_config_is_json_and_resolves_auto():
    config = TrainConfig(learning_rate=3e-4, optimizer="muon")
    assert TrainConfig(**json.loads(json.dumps(asdict(config)))) == config
    resolved = config.resolved()
    assert resolved.device in ("cpu", "cuda", "mps")
    assert resolved.precision in ("float32", "bfloat16")
    assert resolved.resolved() == resolved
    assert TrainConfig(precision="float32").resolved().precision == "float32"


def test_rows_and_validation_begin_at_documents_where_start_ids_are_given():
    torch.manual_seed(0)
    ids = torch.randint(1, 8, (400,))
    ids[::20] = 0
    config = TrainConfig(max_iters=1, batch_size=4, device="cpu", precision="float32")
    seen = []

    class Watched(Bigram):
        block_size = 6

        def forward(self, rows):
            seen.append(rows[:, 0])
            return super().forward(rows)

    trainer = Trainer(Watched(8), ids, ids[:100], config, start_ids=[0])
    del seen[:]
    log = next(trainer)
    assert [len(first) for first in seen] == [4, 5]
    after = set(ids[1::20].tolist())
    assert set(seen[0].tolist()) <= {0} | after
    assert set(seen[1].tolist()) == {0}
    starts = [0, 20, 40, 60, 80]
    rows = ids[:100].unfold(0, 7, 1)[starts]
    expected = next_token_loss(trainer.model(rows[:, :-1]), rows[:, 1:])
    assert log.val_loss == pytest.approx(expected.item())
    with pytest.raises(ValueError, match="no row of 7 ids begins with"):
        Trainer(Watched(8), ids, ids[1:15], config, start_ids=[0])
