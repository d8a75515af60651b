"""What the measurements share."""

import json
from importlib import import_module
from pathlib import Path

import pytest

import benchmarks
from benchmarks import __main__ as everything
from benchmarks import machine, startup, throughput


def test_turns_are_taken():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "AB"}
    taken = machine.alternate(runs, rounds=3)
    assert "".join(calls) == "AB" * 4  # the first pair is to warm up
    assert {name: len(seconds) for name, seconds in taken.items()} == {"A": 3, "B": 3}


def test_spread_and_ratios():
    assert machine.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
    slow, fast = [10.0, 30.0], [5.0, 10.0]
    assert machine.ratios(slow, fast) == {"median": 2.5, "min": 2.0, "max": 3.0}


def test_results_say_how_they_were_made(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    path = machine.write_results("name", {"machine": machine.describe("torch")})
    record = json.loads(path.read_text())
    assert record["command"] == "python -m benchmarks.name"
    assert record["machine"]["threads"] >= 1


@pytest.mark.parametrize("name", everything.NAMES)
def test_committed_results_say_how_they_were_made(name):
    record = json.loads((machine.RESULTS / f"{name}.json").read_text())
    assert record["command"] == f"python -m benchmarks.{name}"
    assert record["machine"].keys() == machine.describe("torch").keys()


def test_the_tables_are_those_of_the_committed_results():
    assert everything.README.read_text("utf-8") == everything.tables(), (
        "make them again: python -m benchmarks --tables"
    )


def test_every_measurement_is_run_by_the_whole():
    modules = {path.stem for path in Path(benchmarks.__file__).parent.glob("*.py")}
    runnable = {
        name
        for name in modules - {"__init__", "__main__", "pretrain"}
        if hasattr(import_module(f"benchmarks.{name}"), "main")
    }
    assert set(everything.NAMES) == runnable
    assert set(everything.NAMES) >= everything.QUICK


def test_startup_runs(monkeypatch, check_command):
    imports = {"torch": "pass", "torch, llmlib": "pass"}
    monkeypatch.setattr(startup, "IMPORTS", imports)
    record = startup.measure(quick=True)
    assert json.loads(json.dumps(record)) == record
    assert "llmlib adds" in startup.table(record)
    check_command(startup, "startup", record)


def test_a_step_is_compared_and_a_point_measured(monkeypatch):
    small = {"block_size": 16, "n_layer": 1, "n_embd": 32, "batch_size": 2}
    monkeypatch.setitem(throughput.SHAPES, "0.8 M", small)
    measured = throughput.compare("0.8 M", rounds=2)
    assert measured["times faster"]["median"] > 0
    assert measured["FLOPs a second"]["min"] > 0
    point = throughput.one_point(small, steps=2)
    assert point["FLOPs a token"] > 0
    assert json.loads(json.dumps(point)) == point


@pytest.mark.parametrize(("precision", "share"), [("float32", 0.5), ("bfloat16", 0.1)])
def test_the_peak_is_that_of_the_precision_trained_in(monkeypatch, precision, share):
    peaks = {"float32": 10, "bfloat16": 50}
    measured = {"FLOPs a second": {"median": 5.0}}
    machine = {"bfloat16": precision == "bfloat16"}
    monkeypatch.setattr(throughput, "describe", lambda: machine)
    monkeypatch.setattr(throughput, "peaks", lambda: peaks)
    monkeypatch.setattr(throughput, "compare", lambda name, rounds: dict(measured))
    monkeypatch.setattr(throughput, "grow", lambda quick: {})
    for step in throughput.measure(quick=True)["steps"].values():
        assert step[f"share of the {precision} peak"] == share
