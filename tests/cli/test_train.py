"""`llmlib train`: what it leaves, how it is resumed, what it refuses."""

import csv
import shlex
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from llmlib.cli import build_parser, main
from llmlib.cli.begun import keep_options, recall_options
from llmlib.cli.prepare import prepare
from llmlib.cli.report import command, tell
from llmlib.training.progress import read_log
from llmlib.training.saving import load_model


def test_from_a_file_to_a_chat_in_three_commands(text, short, tmp_path, answer, capsys):
    folder = str(tmp_path / "my-model")
    assert main(["train", str(text), "--out", folder, *short]) == 0
    assert f"try: llmlib chat --model {folder}" in capsys.readouterr().out
    assert main(["generate", "--model", folder, "--prompt", "One day"]) == 0
    assert capsys.readouterr().out.startswith("One day")
    answer("One day", "/quit")
    assert main(["chat", "--model", folder, "--max-new-tokens=20"]) == 0
    assert "> One day" in capsys.readouterr().out


@pytest.mark.parametrize("tokenizer", ["char", "word", "bpe"])
@pytest.mark.parametrize("recipe", ["plain", "fast"])
def test_train_leaves_a_model_a_log_and_a_picture(
    text, short, tmp_path, tokenizer, recipe, capsys
):
    options = ["--tokenizer", tokenizer, "--recipe", recipe, *short]
    assert main(["train", str(text), "--out", str(tmp_path), *options]) == 0
    model, loaded = load_model(tmp_path)
    assert model.config.block_size == 16
    assert loaded.vocab_size == model.vocab_size
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    logs = read_log(tmp_path / "log.jsonl")
    assert [log.step for log in logs] == [1, 2, 3, 4]
    assert [log.val_loss is not None for log in logs] == [False, True, False, True]
    with open(tmp_path / "log.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [log.loss for log in logs]
    out = capsys.readouterr().out
    assert "attention" in out  # the size report
    assert f"validation {logs[-1].val_loss:.4f}" in out


def test_the_folder_keeps_the_best_weights(tiny, story, tmp_path, capsys):
    """The validation text is of other letters: the longer the training, the worse."""
    path, folder = tmp_path / "my.txt", tmp_path / "model"
    path.write_text(story * 36 + ("xyz qvr " * 36)[: 4 * len(story)], encoding="utf-8")
    options = [*tiny, "--max-iters=6", "--eval-interval=1", "--tokenizer=char"]
    assert main(["train", str(path), "--out", str(folder), *options]) == 0
    losses = [log.val_loss for log in read_log(folder / "log.jsonl")]
    best = losses.index(min(losses)) + 1
    assert best < 6
    assert f"best after step {best}: {min(losses):.4f}" in capsys.readouterr().out
    newest = load_file(max(folder.glob("step-*")))
    kept = load_file(folder / "model.safetensors")
    assert all(torch.equal(kept[name], newest[f"best.{name}"]) for name in kept)
    assert any(not torch.equal(kept[name], newest[f"model.{name}"]) for name in kept)


def checkpoint(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(max(folder.glob("step-*")))


def test_a_resumed_training_ends_bit_identical(
    text, tiny, tmp_path, monkeypatch, capsys
):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = ["train", str(text), *tiny, "--max-iters=6", "--eval-interval=3"]
    assert main([*command, "--out", str(whole)]) == 0
    with monkeypatch.context() as patched:  # Ctrl-C in the middle of the fourth step
        press_at(patched, step=4)
        assert main([*command, "--out", str(parts)]) == 130
    _, told, resume = capsys.readouterr().out.rpartition(
        "stopped after step 4; to go on: llmlib "
    )
    assert told
    assert main(shlex.split(resume)) == 0
    assert "going on after step 4" in capsys.readouterr().out
    expected, found = checkpoint(whole), checkpoint(parts)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    for folder in (whole, parts):
        steps = [log.step for log in read_log(folder / "log.jsonl")]
        assert steps == [1, 2, 3, 4, 5, 6]
    best, same = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(best[name], same[name]) for name in best)


@pytest.mark.parametrize("line", [None, "{", '{"step": 2}'])
def test_a_log_that_is_lost_or_damaged_stops_no_training(
    text, short, tmp_path, capsys, line
):
    command = ["train", str(text), "--out", str(tmp_path), *short]
    assert main(command) == 0
    log = tmp_path / "log.jsonl"
    if line is None:
        log.unlink()
    else:
        rows = log.read_text("utf-8").splitlines()
        log.write_text("\n".join([rows[0], line, *rows[2:], ""]), "utf-8")
    capsys.readouterr()
    assert main([*command, "--resume"]) == 0
    said = capsys.readouterr()
    assert "all 4 steps are made" in said.out
    if line is None:
        assert said.err == ""
    else:
        assert said.err.count("\n") == 1
        assert f"no new log.csv and loss.png: {log}, line 2" in said.err


def press_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Press Ctrl-C while the trainer makes a step."""
    from llmlib.training.trainer import Trainer

    make_step = Trainer.__next__

    def step_and_press(trainer: Trainer) -> object:
        if trainer.step + 1 == step:
            signal.raise_signal(signal.SIGINT)
        return make_step(trainer)

    monkeypatch.setattr(Trainer, "__next__", step_and_press)


def test_a_stop_before_the_first_validation_leaves_a_model(
    text, tiny, tmp_path, monkeypatch
):
    press_at(monkeypatch, step=1)
    command = ["train", str(text), "--out", str(tmp_path), *tiny, "--max-iters=6"]
    assert main([*command, "--eval-interval=5"]) == 130
    load_model(tmp_path)
    assert len(list(tmp_path.glob("step-*"))) == 1


def test_killed_before_the_first_model_is_written(
    text, short, tmp_path, monkeypatch, capsys, one_line
):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = ["train", str(text), *short]
    assert main([*command, "--out", str(whole)]) == 0
    with monkeypatch.context() as patched:
        patched.setattr("llmlib.cli.train.save_model", killed)
        assert main([*command, "--out", str(parts)]) == 130
    capsys.readouterr()
    assert main([*command, "--out", str(parts)]) == 2
    assert "add --resume" in one_line()
    with monkeypatch.context() as patched:
        press_at(patched, step=3)
        assert main([*command, "--out", str(parts), "--resume"]) == 130
    load_model(parts)
    assert main([*command, "--out", str(parts), "--resume"]) == 0
    best, same = (load_file(path / "model.safetensors") for path in (whole, parts))
    assert all(torch.equal(best[name], same[name]) for name in best)


def test_a_model_without_checkpoints_is_not_to_be_resumed(
    text, short, tmp_path, one_line
):
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    assert main(["train", str(text), "--out", str(tmp_path), *short]) == 2
    err = one_line()
    assert "choose another --out" in err
    assert "--resume" not in err


@pytest.mark.parametrize(
    ("options", "batch_size"),
    [([], 16), (["--recipe=plain"], 12), (["--batch-size=8"], 8)],
)
def test_the_text_is_read_five_times_whatever_the_batch(
    text, tmp_path, options, batch_size
):
    command = ["train", str(text), "--out", str(tmp_path), "--tokenizer=char"]
    command += ["--n-layer=1", "--n-embd=16", "--block-size=4", *options]
    trainer, _ = prepare(build_parser().parse_args(command))
    steps = 5 * len(trainer.train_ids) // (batch_size * 4)
    assert 100 < trainer.config.max_iters == steps < 1000


@pytest.mark.parametrize(
    "mistake",
    [
        ["--out=MODEL"],
        ["--out=NEW", "--resume"],
        ["--out=NEW", "--save-interval=0"],
        ["--out=NEW", "--eval-interval=0"],
        ["--out=NEW", "--n-head=3"],
        ["--out=NEW", "--from=nobody"],
        ["--out=NEW", "--from=stories", "--n-layer=2"],
    ],
)
def test_mistakes_are_refused_before_the_text_is_read(
    text, char_model, tmp_path, monkeypatch, capsys, mistake
):
    def read(*_: object) -> None:
        raise AssertionError("the text is read")

    monkeypatch.setattr("llmlib.cli.prepare.load_corpus", read)
    new = tmp_path / "new"
    places = {"--out=MODEL": f"--out={char_model}", "--out=NEW": f"--out={new}"}
    capsys.readouterr()
    command = ["train", str(text), *(places.get(word, word) for word in mistake)]
    assert main(command) == 2, capsys.readouterr().err
    assert not new.exists()


def test_without_matplotlib_there_is_a_table_and_no_picture(
    text, short, tmp_path, monkeypatch, capsys
):
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is missing
    assert main(["train", str(text), "--out", str(tmp_path), *short]) == 0
    said = capsys.readouterr()
    assert "try: llmlib chat" in said.out
    assert said.err == (
        "llmlib: there is no loss.png: it needs matplotlib: pip install matplotlib\n"
    )
    assert len((tmp_path / "log.csv").read_text("utf-8").splitlines()) == 5
    assert not (tmp_path / "loss.png").exists()


def test_a_loss_beyond_all_numbers_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("llmlib.cli.report.write", lambda *_: iter(["One day"]))
    trainer = SimpleNamespace(
        best_step=3,
        best_val_loss=1000.0,
        config=SimpleNamespace(seed=0),
        best_model=torch.nn.Identity,
    )
    tell(trainer, None, tmp_path)
    assert "1000.0000 nats a token, perplexity inf" in capsys.readouterr().out


def test_a_folder_keeps_the_options_it_was_begun_with(text, short, tmp_path):
    options = ["--tokenizer=char", "--recipe=plain", "--save-interval=1", "--compile"]
    place = ["--out", str(tmp_path)]
    parse = build_parser().parse_args
    begun = parse(["train", str(text), *place, *options, *short])
    anew = parse(["train", *place, "--resume", "--save-interval=3", "--no-compile"])
    keep_options(begun, tmp_path)
    recall_options(anew, tmp_path)
    changed = {"save_interval": 3, "compile": False, "resume": True}
    assert vars(anew) == vars(begun) | changed


def test_the_text_is_needed_unless_the_folder_tells_it(
    text, char_model, tmp_path, capsys, one_line
):
    assert main(["train", "--out", str(tmp_path / "new")]) == 2
    assert "the text to train on is missing" in one_line()
    assert main(["train", "--resume", "--out", str(char_model)]) == 0
    assert "all 4 steps are made" in capsys.readouterr().out
    shutil.copytree(char_model, copy := tmp_path / "copy")
    (copy / "options.json").write_text("[]", encoding="utf-8")
    assert main(["train", "--resume", "--out", str(copy)]) == 2
    assert "options.json is damaged" in one_line()
    (copy / "options.json").unlink()
    assert main(["train", "--resume", "--out", str(copy)]) == 2
    assert "the text to train on is missing" in one_line()


@pytest.mark.parametrize("name", ["my.txt", "stories"])
def test_a_training_is_resumed_from_any_folder(
    text, char_model, tiny, tmp_path, monkeypatch, name
):
    """A file that is named as a corpus is one where a folder stands before it."""
    shutil.copy(text, tmp_path / name)
    shutil.copytree(char_model, tmp_path / "begun")
    monkeypatch.chdir(tmp_path)
    options = ["--max-iters=2", "--eval-interval=2", "--batch-size=2"]
    command = ["train", f"./{name}", "--from=begun", *options]
    with monkeypatch.context() as patched:
        press_at(patched, step=1)
        assert main([*command, "--out=mine"]) == 130
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert main(["train", "--resume", "--out=../mine"]) == 0


def test_names_of_corpora_and_models_are_kept_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("stories").write_text("A file of that name is not meant.", "utf-8")
    line = ["train", "stories", "--from=stories", "--out=mine"]
    keep_options(build_parser().parse_args(line), tmp_path)
    again = build_parser().parse_args(["train", "--resume", "--out=mine"])
    recall_options(again, tmp_path)
    assert (again.corpus, again.origin) == ("stories", "stories")


def test_a_finished_training_says_so_and_does_not_tell_its_end_again(
    char_model, capsys
):
    capsys.readouterr()
    place = ["--out", str(char_model)]
    assert main(["train", "--resume", *place]) == 0
    out = capsys.readouterr().out
    told = f"all 4 steps are made: llmlib chat --model {char_model}. "
    further = f"llmlib train TEXT --from {char_model} --out DIR"
    assert out.endswith(f"{told}To train its model further: {further}\n")
    assert "going on" not in out
    assert "it writes" not in out


def test_a_training_keeps_its_number_of_steps(char_model, one_line, capsys):
    capsys.readouterr()
    place = ["--resume", "--out", str(char_model)]
    assert main(["train", *place, "--max-iters=9"]) == 2
    err = one_line()
    assert "is a training of 4 steps, 4 of them made, and cannot become one of 9" in err
    assert f"train TEXT --from {char_model} --out DIR" in err
    assert main(["train", *place, "--max-iters=4"]) == 0


def test_a_training_begins_with_a_saved_model(text, char_model, tmp_path, capsys):
    place = ["--out", str(tmp_path), "--from", str(char_model)]
    line = ["train", str(text), *place, "--dropout=0.25", "--max-iters=5", "--seed=3"]
    trainer, tokenizer = prepare(build_parser().parse_args(line))
    model, expected = load_model(char_model)
    assert tokenizer.vocab == expected.vocab
    assert trainer.model.config == replace(model.config, dropout=0.25)
    assert trainer.block_size == 16
    found = trainer.model.state_dict()
    assert all(torch.equal(found[n], t) for n, t in model.state_dict().items())
    capsys.readouterr()
    assert main([*line, "--eval-interval=5"]) == 0
    out = capsys.readouterr().out
    assert "context 16 tokens" in out
    assert "try: llmlib chat" in out


def test_a_saved_model_has_its_own_shape_and_tokenizer(
    text, char_model, tmp_path, one_line, capsys
):
    place = ["--out", str(tmp_path / "new"), "--from", str(char_model)]
    capsys.readouterr()
    assert main(["train", str(text), *place, "--n-layer=2", "--tokenizer=bpe"]) == 2
    assert "takes no --n-layer, --tokenizer" in one_line()


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_words_and_pieces_are_those_of_the_training_text(story, tmp_path, kind):
    path = tmp_path / "my.txt"
    path.write_text(story * 36 + "Zyx zyxes.\n\n" * 20, encoding="utf-8")
    line = ["train", str(path), "--out=mine", f"--tokenizer={kind}", "--block-size=8"]
    trainer, tokenizer = prepare(build_parser().parse_args(line))
    whole = tokenizer.decode([*trainer.train_ids.tolist(), *trainer.val_ids.tolist()])
    if kind == "word":
        assert tokenizer.unknown("Zyx zyxes.") == ["Zyx", " zyxes"]
    else:
        assert whole == path.read_text("utf-8")
    if kind == "bpe":
        assert tokenizer.pieces("Zyx") == ["Z", "y", "x"]
        assert tokenizer.pieces(" hen") == [" hen"]


@pytest.mark.parametrize(
    ("typed", "known", "told"),
    [
        ("/a b/bin/llmlib", None, "'/a b/bin/llmlib'"),
        ("/a/bin/llmlib", "/other/bin/llmlib", "/a/bin/llmlib"),
        ("/a/bin/llmlib", "/a/bin/llmlib", "llmlib"),
        ("-c", None, "llmlib"),
    ],
)
def test_what_is_told_to_type_is_what_the_shell_finds(monkeypatch, typed, known, told):
    monkeypatch.setattr(sys, "argv", [typed])
    monkeypatch.setattr(
        "shutil.which", lambda name: known if name == "llmlib" else typed
    )
    assert command() == told


def test_another_setting_does_not_resume(text, short, char_model, one_line):
    command = ["train", str(text), "--out", str(char_model), "--tokenizer=char", *short]
    assert main([*command, "--resume", "--learning-rate=0.5"]) == 2
    assert "learning_rate" in one_line()


def test_a_folder_with_a_model_is_not_overwritten(text, short, char_model, one_line):
    before = (char_model / "model.safetensors").read_bytes()
    assert main(["train", str(text), "--out", str(char_model), *short]) == 2
    assert "add --resume" in one_line()
    assert (char_model / "model.safetensors").read_bytes() == before


def test_a_text_that_is_not_utf8_or_empty_is_named(tmp_path, one_line):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9")
    assert main(["train", str(path), "--out", str(tmp_path / "m")]) == 2
    assert "offset 3" in one_line()
    path.write_bytes(b"")
    assert main(["train", str(path), "--out", str(tmp_path / "m")]) == 2
    assert "empty" in one_line()
