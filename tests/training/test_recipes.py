"""The recipes are what they say, and the fast one is."""

from dataclasses import asdict, replace

import pytest
import torch

from llmlib.model.gpt import GPT
from llmlib.training.recipes import fast_recipe, plain_recipe
from llmlib.training.trainer import Trainer


def n_weights(config):
    return sum(p.numel() for p in GPT(config).parameters())


def test_sizes():
    for recipe in (plain_recipe, fast_recipe):
        model, _ = recipe(65)
        assert 790_000 < n_weights(model) < 810_000


def chosen(recipe, *names):
    both = asdict(recipe[1]) | asdict(recipe[0])
    return {name: both[name] for name in names}


def test_the_plain_recipe_is_nanogpts():
    """config/train_shakespeare_char.py, with what its readme changes for a CPU."""
    expected = {
        "block_size": 64,
        "n_layer": 4,
        "n_head": 4,
        "n_embd": 128,
        "dropout": 0.0,
        "bias": False,
        "tie_word_embeddings": True,
        "batch_size": 12,
        "max_iters": 2000,
        "learning_rate": 1e-3,
        "min_lr": 1e-4,
        "beta1": 0.9,
        "beta2": 0.99,
        "weight_decay": 0.1,
        "grad_clip": 1.0,
    }
    recipe = plain_recipe(65)
    assert chosen(recipe, *expected) == expected
    assert recipe[1].warmup_steps == 100


def test_the_fast_recipe_is_the_one_that_was_measured():
    """Whoever changes it measures benchmarks/results anew, and reads the chapters."""
    expected = {
        "block_size": 64,
        "rope_theta": 1000.0,
        "smear": 3,
        "batch_size": 16,
        "learning_rate": 0.03,
        "momentum": 0.8,
        "embedding_lr": 0.02,
        "head_lr": 0.01,
        "vector_lr": 0.1,
        "cooldown": 0.6,
        "grad_clip": 0.0,
        "weight_decay": 0.0,
    }
    assert chosen(fast_recipe(65), *expected) == expected


def test_keywords_reach_the_configs():
    model, training = fast_recipe(100, 32, n_layer=2, n_embd=64, max_iters=50, seed=7)
    assert (model.vocab_size, model.block_size, model.n_layer, model.n_embd) == (
        100,
        32,
        2,
        64,
    )
    assert (training.max_iters, training.seed, training.optimizer) == (50, 7, "muon")
    assert plain_recipe(100, learning_rate=0.5)[1].learning_rate == 0.5
    model, training = fast_recipe(100, n_hidden=40, smear=0, batch_size=3)
    assert (model.n_hidden, model.smear, training.batch_size) == (40, 0, 3)
    with pytest.raises(TypeError, match="colour"):
        plain_recipe(100, colour="red")


def test_the_lowest_rate_of_the_plain_recipe_follows_the_highest():
    for changes, lowest in (
        ({}, 1e-4),
        ({"learning_rate": 5e-5}, 5e-6),
        ({"learning_rate": 5e-5, "min_lr": 0.0}, 0.0),
        ({"schedule": "trapezoid"}, 0.0),
    ):
        assert plain_recipe(10, **changes)[1].min_lr == pytest.approx(lowest)


def test_the_fast_recipe_learns_faster(ids):
    losses = {}
    for recipe in (plain_recipe, fast_recipe):
        model, training = recipe(11, 16, n_layer=2, n_embd=32, max_iters=40)
        torch.manual_seed(0)
        training = replace(training, precision="float32", batch_size=8)
        *_, last = Trainer(GPT(model), ids[:300], ids[300:], training)
        losses[recipe] = last.val_loss
    assert losses[fast_recipe] < losses[plain_recipe] - 0.1
