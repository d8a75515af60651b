"""The benchmark of guessing runs, and counts readings."""

import json

import torch

from benchmarks import guessing


def test_it_runs(stand_in, check_command):
    stand_in(guessing)
    threads = torch.get_num_threads()
    record = guessing.measure(quick=True)
    assert torch.get_num_threads() == threads
    assert record["machine"]["threads"] == 1
    assert json.loads(json.dumps(record)) == record
    assert record["speed"]["transformers"]["ratio"]["median"] == 1
    assert len(record["speed"]) == 1 + 2 * 4
    for ways in record["readings"].values():
        for result in ways.values():
            assert 1 <= result["tokens per reading"] <= guessing.GUESSES + 1
    assert record["readings"]["float32"]["greedy"]["texts the same"] == 2
    table = guessing.table(record)
    assert "  int8, drawn, draft " in table
    check_command(guessing, "guessing", record)
