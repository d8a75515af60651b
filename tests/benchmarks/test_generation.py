"""The benchmark of writing runs, and transformers gets the same model."""

import json
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from benchmarks import generation
from benchmarks.elsewhere import to_transformers, write_with
from llmlib import GPT, generate


def test_it_runs(stand_in, check_command):
    stand_in(generation)
    threads = torch.get_num_threads()
    record = generation.measure(quick=True)
    assert torch.get_num_threads() == threads
    assert record["machine"]["threads"] == 1
    assert json.loads(json.dumps(record)) == record
    for shape in record["speed"].values():
        assert shape["one text"]["transformers"]["ratio"]["median"] == 1
        assert len(shape["one text"]) == len(shape["8 texts"]) + 1 == 6
    for results in record["quality"].values():
        assert results["packed float32"]["bits lost, %"] == pytest.approx(0, abs=0.01)
        assert results["packed float32"]["texts the same"] == results["texts"] == 20
    table = generation.table(record)
    for name in ("ours, no cache", "packed int8", "transformers", "bfloat16"):
        assert f"  {name} " in table
    check_command(generation, "generation", record)


@pytest.mark.parametrize("bias", [True, False])
def test_transformers_has_the_same_model(bias):
    torch.manual_seed(0)
    config = replace(generation.SMALL, n_layer=2, n_head=2, n_embd=32, bias=bias)
    model = GPT(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    theirs = to_transformers(model)
    ids = torch.randint(65, (2, 20))
    with torch.no_grad():
        assert_close(theirs(ids).logits, model(ids), atol=1e-4, rtol=1e-4)
    rows = write_with(theirs, ids, 30)
    assert rows == [list(generate(model, row, 30, generation.GREEDY)) for row in ids]
    with pytest.raises(KeyError):
        to_transformers(GPT(replace(config, positions="none")))


def test_agreement():
    assert generation._agreement([1, 2, 3], [1, 2, 3]) == 3
    assert generation._agreement([1, 2, 3], [1, 0, 3]) == 1
    assert generation._agreement([], []) == 0
