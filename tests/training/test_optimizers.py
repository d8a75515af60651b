"""Muon against torch.optim.Muon and the singular value decomposition; who decays, and who
moves at which rate.
"""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from llmlib.model.gpt import GPT
from llmlib.training.config import TrainConfig
from llmlib.training.optimizers import (
    NEWTON_SCHULZ,
    POLAR_EXPRESS,
    AdamW,
    Muon,
    build_optimizers,
    clip_gradient,
    orthogonalize,
)
from llmlib.training.recipes import fast_recipe

SHAPES = [(16, 16), (16, 16), (48, 16), (16, 48), (16, 16)]


def matrices(scale: float = 1.0) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [
        nn.Parameter(scale * torch.randn(shape, generator=generator))
        for shape in SHAPES
    ]


def steps(optimizer, parameters, n=4):
    generator = torch.Generator().manual_seed(1)
    for _ in range(n):
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.8, 0.95])
def test_muon_moves_as_torch_muon(momentum, weight_decay):
    ours, theirs = matrices(), matrices()
    shared = {"lr": 0.02, "momentum": momentum, "weight_decay": weight_decay}
    steps(Muon(ours, **shared, polynomials=NEWTON_SCHULZ), ours)
    steps(torch.optim.Muon(theirs, **shared, nesterov=True), theirs)
    for a, b, start in zip(ours, theirs, matrices(), strict=True):
        moved = (b - start).norm()
        assert moved > 0.1
        assert (a - b).norm() < 0.02 * moved  # both compute in bfloat16


@pytest.mark.parametrize("fused", [False, True])
def test_adamw_moves_as_torch_adamw(fused):
    ours, theirs = matrices(), matrices()
    shared = {"lr": 0.02, "betas": (0.9, 0.95), "weight_decay": 0.1, "fused": fused}
    steps(AdamW(ours, **shared), ours)
    steps(torch.optim.AdamW(theirs, **shared), theirs)
    assert_close(ours, theirs, atol=0, rtol=0)


def test_a_copy_of_muon_moves_alike():
    parameters = matrices()
    muon = Muon(parameters, polynomials=NEWTON_SCHULZ, dtype=torch.float32)
    steps(muon, parameters)
    copied, copy = deepcopy((parameters, muon))
    steps(muon, parameters)
    steps(copy, copied)
    assert all(map(torch.equal, parameters, copied))


@pytest.mark.parametrize("shape", [(3, 16, 40), (3, 40, 16)], ids=["wide", "tall"])
def test_orthogonalize_gives_the_polar_factor(shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    before = torch.linalg.svdvals(x / x.norm(dim=(1, 2), keepdim=True))
    assert before.min() < 0.1
    values = torch.linalg.svdvals(orthogonalize(x, NEWTON_SCHULZ))
    assert 0.65 < values.min() < values.max() < 1.35
    values = torch.linalg.svdvals(orthogonalize(x, POLAR_EXPRESS))
    assert 0.1 < values.min() < values.max() < 2
    cubic = (1.5, -0.5, 0.0)  # Newton-Schulz's own, which converges on (0, √3)
    whole = orthogonalize(x, NEWTON_SCHULZ + (cubic,) * 12)
    assert_close(whole, u @ vh, atol=1e-6, rtol=0)


def test_orthogonalize_survives_a_zero_gradient():
    assert orthogonalize(torch.zeros(2, 4, 8), POLAR_EXPRESS).abs().max() == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", -0.1), ("lr", float("nan")), ("momentum", 1.0), ("weight_decay", -1.0)],
)
def test_muon_refuses_values(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least 0 .* got {value}"):
        Muon(matrices(), **{name: value})


def test_muon_does_not_care_how_large_gradients_are():
    ours, theirs = matrices(), matrices()
    for parameters, size in ((ours, 1.0), (theirs, 1e-4)):
        optimizer = Muon(parameters, 0.1, dtype=torch.float32)
        for p in parameters:
            p.grad = size * torch.ones_like(p).cumsum(1)
        optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b)


def test_muon_leaves_parameters_without_gradient():
    parameters = matrices()
    optimizer = Muon(parameters)
    parameters[0].grad = torch.ones_like(parameters[0])
    optimizer.step()
    assert not torch.equal(parameters[0], matrices()[0])
    assert torch.equal(parameters[1], matrices()[1])


def test_muon_refuses_a_vector():
    with pytest.raises(ValueError, match=r"\(7,\)"):
        Muon([nn.Parameter(torch.zeros(7))])


def groups(config: TrainConfig) -> dict[str, tuple[str, float, float]]:
    model_config, _ = fast_recipe(
        vocab_size=20, block_size=8, n_layer=2, n_embd=16, ngram_rows=9
    )
    model = GPT(model_config)
    names = {p: name for name, p in model.named_parameters()}
    found = {
        names[p]: (type(optimizer).__name__, group["peak_lr"], group["weight_decay"])
        for optimizer in build_optimizers(model, config)
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert found.keys() == set(names.values())
    return found


def test_muon_has_the_matrices_of_the_blocks_and_adam_the_rest():
    config = TrainConfig(
        optimizer="muon",
        learning_rate=0.5,
        embedding_lr=0.1,
        head_lr=0.2,
        vector_lr=0.3,
    )
    found = groups(config)
    assert found["embed_tokens.weight"] == ("AdamW", 0.1, 0.1)
    assert found["embed_ngrams.weight"] == ("AdamW", 0.1, 0.1)
    assert found["lm_head.weight"] == ("AdamW", 0.2, 0.1)
    assert found["smear.weight"] == ("AdamW", 0.3, 0.1)
    blocks = {kind for name, kind in found.items() if name.startswith("blocks.")}
    assert blocks == {("Muon", 0.5, 0.1)}


def test_adamw_decays_matrices_and_nothing_else():
    model = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4), nn.Linear(4, 5))
    (optimizer,) = build_optimizers(model, TrainConfig(weight_decay=0.3))
    decay = {p: g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    for p in model.parameters():
        assert decay[p] == (0.3 if p.ndim == 2 else 0.0)


def test_frozen_parameters_have_no_optimizer():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[0].requires_grad_(False)
    (optimizer,) = build_optimizers(model, TrainConfig())
    trained = {p for group in optimizer.param_groups for p in group["params"]}
    assert trained == set(model[1].parameters())


def test_clip_gradient_equals_torch():
    ours, theirs = nn.Linear(6, 6), nn.Linear(6, 6)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        a.grad = torch.randn_like(a)
        b.grad = a.grad.clone()
    norm = clip_gradient(ours, 0.5)
    assert norm == pytest.approx(
        nn.utils.clip_grad_norm_(theirs.parameters(), 0.5).item()
    )
    assert_close(ours.weight.grad, theirs.weight.grad)
    before = ours.weight.grad.clone()
    assert clip_gradient(ours, 0.0) == pytest.approx(0.5, rel=1e-4)
    assert torch.equal(ours.weight.grad, before)
