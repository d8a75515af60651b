"""The benchmarks of training run, compare what they say they compare, and find the
shortest length that reaches a loss.
"""

import json
import time

import pytest
import torch

from benchmarks import shakespeare, speedrun, sweep, training, variants
from benchmarks.baseline import Baseline, BaselineGPT, BaselineTraining
from benchmarks.ladder import RUNGS, ladder
from llmlib import plain_recipe
from llmlib.model.gpt import GPT


@pytest.fixture
def small(stand_in, monkeypatch):
    """Another text, and a short piece of it to validate on."""
    stand_in(training)
    training.shakespeare.cache_clear()
    tokenizer, ids, val_ids = training.shakespeare()
    training.shakespeare.cache_clear()
    monkeypatch.setattr(
        training, "shakespeare", lambda tuning=False: (tokenizer, ids, val_ids[:500])
    )


def test_both_take_turns(small):
    threads = torch.get_num_threads()
    measured = training.measure(training.SECTIONS["1.8976"], seeds=2, quick=True)
    torch.set_num_threads(threads)
    assert json.loads(json.dumps(measured)) == measured
    for runs in measured["runs"].values():
        assert [run["seed"] for run in runs] == [0, 1]
        assert all(run["steps"] == 3 and run["seconds"] > 0 for run in runs)
    assert measured["reached"] == {"ours": 0, "baseline": 0}  # after three steps


def test_both_recipes_run(small, monkeypatch, check_command):
    monkeypatch.setattr(shakespeare, "shakespeare", training.shakespeare)
    record = shakespeare.measure(quick=True)
    assert json.loads(json.dumps(record)) == record
    assert [run["recipe"] for run in record["runs"]] == ["fast", "plain"]
    assert all(run["steps"] == 3 for run in record["runs"])
    check_command(shakespeare, "shakespeare", record)


def test_each_variant_is_another_training(small, check_command):
    threads = torch.get_num_threads()
    record = variants.measure(quick=True)
    torch.set_num_threads(threads)
    assert json.loads(json.dumps(record)) == record
    assert record["series"].keys() == variants.SERIES.keys()
    for title, series in variants.SERIES.items():
        losses = record["series"][title]["losses"]
        assert losses.keys() == series.variants.keys()
        ends = [tuple(each) for each in losses.values()]
        assert len(set(ends)) == len(ends)  # each of them is another training
    check_command(variants, "variants", record)


def test_every_size_of_ours_is_within_the_baselines():
    allowed = 1.01 * 795_904  # as nanoGPT counts, without positions
    for settings in training.OURS.values():
        config, _ = training.fast_recipe(65, 64, **settings)
        assert sum(p.numel() for p in GPT(config).parameters()) <= allowed


def test_the_baseline_is_gpt2_in_small():
    config = Baseline()
    model = BaselineGPT(config)
    ours, plan = plain_recipe(65, 64)
    count = sum(p.numel() for p in model.parameters())
    assert count == sum(p.numel() for p in GPT(ours).parameters())
    assert count - config.block_size * config.n_embd == 795_904
    twin = GPT(ours)
    with torch.no_grad():
        parts = zip(twin.parameters(), _in_our_order(model), strict=True)
        for mine, other in parts:
            mine.copy_(other)
    ids = torch.randint(65, (2, 64))
    torch.testing.assert_close(model(ids), twin(ids), rtol=1e-4, atol=1e-5)
    rates = BaselineTraining(model, torch.zeros(100, dtype=torch.long), config)
    rates.step = 50
    assert rates.rate() == pytest.approx(51 / 101 * plan.learning_rate)
    rates.step = 2000
    assert rates.rate() == pytest.approx(plan.min_lr)


def _in_our_order(model):
    """The baseline's weights as our GPT names them: embeddings, blocks, norm."""
    yield model.tokens.weight
    yield model.positions.weight
    for block in model.blocks:
        yield block.ln_1.weight
        yield from block.attention.qkv.weight.chunk(3)
        yield block.attention.proj.weight
        yield block.ln_2.weight
        yield block.up.weight
        yield block.proj.weight
    yield model.norm.weight


@pytest.mark.parametrize("first", [100, 40, 66])
def test_the_length_that_reaches_the_target_is_found_between_two(first):
    def pretend(steps, seed):  # reaches it at 60 steps, from whichever seed
        return {
            "steps": steps,
            "loss": speedrun.TARGET + (60 - steps) / 100,
            "tokens": 10 * steps,
            "seconds": steps / 5,
            "parameters": 7,
        }

    runs = speedrun.bracket(pretend, first, seeds=2)
    shorter, longer = sorted({run["steps"] for run in runs})
    assert 0.8 * longer < shorter < 60 <= longer
    found = speedrun.summary("made up", runs)
    assert (found["steps"], found["tokens"], found["seconds"]) == (60, 600, 12.0)
    assert found["seconds by seed"] == [12.0, 12.0]
    timed = speedrun.summary("made up", runs, pace=0.5)
    assert (timed["steps"], timed["seconds"]) == (60, 30.0)
    assert timed["seconds by seed"] == [30.0, 30.0]


def test_the_sweep_measures_on_the_tuning_split(monkeypatch):
    asked = []

    def pretend(settings, seed, tuning=False):
        asked.append((settings["learning_rate"], settings["min_lr"], tuning))
        return {"loss": abs(settings["learning_rate"] - 4e-3)}

    monkeypatch.setattr(sweep, "train_baseline", pretend)
    losses = sweep.sweep(3)
    assert min(losses, key=lambda rate: losses[rate]) == 4e-3
    assert all(low == pytest.approx(rate / 10) for rate, low, _ in asked)
    assert all(tuning for _, _, tuning in asked)


def test_the_best_rate_is_taken_further(monkeypatch, check_command):
    threads = torch.get_num_threads()
    monkeypatch.setattr(sweep, "sweep", lambda steps: {2e-3: 2.0, 4e-3: 1.9})

    def pretend(settings, seed):
        steps = settings["max_iters"]
        run = {"steps": steps, "tokens": 10 * steps, "seconds": 1.0, "parameters": 7}
        return run | {"loss": speedrun.TARGET + (600 - steps) / 1000 + seed / 100}

    monkeypatch.setattr(sweep, "train_baseline", pretend)
    assert "result" not in sweep.measure(quick=True)
    record = sweep.measure()
    torch.set_num_threads(threads)
    assert record["sweep"]["best"] == 4e-3
    assert record["result"]["steps"] == pytest.approx(605, abs=1)
    check_command(sweep, "sweep", record)


def test_what_is_tuned_on_is_not_in_the_table(stand_in):
    stand_in(training)
    training.shakespeare.cache_clear()
    _, ids, _ = training.shakespeare()
    _, tune_ids, tune_val_ids = training.shakespeare(tuning=True)
    training.shakespeare.cache_clear()
    assert torch.equal(torch.cat([tune_ids, tune_val_ids]), ids)


@pytest.mark.parametrize(("steps", "most"), [(3, 0), (70, 7), (3000, 100)])
def test_a_rung_warms_up_for_a_tenth_at_most(small, monkeypatch, steps, most):
    monkeypatch.setattr(speedrun, "shakespeare", training.shakespeare)
    monkeypatch.setattr(speedrun, "train", lambda model_config, config: config)
    for rung in ladder(RUNGS):
        config = speedrun.run(rung, steps, seed=0)
        short = rung.training.get("warmup_iters", 100)
        assert (config.max_iters, config.warmup_iters) == (steps, min(short, most))


def test_each_rung_keeps_what_came_before():
    whole = ladder(RUNGS)
    assert [rung.name for rung in whole] == [rung.name for rung in RUNGS]
    assert whole[-1].training["optimizer"] == "muon"
    assert whole[-1].model["n_layer"] == 1
    assert whole[0].model == {}
    assert "smear" not in whole[-6].model
    assert whole[-5].model["smear"] == 3


def test_the_last_rung_is_within_the_baselines_size():
    racer = speedrun.racers()[RUNGS[-1].name]
    assert sum(p.numel() for p in racer.model.parameters()) <= 1.01 * 795_904


def test_the_pace_of_a_rung_is_that_of_its_own_steps_in_turns(monkeypatch):
    turns = []

    class Racer:
        def __init__(self, seconds):
            self.seconds = seconds

        def __next__(self):
            turns.append(self.seconds)
            time.sleep(self.seconds)

    racers = {"slow": Racer(0.02), "fast": Racer(0.0)}
    monkeypatch.setattr(speedrun, "racers", lambda: racers)
    pace = speedrun.paces(3)
    assert turns == [0.02, 0.0] * 4  # the first round warms up
    assert pace["fast"] < 0.02 <= pace["slow"]


def test_a_rung_that_is_none_is_named(capsys):
    with pytest.raises(SystemExit):
        speedrun.main(["--quick", "--only", "a smear"])
    assert "invalid choice: 'a smear' (choose from" in capsys.readouterr().err
