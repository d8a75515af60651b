"""Damaged files, and files that do not belong together, are refused in a sentence."""

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from llmlib.text.tokenizers import CharTokenizer
from llmlib.training.saving import load_model


def damaged(change: str, data: bytes) -> bytes:
    """A safetensors file with one fault."""
    length = struct.unpack("<Q", data[:8])[0]
    header, rest = data[8 : 8 + length], data[8 + length :]
    if change == "bit":
        return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]
    changed = {
        "empty": b"",
        "seven bytes": data[:7],
        "cut": data[:-1],
        "half": data[: len(data) // 2],
        "cut in the header": data[:100],
        "huge header": b"\xff" * 8 + data[8:],
        "long header": struct.pack("<Q", 2**22 + 1) + data[8:] + bytes(2**22),
        "no json": data[:8] + b"x" * length + rest,
        "an array": struct.pack("<Q", 2) + b"[]",
        "html": b"<!DOCTYPE html><title>404</title>" * 9,
    }
    if change in changed:
        return changed[change]
    table = json.loads(header)
    tensor = table["blocks.0.attention.q_proj.weight"]
    changes = {
        "dtype": {"dtype": "BF16"},
        "shape": {"shape": [32, 16]},
        "no shape": {"shape": None},
        "offsets": {"data_offsets": [0, 10]},
        "beyond": {"data_offsets": [2**40, 2**40 + 2048]},
        "before": {"data_offsets": [-8, 2040]},
        "no offsets": {"data_offsets": None},
        "null": None,
        "missing": None,
        "extra": {},
    }
    if change in ("missing", "null"):
        del table["blocks.0.attention.q_proj.weight"]
        if change == "null":
            table["blocks.0.attention.q_proj.weight"] = None
    tensor |= changes[change] or {}
    if change == "extra":
        table["lm_head.weight"] = tensor
    header = json.dumps(table).encode()
    return struct.pack("<Q", len(header)) + header + rest


FAULTS = {
    "bit": "model.safetensors is damaged, or from another save",
    "empty": "it has 0 bytes",
    "seven bytes": "it has 7 bytes",
    "cut": "ends at byte",
    "half": "ends at byte",
    "cut in the header": "its header would be",
    "huge header": "its header would be 18446744073709551615 bytes",
    "long header": "is too long",
    "no json": "its header is no JSON",
    "an array": "its header is no JSON object",
    "html": "its header would be",
    "dtype": "as BF16; a page reads F16 and F32",
    "shape": "is [32,16], not [32,32]",
    "no shape": "is null, not [32,32]",
    "offsets": "needs 2048 bytes and has those from 0 to 10",
    "beyond": "ends at byte",
    "before": "needs 2048 bytes",
    "no offsets": "needs 2048 bytes",
    "null": "not [32,32]",
    "missing": "it lacks blocks.0.attention.q_proj.weight",
    "extra": 'it has "lm_head.weight", which the model lacks',
}


def test_damaged_weights_are_refused_in_a_sentence(call_all, saved, tmp_path):
    files = {file.name: file.read_bytes() for file in saved.iterdir()}
    for fault in FAULTS:
        (tmp_path / fault).mkdir()
        for name, data in files.items():
            weights = name == "model.safetensors"
            (tmp_path / fault / name).write_bytes(
                damaged(fault, data) if weights else data
            )
    results = call_all(
        [["open", str(tmp_path / fault)] for fault in ("saved", *FAULTS)]
    )
    assert results[0] == {}
    for result, (fault, words) in zip(results[1:], FAULTS.items(), strict=True):
        assert words in result["error"], fault
        assert result["error"].startswith("model.safetensors ")
        assert result["error"].endswith(".")


def test_a_tokenizer_of_another_save_is_refused(call_all, saved):
    other = CharTokenizer.train("".join(chr(i) for i in range(97, 97 + 34)))
    other.save(saved)
    [result] = call_all([["open", str(saved)]])
    assert (
        result["error"]
        == "tokenizer.json is damaged, or from another save than the rest."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"positions": "alibi"}, 'its positions is "alibi"'),
        ({"norm": None}, "its norm is null"),
        ({"feed_forward": "silu"}, 'its feed_forward is "silu"'),
        ({"attention": "sparse"}, 'its attention is "sparse"'),
        ({"n_layer": 0}, "its n_layer is 0"),
        ({"n_embd": "32"}, 'its n_embd is "32"'),
        ({"n_embd": 2.5}, "its n_embd is 2.5"),
        ({"bias": 1}, "its bias is 1"),
        ({"flash": True}, '"flash" is unknown'),
        ({"n_head": 5}, "no multiple of n_head 5"),
        ({"n_kv_head": 3}, "no multiple of n_kv_head 3"),
        ({"positions": "rotary", "n_head": 32}, "even head size, not 1"),
        ({"window": 4}, "its attention is causal and its window 4"),
        ({"attention": "strided", "window": 4}, "its stride 0"),
        ({"block_size": 2**40}, "more than a page can hold"),
        ({"n_layer": 3}, "config.json says n_layer = 3, and model.safetensors"),
    ],
)
def test_a_config_that_the_page_cannot_run_is_refused(call_all, saved, changes, words):
    config = json.loads((saved / "config.json").read_text()) | changes
    (saved / "config.json").write_text(json.dumps(config))
    [result] = call_all([["open", str(saved)]])
    assert words in result["error"]
    assert result["error"].endswith(".")
    with pytest.raises((ValueError, TypeError)):
        load_model(saved)


def test_every_half_precision_number_is_read_exactly(values, saved):
    halves = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.float16)
    tensors = load_file(saved / "model.safetensors")
    tensors["position_embedding.weight"] = halves.view(2048, 32).clone()
    save_file(tensors, saved / "model.safetensors")
    config = json.loads((saved / "config.json").read_text()) | {"block_size": 2048}
    (saved / "config.json").write_text(json.dumps(config))
    [found] = values([["tensor", str(saved), "position_embedding.weight"]])
    finite = halves.isfinite()
    assert [x is not None for x in found] == finite.tolist()
    numbers = torch.tensor([x for x in found if x is not None])
    assert torch.equal(numbers, halves[finite].float())
