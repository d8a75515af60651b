"""`llmlib info` and `llmlib export`."""

import pytest
import torch
from safetensors.torch import load_file

from llmlib.cli import main
from llmlib.training.saving import load_model


def test_info_counts_what_the_model_has(char_model, capsys):
    model, _ = load_model(char_model)
    n = sum(p.numel() for p in model.parameters())
    capsys.readouterr()
    assert main(["info", str(char_model)]) == 0
    assert f"{n:,}" in capsys.readouterr().out
    assert main(["info", "--n-layer=6", "--n-head=6", "--n-embd=384"]) == 0
    assert "n_layer 6" in capsys.readouterr().out


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_export_writes_a_model_that_loads(char_model, tmp_path, dtype):
    assert main(["export", str(char_model), str(tmp_path), "--dtype", dtype]) == 0
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {getattr(torch, dtype)}
    (model, tokenizer), (expected, _) = load_model(tmp_path), load_model(char_model)
    ids = torch.tensor([tokenizer.encode("a hen sat")])
    torch.testing.assert_close(model(ids), expected(ids), atol=0.05, rtol=0.05)
