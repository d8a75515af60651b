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


def test_info_names_what_is_not_as_by_default(capsys):
    assert main(["info", "stories"]) == 0
    lines = capsys.readouterr().out.splitlines()
    sizes = "vocab_size 2,048, block_size 192, n_layer 2, n_head 4, n_embd 128"
    parts = (
        "positions rotary, rope_theta 1000.0, norm_affine False, embedding_norm True, "
        "feed_forward swiglu, smear 3, tie_word_embeddings False, init zero_output"
    )
    assert lines[1:3] == [sizes, parts]
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("vocab_size 1,024")
    assert "positions learned" not in "".join(lines)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_export_writes_a_model_that_loads(char_model, tmp_path, dtype):
    assert main(["export", str(char_model), str(tmp_path), "--dtype", dtype]) == 0
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {getattr(torch, dtype)}
    (model, tokenizer), (expected, _) = load_model(tmp_path), load_model(char_model)
    ids = torch.tensor([tokenizer.encode("a hen sat")])
    torch.testing.assert_close(model(ids), expected(ids), atol=0.05, rtol=0.05)
