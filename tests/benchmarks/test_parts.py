"""Longer trainings for the chapters on the model."""

import json

import torch

from benchmarks import parts
from llmlib import GPT, GPTConfig, next_token_loss


def test_it_runs(check_command):
    threads = torch.get_num_threads()
    record = parts.measure(quick=True)
    torch.set_num_threads(threads)
    assert json.loads(json.dumps(record)) == record
    assert tuple(record["positions"]) == parts.KINDS
    ends = [run["within"] for (run,) in record["positions"].values()]
    assert len(set(ends)) == len(ends)
    assert record["heads"].keys() == parts.WHERE.keys()
    for by_number in record["heads"].values():
        one, eight = by_number.values()
        assert one != eight
    check_command(parts, "parts", record)


def test_losses_by_position():
    model = GPT(GPTConfig(11, 8, n_layer=1, n_head=2, n_embd=16)).eval()
    rows = torch.randint(11, (150, 9))  # more than are read at a time
    found = parts.by_position(model, rows)
    assert found.shape == (8,)
    whole = next_token_loss(model(rows[:, :-1]), rows[:, 1:])
    torch.testing.assert_close(found.mean(), whole)
    last = next_token_loss(model(rows[:, :-1])[:, -1:], rows[:, -1:])
    torch.testing.assert_close(found[-1], last)


def test_the_trainings_are_the_chapters(code_of):
    code = code_of("model/embeddings")
    shape = '{"n_layer": 2, "n_head": 2, "n_embd": 64, "max_iters": 250}'
    assert f"shape = {shape}" in code
    assert parts.SMALL.items() <= json.loads(shape).items()
    rates = {k: v for k, v in parts.RATES.items() if k != "precision"}
    assert f"rates = {json.dumps(rates)}" in code
    assert f'precision="{parts.RATES["precision"]}"' in code
    assert f"replace(train_config, block_size={parts.ROW})" in code
    assert f"fast_recipe(V, {parts.READ}, **shape" in code
    assert str(parts.KINDS) in code.replace('"', "'")
    code = code_of("model/multihead")
    assert '"n_layer": 2, "n_head": n_head, "n_embd": 64, "max_iters": 130' in code
    assert "fast_recipe(512, 128, **shape, batch_size=8" in code
