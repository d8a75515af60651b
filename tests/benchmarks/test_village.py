"""The chapter's training from several seeds, and models that predict together."""

import json
from pathlib import Path

import torch

from benchmarks import village
from llmlib import GPT, fast_recipe, next_token_loss


def test_several_models_predict_with_the_mean_of_their_log_probabilities():
    config, _ = fast_recipe(11, 8, n_layer=1, n_embd=16, init="scaled_normal")
    models = [GPT(config).eval() for _ in range(3)]
    ids, targets = torch.randint(11, (2, 4, 8))
    weights = [model(ids).softmax(-1) for model in models]
    mean = (weights[0] * weights[1] * weights[2]) ** (1 / 3)  # geometric
    expected = (mean / mean.sum(-1, keepdim=True)).gather(-1, targets[..., None])
    loss = next_token_loss(village.Together(models)(ids), targets)
    torch.testing.assert_close(loss, -expected.log().mean())
    assert village.Together(models).block_size == 8


def test_it_runs(check_command):
    record = village.measure(quick=True)
    assert json.loads(json.dumps(record)) == record
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    assert all(run["steps"] == 3 and run["parameters"] < 1e6 for run in record["runs"])
    assert [pair["seeds"] for pair in record["pairs"]] == [[0, 1]]
    assert [run["seed"] for run in record["anywhere"]] == [0, 1]
    assert record["anywhere"][0]["percent_above"] != record["runs"][0]["percent_above"]
    assert record["runs"][0]["percent_above"] != record["runs"][1]["percent_above"]
    check_command(village, "village", record)


def test_the_training_is_the_chapters():
    page = Path(__file__).parents[2] / "book" / "training" / "training.ipynb"
    cells = json.loads(page.read_text("utf-8"))["cells"]
    code = "".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    for name, number in (village.LENGTH | village.RATES).items():
        assert f"    {name}={number},\n" in code
    for name, number in village.SHAPE.items():
        assert f'    "{name}": {number},\n' in code
    assert "village.sample(32_000, seed=1)" in code
    averaged = village.LENGTH["max_iters"] // 3
    assert f"if log.step > {village.LENGTH['max_iters'] - averaged}:" in code
    assert f"copy_(head_sum / {averaged})" in code
    assert f"replace(train_config, block_size={village.ROW})" in code
