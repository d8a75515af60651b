"""The schedules against torch's, and at their corners."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmlib.training.config import TrainConfig
from llmlib.training.schedules import cosine, multiplier, trapezoid

counts = st.integers(0, 300)
lengths = st.integers(1, 300)


def test_cosine_equals_torch():
    p = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([p], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=50, eta_min=0.1
    )
    for step in range(50):
        ours = cosine(step, warmup_iters=0, max_iters=50, floor=0.1)
        assert ours == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_cosine_corners():
    shape = {"warmup_iters": 10, "max_iters": 110, "floor": 0.1}
    assert cosine(0, **shape) == pytest.approx(1 / 11)
    assert cosine(10, **shape) == 1
    assert cosine(60, **shape) == pytest.approx(0.55)
    assert cosine(110, **shape) == cosine(500, **shape) == 0.1


def test_trapezoid_corners():
    shape = {"warmup_iters": 4, "max_iters": 100, "cooldown": 0.5}
    rates = [trapezoid(step, **shape) for step in range(102)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[4:51] == [1.0] * 47
    assert rates[75] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.02)
    assert rates[100:] == [0.0, 0.0]


@given(counts, counts, lengths, st.floats(0.01, 1))
def test_multipliers_lie_between_0_and_1(step, warmup_iters, max_iters, share):
    shape = {"warmup_iters": warmup_iters, "max_iters": max_iters}
    assert 0 <= trapezoid(step, **shape, cooldown=share) <= 1
    assert min(share, 1 / (warmup_iters + 1)) <= cosine(step, **shape, floor=share) <= 1
    if step < max_iters:
        assert trapezoid(step, **shape, cooldown=share) > 0


def test_the_config_names_the_schedule():
    shared = {"warmup_iters": 5, "max_iters": 40}
    config = TrainConfig(**shared, learning_rate=0.1, min_lr=0.02)
    assert multiplier(30, config) == cosine(30, **shared, floor=0.2)
    config = TrainConfig(**shared, schedule="trapezoid", cooldown=0.7)
    assert multiplier(30, config) == trapezoid(30, **shared, cooldown=0.7)


def test_warm_up_is_a_tenth_of_the_steps_at_most_a_hundred():
    for steps, warmup in ((1, 0), (50, 5), (999, 99), (5000, 100)):
        config = TrainConfig(max_iters=steps)
        assert config.warmup_steps == config.resolved().warmup_iters == warmup
        assert max(multiplier(step, config) for step in range(steps)) == 1
    assert TrainConfig(max_iters=50, warmup_iters=0).resolved().warmup_iters == 0


def test_a_trapezoid_takes_no_least_rate():
    with pytest.raises(
        ValueError, match=r"falls to zero and takes no min_lr, got 1e-05"
    ):
        TrainConfig(schedule="trapezoid", min_lr=1e-5)
