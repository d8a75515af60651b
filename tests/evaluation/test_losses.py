"""The fast cross-entropy against PyTorch's: values, gradients, precisions."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from llmlib.evaluation.losses import ROWS, mean_cross_entropy


@pytest.mark.parametrize("n", [1, ROWS - 1, ROWS, 2 * ROWS + 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_equals_torch_in_value_and_gradient(n, dtype, scale):
    torch.manual_seed(0)
    logits = (3 * torch.randn(n, 50)).to(dtype).requires_grad_()
    same = logits.detach().clone().requires_grad_()
    targets = torch.randint(50, (n,))
    ours = mean_cross_entropy(logits, targets)
    wide = same if dtype == torch.float64 else same.float()
    theirs = F.cross_entropy(wide, targets)
    assert_close(ours, theirs)
    (scale * ours).backward()
    (scale * theirs).backward()
    close = {"atol": 1e-2, "rtol": 2e-2} if dtype == torch.bfloat16 else {}
    assert logits.grad.dtype == dtype
    assert_close(logits.grad, same.grad, **close)


def test_gradient_is_that_of_finite_differences():
    torch.manual_seed(0)
    logits = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(5, (7,))
    assert torch.autograd.gradcheck(lambda x: mean_cross_entropy(x, targets), logits)


def test_a_gradient_of_the_gradient_is_refused():
    logits = torch.randn(7, 5, requires_grad=True)
    loss = mean_cross_entropy(logits, torch.randint(5, (7,)))
    with pytest.raises(RuntimeError, match="no second derivative on a CPU"):
        torch.autograd.grad(loss, logits, create_graph=True)


def test_no_gradient_is_made_where_none_is_asked_for():
    with torch.no_grad():
        assert not mean_cross_entropy(
            torch.randn(3, 5), torch.tensor([0, 1, 2])
        ).requires_grad
    assert not mean_cross_entropy(torch.randn(1, 5), torch.tensor([0])).requires_grad


def test_impossible_tokens_cost_infinitely_many_nats():
    logits = torch.tensor([[0.0, float("-inf")]])
    assert mean_cross_entropy(logits, torch.tensor([1])).item() == float("inf")
    assert mean_cross_entropy(logits, torch.tensor([0])).item() == 0


@pytest.mark.parametrize(
    ("dtype", "nats"),
    [(torch.float32, [86, 88, 100, 102, 200]), (torch.float64, [700, 744, 900])],
)
def test_the_unlikeliest_tokens_cost_what_they_do_without_a_gradient(dtype, nats):
    for distance in nats:
        logits = torch.tensor([[0.0, -distance]], dtype=dtype, requires_grad=True)
        loss = mean_cross_entropy(logits, torch.tensor([1]))
        assert loss.item() == pytest.approx(distance, rel=1e-6)
