"""The chapter's training from several seeds, and models that predict together."""

import json
from math import log2
from types import SimpleNamespace

import pytest
import torch

from benchmarks import village
from llmlib import (
    GPT,
    CharTokenizer,
    StoryGrammar,
    WordTokenizer,
    fast_recipe,
    next_token_loss,
    token_ids,
)


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


class Knows:
    """A model of characters to which one letter is as likely as three others together."""

    block_size = None

    def __init__(self, tokenizer, letter):
        self.logits = torch.zeros(tokenizer.vocab_size)
        self.logits[tokenizer.encode(letter)] = torch.tensor(3.0).log()

    def __call__(self, ids):
        return self.logits.expand(*ids.shape, -1)


def test_answers_are_judged_among_the_candidates():
    tokenizer = CharTokenizer.train("abcd")
    place = SimpleNamespace(kind="name", start=1, end=2, candidates=("b", "a", "c"))
    for letter, right, bits in (("b", 1, log2(5 / 3)), ("a", 0, log2(5))):
        asked = [("ab", place)]  # nothing follows that would have to be paid for
        found = village.answers(Knows(tokenizer, letter), tokenizer, asked)
        assert found == {"name": pytest.approx([right, bits], rel=1e-5)}


def test_means_are_those_of_the_last_third():
    tokenizer = WordTokenizer.train(StoryGrammar().sample(40, seed=1))
    ids = token_ids(tokenizer, StoryGrammar().sample(40, seed=1))
    seen = []

    def watch(step, model):
        assert step == len(seen) + 1
        seen.append({n: t.clone() for n, t in model.state_dict().items()})

    settings = {"max_iters": 6, "batch_size": 2}
    models, _ = village.train_one(tokenizer, ids, 0, None, watch, **settings)
    ends = {name: model.state_dict() for name, model in models.items()}
    for name, last in seen[-1].items():
        mean = (seen[-2][name] + seen[-1][name]) / 2
        torch.testing.assert_close(ends[village.LAST][name], last)
        torch.testing.assert_close(ends[village.ALL][name], mean)
        head = mean if name == "lm_head.weight" else last
        torch.testing.assert_close(ends[village.HEADS][name], head)


def test_it_runs(check_command):
    record = village.measure(quick=True)
    assert json.loads(json.dumps(record)) == record
    assert [run["seed"] for run in record["runs"]] == [0, 1]
    assert all(run["steps"] == 3 and run["parameters"] < 1e6 for run in record["runs"])
    assert [pair["seeds"] for pair in record["pairs"]] == [[0, 1]]
    assert [run["seed"] for run in record["anywhere"]] == [0, 1]
    assert record["anywhere"][0]["percent_above"] != record["runs"][0]["percent_above"]
    assert record["runs"][0]["percent_above"] != record["runs"][1]["percent_above"]
    assert record["all"] == record["pairs"][0]["percent_above"]  # of two seeds
    for run in record["runs"]:
        assert run["percent_above"] == run["ends"][village.HEADS]
        for kind in village.KINDS:
            right, bits = (run["order"][kind][key] for key in ("right", "bits"))
            assert len(right) == len(bits) == len(record["watched"])
            assert all(0 <= share <= 100 for share in right)
    check_command(village, "village", record)


def test_the_training_is_the_chapters(code_of):
    code = code_of("training/training")
    for name, number in (village.LENGTH | village.RATES).items():
        assert f"    {name}={number},\n" in code
    for name, number in village.SHAPE.items():
        assert f'    "{name}": {number},\n' in code
    assert "village.sample(32_000, seed=1)" in code
    averaged = village.LENGTH["max_iters"] // 3
    assert f"if log.step > {village.LENGTH['max_iters'] - averaged}:" in code
    assert f"copy_(head_sum / {averaged})" in code
    assert f"replace(train_config, block_size={village.ROW})" in code
