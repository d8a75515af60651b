"""Array shapes written in the package's annotations are checked while the tests run."""

import jaxtyping
import pytest
import torch
from jaxtyping import install_import_hook

CHECKED = [
    "llmlib.evaluation.metrics",
    "llmlib.evaluation.ngrams",
    "llmlib.evaluation.smoothing",
    "llmlib.generation.context",
    "llmlib.generation.packing",
    "llmlib.generation.speculation",
    "llmlib.inside.heads",
    "llmlib.model.attention",
    "llmlib.model.bigram",
    "llmlib.model.blocks",
    "llmlib.model.cache",
    "llmlib.model.gpt",
    "llmlib.model.positions",
    "llmlib.training.gradients",
    "llmlib.training.optimizers",
]

install_import_hook(CHECKED, "beartype.beartype")

# What the tests multiply is small. A second thread gains nothing, and on a busy machine
# threads that wait for each other made the same tests ten times as long.
torch.set_num_threads(1)


@pytest.fixture
def unchecked(monkeypatch):
    """No annotations are checked, so that wrong arguments get as far as a reader's do."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
