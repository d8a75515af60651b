"""Models on disk: what is loaded is what was saved, and all else is refused."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save
from torch import nn

from llmlib.generation.packing import packed
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.text.files import CannotWriteError
from llmlib.text.tokenizers import CharTokenizer
from llmlib.training.files import DamagedFileError
from llmlib.training.saving import (
    load_model,
    model_files,
    save_model,
    with_metadata,
)
from llmlib.training.weights import weights

TEXT = "so it goes\n"
NAMES = {"config.json", "model.safetensors", "tokenizer.json"}
KINDS = {
    "gpt2": {"bias": True},
    "llama": {
        "positions": "rotary",
        "norm": "rmsnorm",
        "feed_forward": "swiglu",
        "n_kv_head": 1,
        "tie_word_embeddings": False,
    },
    "fast": {
        "positions": "rotary",
        "norm_affine": False,
        "ngram_rows": 20,
        "smear": 3,
        "tie_word_embeddings": False,
        "init": "zero_output",
    },
}


@pytest.fixture
def tokenizer():
    return CharTokenizer.train(TEXT)


def make_model(tokenizer, **changes):
    torch.manual_seed(0)
    shape = {"block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16}
    model = GPT(GPTConfig(tokenizer.vocab_size, **shape | changes))
    with torch.no_grad():
        for p in model.parameters():
            p.normal_()
    return model.eval()


@pytest.fixture
def folder(tokenizer, tmp_path):
    save_model(make_model(tokenizer), tokenizer, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("kind", KINDS)
def test_loads_what_was_saved(tokenizer, tmp_path, kind):
    model = make_model(tokenizer, **KINDS[kind])
    save_model(model, tokenizer, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == NAMES
    loaded, read = load_model(tmp_path)
    assert loaded.config == model.config
    assert not loaded.training
    assert read.decode(read.encode(TEXT)) == TEXT
    ids = torch.randint(tokenizer.vocab_size, (3, 8))
    assert torch.equal(loaded(ids), model(ids))
    tied = loaded.lm_head.weight is loaded.embed_tokens.weight
    assert tied == model.config.tie_word_embeddings


def test_loading_draws_nothing_from_the_readers_generator(folder):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    load_model(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_files_are_readable_by_others(folder):
    mask = os.umask(0)
    os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~mask}
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert file.metadata()["format"] == "pt"
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118 (not a mapping)
        assert "blocks.0.attention.q_proj.weight" in file.keys()  # noqa: SIM118


def test_may_be_stored_in_half_the_bytes(tokenizer, tmp_path):
    model = make_model(tokenizer)
    save_model(model, tokenizer, tmp_path, dtype=torch.bfloat16)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.get_tensor("norm.weight").dtype == torch.bfloat16
    loaded, _ = load_model(tmp_path)
    for name, tensor in weights(loaded).items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, weights(model)[name].bfloat16().float())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: torch.compile(model, backend="eager"),
        nn.DataParallel,
        lambda model: nn.DataParallel(torch.compile(model, backend="eager")),
    ],
)
def test_saves_out_of_compiled_and_parallel_wrappers(tokenizer, tmp_path, wrap):
    model = make_model(tokenizer)
    wrapped = wrap(model)
    assert next(iter(wrapped.state_dict())).startswith(("_orig_mod.", "module."))
    assert weights(wrapped).keys() == weights(model).keys()
    save_model(wrapped, tokenizer, tmp_path)
    loaded, _ = load_model(tmp_path)
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight.cpu())


def test_weights_are_stored_as_floating_point_numbers(tokenizer, tmp_path):
    with pytest.raises(ValueError, match=r"floating point one, got torch\.int8"):
        save_model(make_model(tokenizer), tokenizer, tmp_path, dtype=torch.int8)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (
            1e5,
            torch.float16,
            "100000, torch.float16 only 65504; torch.bfloat16 has room",
        ),
        (3.4e38, torch.bfloat16, "3.4e\\+38, torch.bfloat16 only 3.38953e\\+38$"),
        (float("nan"), torch.float32, "nan, its numbers must be finite"),
        (float("-inf"), torch.float16, "inf, its numbers must be finite"),
    ],
)
def test_weights_that_cannot_be_stored_are_refused(
    tokenizer, tmp_path, value, dtype, message
):
    model = make_model(tokenizer)
    with torch.no_grad():
        model.blocks[1].feed_forward.up_proj.weight[2, 3] = value
    name = r"blocks\.1\.feed_forward\.up_proj\.weight (reaches|holds) "
    with pytest.raises(ValueError, match=name + message):
        save_model(model, tokenizer, tmp_path, dtype)
    assert not list(tmp_path.iterdir())


def test_equal_models_are_equal_files(tokenizer):
    model = make_model(tokenizer)
    sets = [model_files(model, tokenizer) for _ in range(8)]
    assert all(files == sets[0] for files in sets)
    data = sets[0]["model.safetensors"]
    length = int.from_bytes(data[:8], "little")
    assert set(weights(model)) < set(json.loads(data[8 : 8 + length]))


@pytest.mark.parametrize("vocab_size", [20, 200, 2000, 20000])
def test_tensors_in_a_file_are_aligned(vocab_size):
    """Whatever the length of the header before them: readers may map them to memory."""
    tensor = torch.arange(vocab_size, dtype=torch.float32)
    data = with_metadata(save({"table": tensor}), {"format": "pt"})
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    assert torch.equal(load(data)["table"], tensor)


def test_saving_again_replaces_the_whole_set(folder, tokenizer):
    model = make_model(tokenizer, n_layer=1)
    save_model(model, tokenizer, folder)
    assert load_model(folder)[0].config == model.config


def test_a_full_disk_keeps_the_old_set(folder, tokenizer, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    synced = []

    def full(descriptor):
        synced.append(descriptor)
        if len(synced) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("llmlib.training.files.os.fsync", full)
    with pytest.raises(
        CannotWriteError, match=f"into {folder}: No space left on device"
    ):
        save_model(make_model(tokenizer, n_layer=1), tokenizer, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", "config.json says dropout = 0.1, .* was saved with 0.0"),
        ("model.safetensors", "config.json says dropout = 0.0, .* was saved with 0.1"),
        ("tokenizer.json", "vocabulary of 9, the model one of 8"),
    ],
)
def test_a_mixed_set_is_refused(folder, name, message):
    other = CharTokenizer.train(TEXT + "x" if name == "tokenizer.json" else TEXT)
    save_model(make_model(other, dropout=0.1), other, folder.parent / "other")
    shutil.copy(folder.parent / "other" / name, folder / name)
    with pytest.raises(ValueError, match=message):
        load_model(folder)


def test_another_tokenizer_of_the_same_size_is_refused(folder):
    CharTokenizer.train(TEXT.replace("s", "z")).save(folder / "tokenizer.json")
    with pytest.raises(
        DamagedFileError, match=r"tokenizer\.json in .* is damaged or from another save"
    ):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 50}, "says vocab_size = 50, .* was saved with 8"),
        ({"n_layer": 3}, "says n_layer = 3, .* was saved with 2"),
        ({"dropout": 0.1}, "says dropout = 0.1, .* was saved with 0.0"),
        ({"colour": "red"}, "says colour = 'red', .* was saved with None"),
    ],
)
def test_the_config_must_be_the_one_that_was_saved(folder, change, message):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=message):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_embd": 32}, r"k_proj.weight is \(16, 16\) in .* \(32, 32\) in the model"),
        ({"n_layer": 3}, r"lacks blocks\.2\..*, which the model has as \(16, 16\)"),
        ({"n_layer": 1}, r"has blocks\.1\..* \(16, 16\), which the model lacks"),
        ({"n_layer": 300}, "has 19 tensors, too few for n_layer = 300"),
        ({"n_embd": 2**20}, r"\(16, 16\) in .* \(1048576, 1048576\) in the model"),
        ({"n_embd": 2**40}, "config.json is no model's config: .*1099511627776"),
        ({"n_head": 3}, "n_embd=16 and n_head=3"),
        ({"norm": "batchnorm"}, "config.json .* unknown norm 'batchnorm'; allowed: "),
        ({"colour": "red"}, "config.json .*colour"),
    ],
)
def test_the_weights_must_fit_the_config(folder, change, message):
    path = folder / "model.safetensors"
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    config = json.dumps(json.loads(metadata["config"]) | change)
    (folder / "config.json").write_text(config)
    path.write_bytes(save(tensors, metadata | {"config": config}))
    with pytest.raises(ValueError, match=message):
        load_model(folder)


def test_weights_from_elsewhere_are_refused(folder):
    (folder / "model.safetensors").write_bytes(save({"a": torch.zeros(1)}))
    with pytest.raises(DamagedFileError, match="is not from save_model"):
        load_model(folder)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_cut_changed_or_foreign_file_is_refused(folder, name):
    path = folder / name
    whole = path.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 40)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 7
        for data in (whole[:position], bytes(flipped)):
            path.write_bytes(data)
            with pytest.raises(ValueError, match=name.replace(".", r"\.")):
                load_model(folder)
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load_model(folder)
    path.unlink()
    with pytest.raises(ValueError, match=f"there is no {name} in"):
        load_model(folder)


def test_a_name_is_a_shipped_model_and_a_path_a_folder(folder, monkeypatch):
    folder.rename(folder.parent / "stories")
    monkeypatch.chdir(folder.parent)
    assert load_model("./stories")[0].config.n_layer == 2
    with pytest.raises(
        ValueError, match=r"unknown model 'story'; .* 'stories', 'shakespeare', or"
    ):
        load_model("story")


@pytest.mark.parametrize(
    "asked", [Path("stories"), "./stories", "nowhere/stories", "Stories"]
)
def test_who_means_a_shipped_model_is_told_its_name(tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    message = rf"no folder {asked}; the shipped model is load_model\('stories'\)"
    with pytest.raises(ValueError, match=message):
        load_model(asked)


def test_save_model_refuses(tokenizer, tmp_path):
    model = make_model(tokenizer)
    with pytest.raises(TypeError, match="takes a GPT, got Linear"):
        save_model(nn.Linear(2, 2), tokenizer, tmp_path)
    with pytest.raises(ValueError, match="vocabulary of 9, the model one of 8"):
        save_model(model, CharTokenizer.train(TEXT + "x"), tmp_path)
    for kind in ("float32", "int8"):
        with pytest.raises(ValueError, match=r"lacks .*; of a packed model, save the"):
            save_model(packed(model, kind), tokenizer, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_a_model_is_loaded_in_float32_whatever_the_default(folder, default):
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        with torch.device("meta"):
            model, _ = load_model(folder)
    finally:
        torch.set_default_dtype(before)
    kinds = {(p.dtype, p.device.type) for p in model.state_dict().values()}
    assert kinds == {(torch.float32, "cpu")}
