"""The command line, mostly in this process: what it writes, prints and returns."""

import csv
import io
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from llmlib.cli import build_parser, main
from llmlib.cli.begun import keep_options, recall_options
from llmlib.cli.chat import Chat
from llmlib.cli.generate import read_prompts
from llmlib.cli.prompts import known_text
from llmlib.cli.report import tell
from llmlib.cli.settings import SETTINGS, default_of
from llmlib.cli.train import prepare
from llmlib.generation.decoding import beam_search, generate_batch, write
from llmlib.generation.packing import packed
from llmlib.generation.sampling import Sampling
from llmlib.text.files import CannotWriteError
from llmlib.text.tokenizers import CharTokenizer
from llmlib.training.checkpoints import read_checkpoint
from llmlib.training.progress import read_log
from llmlib.training.saving import load_model
from llmlib.training.steps import TrainingDivergedError

STORY = "One day a hen sat by the lake.\nIt was cold, and the hen was glad.\n\n"
TINY = ["--n-layer=1", "--n-head=1", "--n-embd=16", "--block-size=16", "--batch-size=2"]
SHORT = [*TINY, "--max-iters=4", "--eval-interval=2", "--precision=float32"]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small text: forty times one story, with an é that only it has."""
    path = tmp_path_factory.mktemp("text") / "my.txt"
    path.write_text(STORY * 40 + "Café\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def char_model(text: Path) -> Path:
    """The folder of a model over characters."""
    folder = text.parent / "char-model"
    assert (
        main(["train", str(text), "--out", str(folder), "--tokenizer=char", *SHORT])
        == 0
    )
    return folder


def answer(monkeypatch: pytest.MonkeyPatch, *lines: str | type[BaseException]) -> None:
    """Let `input` give these lines, or raise, and then Ctrl-D."""
    replies = itertools.chain(lines, itertools.repeat(EOFError))

    def reply(prompt: str = "") -> str:
        print(prompt, end="")
        line = next(replies)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("builtins.input", reply)


def one_line(capsys: pytest.CaptureFixture) -> str:
    """What stderr holds, which is one line and no traceback."""
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err


def test_from_a_file_to_a_chat_in_three_commands(text, tmp_path, monkeypatch, capsys):
    folder = str(tmp_path / "my-model")
    assert main(["train", str(text), "--out", folder, *SHORT]) == 0
    assert f"try: llmlib chat --model {folder}" in capsys.readouterr().out
    assert main(["generate", "--model", folder, "--prompt", "One day"]) == 0
    assert capsys.readouterr().out.startswith("One day")
    answer(monkeypatch, "One day", "/quit")
    assert main(["chat", "--model", folder, "--max-new-tokens=20"]) == 0
    assert "> One day" in capsys.readouterr().out


@pytest.mark.parametrize("tokenizer", ["char", "word", "bpe"])
@pytest.mark.parametrize("recipe", ["plain", "fast"])
def test_train_leaves_a_model_a_log_and_a_picture(
    text, tmp_path, tokenizer, recipe, capsys
):
    options = ["--tokenizer", tokenizer, "--recipe", recipe, *SHORT]
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


def test_the_folder_keeps_the_best_weights(tmp_path, capsys):
    """The validation text is of other letters: the longer the training, the worse."""
    path, folder = tmp_path / "my.txt", tmp_path / "model"
    path.write_text(STORY * 36 + ("xyz qvr " * 36)[: 4 * len(STORY)], encoding="utf-8")
    options = [*TINY, "--max-iters=6", "--eval-interval=1", "--tokenizer=char"]
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


def test_a_resumed_training_ends_bit_identical(text, tmp_path, monkeypatch, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = ["train", str(text), *TINY, "--max-iters=6", "--eval-interval=3"]
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
def test_a_log_that_is_lost_or_damaged_stops_no_training(text, tmp_path, capsys, line):
    command = ["train", str(text), "--out", str(tmp_path), *SHORT]
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
    assert "try: llmlib chat" in said.out
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


def test_a_stop_before_the_first_validation_leaves_a_model(text, tmp_path, monkeypatch):
    press_at(monkeypatch, step=1)
    command = ["train", str(text), "--out", str(tmp_path), *TINY, "--max-iters=6"]
    assert main([*command, "--eval-interval=5"]) == 130
    load_model(tmp_path)
    assert len(list(tmp_path.glob("step-*"))) == 1


def test_killed_before_the_first_model_is_written(text, tmp_path, monkeypatch, capsys):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = ["train", str(text), *SHORT]
    assert main([*command, "--out", str(whole)]) == 0
    with monkeypatch.context() as patched:
        patched.setattr("llmlib.cli.train.save_model", killed)
        assert main([*command, "--out", str(parts)]) == 130
    capsys.readouterr()
    assert main([*command, "--out", str(parts)]) == 2
    assert "add --resume" in one_line(capsys)
    with monkeypatch.context() as patched:
        press_at(patched, step=3)
        assert main([*command, "--out", str(parts), "--resume"]) == 130
    load_model(parts)
    assert main([*command, "--out", str(parts), "--resume"]) == 0
    best, same = (load_file(path / "model.safetensors") for path in (whole, parts))
    assert all(torch.equal(best[name], same[name]) for name in best)


def test_a_model_without_checkpoints_is_not_to_be_resumed(text, tmp_path, capsys):
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    assert main(["train", str(text), "--out", str(tmp_path), *SHORT]) == 2
    err = one_line(capsys)
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
    ],
)
def test_mistakes_are_refused_before_the_text_is_read(
    text, char_model, tmp_path, monkeypatch, capsys, mistake
):
    def read(*_: object) -> None:
        raise AssertionError("the text is read")

    monkeypatch.setattr("llmlib.cli.train.load_corpus", read)
    new = tmp_path / "new"
    places = {"--out=MODEL": f"--out={char_model}", "--out=NEW": f"--out={new}"}
    capsys.readouterr()
    command = ["train", str(text), *(places.get(word, word) for word in mistake)]
    assert main(command) == 2, capsys.readouterr().err
    assert not new.exists()


def test_without_matplotlib_there_is_a_table_and_no_picture(
    text, tmp_path, monkeypatch, capsys
):
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is missing
    assert main(["train", str(text), "--out", str(tmp_path), *SHORT]) == 0
    said = capsys.readouterr()
    assert "try: llmlib chat" in said.out
    assert said.err == (
        "llmlib: there is no loss.png: it needs matplotlib, "
        'pip install "llmlib[show]"\n'
    )
    assert len((tmp_path / "log.csv").read_text("utf-8").splitlines()) == 5
    assert not (tmp_path / "loss.png").exists()


def test_a_loss_beyond_all_numbers_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("llmlib.cli.report.write", lambda *_: iter(["One day"]))
    trainer = SimpleNamespace(
        restore_best=lambda: None,
        best_step=3,
        best_val_loss=1000.0,
        config=SimpleNamespace(seed=0),
        model=torch.nn.Identity(),
    )
    tell(trainer, None, tmp_path)
    assert "1000.0000 nats a token, perplexity inf" in capsys.readouterr().out


def test_a_folder_keeps_the_options_it_was_begun_with(text, tmp_path):
    options = ["--tokenizer=char", "--recipe=plain", "--save-interval=1", "--compile"]
    place = ["--out", str(tmp_path)]
    parse = build_parser().parse_args
    begun = parse(["train", str(text), *place, *options, *SHORT])
    anew = parse(["train", *place, "--resume", "--save-interval=3", "--no-compile"])
    keep_options(begun, tmp_path)
    recall_options(anew, tmp_path)
    changed = {"save_interval": 3, "compile": False, "resume": True}
    assert vars(anew) == vars(begun) | changed


def test_the_text_is_needed_unless_the_folder_tells_it(
    text, char_model, tmp_path, capsys
):
    assert main(["train", "--out", str(tmp_path / "new")]) == 2
    assert "the text to train on is missing" in one_line(capsys)
    assert main(["train", "--resume", "--out", str(char_model)]) == 0
    assert "try: llmlib chat" in capsys.readouterr().out
    shutil.copytree(char_model, copy := tmp_path / "copy")
    (copy / "options.json").write_text("[]", encoding="utf-8")
    assert main(["train", "--resume", "--out", str(copy)]) == 2
    assert "options.json is damaged" in one_line(capsys)
    (copy / "options.json").unlink()
    assert main(["train", "--resume", "--out", str(copy)]) == 2
    assert "the text to train on is missing" in one_line(capsys)


def test_another_setting_does_not_resume(text, char_model, capsys):
    command = ["train", str(text), "--out", str(char_model), "--tokenizer=char", *SHORT]
    assert main([*command, "--resume", "--learning-rate=0.5"]) == 2
    assert "learning_rate" in one_line(capsys)


def test_a_folder_with_a_model_is_not_overwritten(text, char_model, capsys):
    before = (char_model / "model.safetensors").read_bytes()
    assert main(["train", str(text), "--out", str(char_model), *SHORT]) == 2
    assert "add --resume" in one_line(capsys)
    assert (char_model / "model.safetensors").read_bytes() == before


BAD = [
    ([], "command"),
    (["fly"], "train"),
    (["train", "TEXT"], "--out"),
    (["train", "nowhere.txt", "--out", "DIR"], "'nowhere.txt'"),
    (["train", "TEXT", "--out", "DIR", "--recipe", "slow"], "plain"),
    (["train", "TEXT", "--out", "DIR", "--tokenizer", "bytes"], "char"),
    (["train", "TEXT", "--out", "DIR", "--resume"], "no training in"),
    (["train", "TEXT", "--out", "DIR", "--block-size", "99999"], "context of 99999"),
    (["train", "TEXT", "--out", "DIR", "--block-size", "0"], "at least 1, got 0"),
    (["train", "TEXT", "--out", "DIR", "--n-head", "3"], "3"),
    (["train", "TEXT", "--out", "DIR", "--max-iters", "0"], "max_iters"),
    (["train", "TEXT", "--out", "DIR", "--vocab-size", "3"], "vocab_size is 3"),
    (["train", "TEXT", "--out", "DIR", "--save-interval", "0"], "--save-interval"),
    (
        ["train", "TEXT", "--out", "DIR", "--tokenizer=char", "--vocab-size=9"],
        "word or bpe",
    ),
    (["train", "TEXT", "--out", "DIR", "--precision", "int4"], "float32"),
    (["train", "TEXT", "--out", "DIR", "--device", "abacus"], "abacus"),
    (["generate", "--model", "nobody"], "'stories'"),
    (["generate", "--model", "MODEL", "--temperature", "-1"], "temperature"),
    (["generate", "--model", "MODEL", "--top-p", "2"], "top_p"),
    (["generate", "--model", "MODEL", "--top-k", "many"], "'many'"),
    (["generate", "--model", "MODEL", "--max-new-tokens=-1"], "--max-new-tokens"),
    (["generate", "--model", "MODEL", "--num-beams", "0"], "--num-beams"),
    (
        ["generate", "--model", "MODEL", "--num-beams=2", "--top-k=3"],
        "without --temperature, --top-k, --top-p",
    ),
    (["generate", "--model", "MODEL", "--stop", ""], "stop"),
    (["generate", "--model", "MODEL", "--num-beams=2", "--stop", ""], "stop"),
    (["generate", "--model", "MODEL", "--prompt", "a ☃ z"], "'☃'"),
    (["generate", "--model", "MODEL", "--prompt", "\udcff"], "'\\udcff'"),
    (["generate", "--model", "MODEL", "--prompts-file", "nowhere"], "nowhere"),
    (["chat", "--model", "MODEL", "--max-new-tokens", "0"], "--max-new-tokens"),
    (["chat", "--model", "MODEL", "--min-p", "7"], "min_p"),
    (["info", "nobody"], "'stories'"),
    (["info", "MODEL", "--n-layer", "2"], "--n-layer"),
    (["info", "--n-embd", "0"], "n_embd"),
    (["export", "MODEL", "MODEL"], "a model in"),
    (["export", "MODEL", "DIR", "--dtype", "int8"], "float16"),
]


@pytest.mark.parametrize(("command", "named"), BAD)
def test_bad_arguments_are_one_line_and_exit_2(
    command, named, text, char_model, tmp_path, capsys
):
    places = {"TEXT": str(text), "MODEL": str(char_model), "DIR": str(tmp_path / "new")}
    capsys.readouterr()
    assert main([places.get(word, word) for word in command]) == 2
    err = one_line(capsys)
    assert named in err
    assert err.startswith("llmlib")


MISTAKES = [
    ["train", "TEXT", "--fly"],
    ["train", "TEXT", "--out", "DIR", "--fly"],
    ["train", "TEXT", "--out", "DIR", "--n-head", "3"],
    ["generate", "--max-new-tokens", "-1"],
    ["info", "--n-embd", "0"],
]


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_in_a_command_points_to_its_help(command, text, tmp_path, capsys):
    places = {"TEXT": str(text), "DIR": str(tmp_path / "new")}
    assert main([places.get(word, word) for word in command]) == 2
    assert one_line(capsys).endswith(f"(see llmlib {command[0]} --help)\n")


@pytest.mark.parametrize("mistake", ["--max-new-tokens=-1", "--num-beams=0"])
def test_mistakes_of_generate_are_found_before_a_model_is_loaded(
    mistake, monkeypatch, capsys
):
    def load(*_: object) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr("llmlib.cli.generate.load_model", load)
    assert main(["generate", "--prompt=One day", mistake]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{mistake.partition('=')[0]} must be at least" in said.err


def test_a_text_that_is_not_utf8_or_empty_is_named(tmp_path, capsys):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"caf\xe9")
    assert main(["train", str(path), "--out", str(tmp_path / "m")]) == 2
    assert "offset 3" in one_line(capsys)
    path.write_bytes(b"")
    assert main(["train", str(path), "--out", str(tmp_path / "m")]) == 2
    assert "empty" in one_line(capsys)


def test_any_other_failure_is_one_line_and_exit_1(monkeypatch, capsys):
    def fail(config: object) -> None:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr("llmlib.cli.models.size_report", fail)
    assert main(["info"]) == 1
    assert one_line(capsys) == "llmlib: RuntimeError: out of memory\n"


@pytest.mark.parametrize("kind", [CannotWriteError, TrainingDivergedError])
def test_what_fails_on_the_way_is_exit_1(monkeypatch, capsys, kind):
    def fail(config: object) -> None:
        raise kind("no room")

    monkeypatch.setattr("llmlib.cli.models.size_report", fail)
    assert main(["info"]) == 1
    assert one_line(capsys) == "llmlib: no room\n"


def test_ctrl_c_anywhere_is_exit_130(monkeypatch, capsys):
    def press(config: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("llmlib.cli.models.size_report", press)
    # What a shell starts in the background begins with SIGINT ignored, these tests too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["info"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert one_line(capsys) == "llmlib: stopped\n"


def test_help_is_exit_0(capsys):
    assert main(["--help"]) == 0
    assert main(["train", "--help"]) == 0
    assert "--learning-rate" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"llmlib {version('llmlib')}\n"


@pytest.mark.parametrize("command", ["train", "generate", "chat", "info", "export"])
def test_every_option_has_a_meaning_and_a_plain_metavar(command):
    (commands,) = build_parser()._subparsers._group_actions
    for action in commands.choices[command]._actions:
        assert action.help
        if action.type in (int, float):
            assert action.metavar == action.type.__name__.upper()


def test_train_tells_what_its_settings_are_by_default(capsys):
    assert main(["train", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    for name in SETTINGS:
        assert f"by default {default_of(name)}" in told
    assert default_of("n_head") == "4 (plain), 2 (fast)"
    assert default_of("n_embd") == "128"
    assert "plain is GPT-2 in small" in told
    assert "of the tokens; by default fast" in told


def test_generate_and_chat_begin_with_the_shipped_model():
    for command in ("generate", "chat"):
        assert build_parser().parse_args([command]).model == "stories"


def test_generate_writes_what_the_package_writes(char_model, capsys):
    model, tokenizer = load_model(char_model)
    rules = Sampling(
        0.7, top_k=9, top_p=0.9, min_p=0.01, repetition_penalty=1.1, seed=5
    )
    expected = "".join(write(model, tokenizer, "the ", 30, rules))
    options = ["--temperature=0.7", "--top-k=9", "--top-p=0.9", "--min-p=0.01"]
    options += ["--repetition-penalty=1.1", "--seed=5", "--max-new-tokens=30"]
    capsys.readouterr()
    assert (
        main(["generate", "--model", str(char_model), "--prompt=the ", *options]) == 0
    )
    assert capsys.readouterr().out == f"the {expected}\n"


@pytest.mark.parametrize("together", [2, 16])
def test_several_prompts_are_the_rows_of_a_batch(
    together, char_model, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("llmlib.cli.generate.TOGETHER", together)
    model, tokenizer = load_model(char_model)
    prompts = ["hen", "a cold lake", "Café"]
    batch = generate_batch(
        model, [*map(tokenizer.encode, prompts)], 12, Sampling(seed=3)
    )
    expected = "\n".join(
        f"{prompt}{tokenizer.decode(ids)}\n"
        for prompt, ids in zip(prompts, batch, strict=True)
    )
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffa cold lake\r\nCafé\r\n".encode())
    command = ["generate", "--model", str(char_model), "--prompt=hen"]
    command += ["--prompts-file", str(file), "--seed=3", "--max-new-tokens=12"]
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out == expected


def test_only_newlines_cut_a_file_of_prompts(tmp_path):
    file = tmp_path / "prompts.txt"
    for data, prompts in (
        ("", [""]),
        ("a hen", ["a hen"]),
        ("a\u2028hen\n\na\x0clake\x85\n", ["a\u2028hen", "", "a\x0clake\x85"]),
        ("\ufeffa\r\nb\r\n", ["a", "b"]),
    ):
        file.write_bytes(data.encode())
        arguments = ["generate", "--prompts-file", str(file)]
        assert read_prompts(build_parser().parse_args(arguments)) == prompts
    file.write_bytes(b"hen\ncaf\xe9")
    with pytest.raises(ValueError, match=r"byte 0xe9 at offset 7"):
        read_prompts(build_parser().parse_args(arguments))


def test_prompts_come_through_a_pipe(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("a hen\na cat\n"))
    arguments = ["generate", "--prompt=first", "--prompts-file=-"]
    prompts = read_prompts(build_parser().parse_args(arguments))
    assert prompts == ["first", "a hen", "a cat"]


def test_beams_and_stops(char_model, capsys):
    model, tokenizer = load_model(char_model)
    found = tokenizer.decode(beam_search(model, tokenizer.encode("hen"), 20, 3))
    command = [
        "generate",
        "--model",
        str(char_model),
        "--prompt=hen",
        "--max-new-tokens=20",
    ]
    capsys.readouterr()
    assert main([*command, "--num-beams=3"]) == 0
    assert capsys.readouterr().out == f"hen{found}\n"
    stop = found[5]
    assert main([*command, "--num-beams=3", "--stop", stop]) == 0
    assert capsys.readouterr().out == f"hen{found.partition(stop)[0]}\n"
    later, sooner = found[4:7], found[5]  # the one that is complete first counts
    assert main([*command, "--num-beams=3", "--stop", later, "--stop", sooner]) == 0
    assert capsys.readouterr().out == f"hen{found.partition(sooner)[0]}\n"


def test_a_prompt_beyond_the_context_is_cropped_with_a_notice(char_model, capsys):
    command = ["generate", "--model", str(char_model), "--max-new-tokens=1"]
    capsys.readouterr()
    assert main([*command, "--prompt", "hen " * 1000]) == 0
    assert "reads the last 16" in one_line(capsys)


def test_an_empty_prompt_begins_a_story(char_model, capsys):
    assert main(["generate", "--model", str(char_model), "--max-new-tokens=5"]) == 0
    assert len(capsys.readouterr().out) == 6


def test_unknown_characters_are_named_and_left_out_if_the_user_agrees(
    monkeypatch, capsys
):
    tokenizer = CharTokenizer.train("abc")
    assert known_text(tokenizer, "cab", ask=True) == "cab"
    for reply, kept in (("", "ab"), ("Yes", "ab"), ("no", None), (EOFError, None)):
        answer(monkeypatch, reply)
        if kept is None:
            with pytest.raises(ValueError, match="does not know '☃', '🜚'"):
                known_text(tokenizer, "☃a🜚☃b", ask=True)
        else:
            assert known_text(tokenizer, "☃a🜚☃b", ask=True) == kept
    assert "'☃', '🜚'" in capsys.readouterr().out


def test_unknown_words_of_a_prompt_are_told_on_stderr(text, tmp_path, capsys):
    folder = str(tmp_path)
    assert main(["train", str(text), "--out", folder, "--tokenizer=word", *SHORT]) == 0
    command = ["generate", "--model", folder, "--max-new-tokens=0"]
    capsys.readouterr()
    assert main([*command, "--prompt=One day a dragon sat, a dragon!"]) == 0
    said = capsys.readouterr()
    assert said.out == "One day a dragon sat, a dragon!\n"
    assert said.err.count("\n") == 1
    assert "<unk> in place of ' dragon', '!'" in said.err
    assert main([*command, "--prompt=One day a hen sat."]) == 0
    assert capsys.readouterr().err == ""


def talk(monkeypatch: pytest.MonkeyPatch, model: Path, *lines: str) -> int:
    answer(monkeypatch, *lines)
    return main(["chat", "--model", str(model), "--max-new-tokens=8", "--seed=1"])


def turns(capsys: pytest.CaptureFixture) -> list[str]:
    """What the chat wrote after each prompt."""
    return [
        turn.removesuffix("\n") for turn in capsys.readouterr().out.split("\n> ")[1:]
    ]


def test_a_chat_goes_on_with_the_story(char_model, monkeypatch, capsys):
    model, tokenizer = load_model(char_model)
    stop = ("\n\n",)
    first = "a hen" + "".join(
        write(model, tokenizer, "a hen", 8, Sampling(0.8, seed=1), stop)
    )
    with pytest.warns(UserWarning, match="reads the last 16"):
        more = "".join(
            write(model, tokenizer, first + " and", 8, Sampling(0.8, seed=2), stop)
        )
    assert talk(monkeypatch, char_model, "a hen", " and") == 0
    said = turns(capsys)
    assert said[0] == first
    assert said[1] == f" and{more}"


def test_a_space_parts_the_story_from_what_is_typed(char_model, monkeypatch, capsys):
    texts, replies = [], iter([" look", "ed. ", " at", "", "."])

    def story(model: object, tokenizer: object, text: str, n: int, rules: object):
        texts.append(text)
        return iter([next(replies)])

    monkeypatch.setattr("llmlib.cli.chat.write", story)
    lines = ["the hen", "the cat", "a cow", "/again", " the", "/quit"]
    assert talk(monkeypatch, char_model, *lines) == 0
    assert texts == [
        "the hen",
        "the hen look the cat",
        "the hen look the cated. a cow",
        "the hen look the cated. a cow",
        "the hen look the cated. a cow the",
    ]


def test_no_space_is_put_before_a_mark_that_ends_something():
    chat = Chat(None, CharTokenizer.train("ab ,."), Sampling(), 1, text="a")
    assert [chat.joined(line) for line in ("b", ", b", ".")] == [" b", ", b", "."]


def test_no_space_is_put_where_the_model_knows_none():
    chat = Chat(None, CharTokenizer.train("ab"), Sampling(), 1, text="a")
    assert chat.joined("b") == "b"


def test_ctrl_c_at_the_question_is_an_answer_of_no(char_model, monkeypatch, capsys):
    lines = ["☃", KeyboardInterrupt, "hen", "/quit"]
    assert talk(monkeypatch, char_model, *lines) == 0
    said = capsys.readouterr()
    assert "(the model does not know '☃'" in said.out
    assert "> hen" in said.out
    assert said.err == ""


def test_again_draws_the_latest_turn_anew(char_model, monkeypatch, capsys):
    assert talk(monkeypatch, char_model, "a hen", "/again", "/again") == 0
    said = turns(capsys)[:3]
    assert all(turn.startswith("a hen") for turn in said)
    assert len(set(said)) == 3


def test_temperature_zero_makes_again_the_same(char_model, monkeypatch, capsys):
    lines = ["/temperature 0", "a hen", "/again"]
    assert talk(monkeypatch, char_model, *lines) == 0
    said = turns(capsys)
    assert "temperature 0" in said[0]
    assert said[1] == said[2]


def test_mistakes_in_a_chat_are_named_and_the_chat_goes_on(
    char_model, monkeypatch, capsys
):
    lines = [
        "/sing",
        "/temperature hot",
        "/temperature -1",
        "☃",
        "no",
        KeyboardInterrupt,
    ]
    assert (
        talk(monkeypatch, char_model, *lines, "/help", "hen", "/quit", "never read")
        == 0
    )
    out = capsys.readouterr()
    for named in (
        "/again",
        "'hot'",
        "-1",
        "'☃'",
        "Ctrl-D ends",
        "in mid-sentence",
        "> hen",
    ):
        assert named in out.out
    assert "never read" not in out.out
    assert out.err == ""


def test_ctrl_c_stops_a_reply_and_not_the_chat(char_model, monkeypatch, capsys):
    def endless(*_: object) -> object:
        yield " is"
        raise KeyboardInterrupt

    monkeypatch.setattr("llmlib.cli.chat.write", endless)
    assert talk(monkeypatch, char_model, "It", "It", "/quit") == 0
    assert capsys.readouterr().out.count("It is ...") == 2


def test_a_blank_line_ends_a_turn(char_model, monkeypatch, capsys):
    texts = []

    def story(model: object, tokenizer: object, text: str, n: int, rules: object):
        texts.append(text)
        return iter([" sat.\n", "\nA cat", " ran."])

    monkeypatch.setattr("llmlib.cli.chat.write", story)
    assert talk(monkeypatch, char_model, "a hen", "", "the cow", "/quit") == 0
    assert texts == [
        "a hen",
        "a hen sat.\n\n",
        "a hen sat.\n\n sat.\n\nthe cow",
    ]
    assert turns(capsys)[:3] == ["a hen sat.", " sat.", "the cow sat."]


def test_a_chat_that_outgrows_the_context_goes_on_in_silence(
    char_model, monkeypatch, capsys
):
    model, _ = load_model(char_model)
    lines = ["a cat sat. " * model.block_size, "", "/quit"]
    assert talk(monkeypatch, char_model, *lines) == 0
    said = capsys.readouterr()
    assert "reads the last" not in said.out + said.err


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


# From here on: real processes, real signals.


COMMAND_LINE = "import sys; from llmlib.cli import main; sys.exit(main(sys.argv[1:]))"


def start(*arguments: str, code: str = COMMAND_LINE) -> subprocess.Popen:
    """The command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def wait_for(folder: Path, pattern: str, process: subprocess.Popen) -> None:
    """Wait until a file of that name is in the folder."""
    while process.poll() is None and not list(folder.glob(pattern)):
        time.sleep(0.02)
    assert list(folder.glob(pattern)), process.communicate()


ENDLESS = [
    *TINY,
    "--max-iters=1000000",
    "--eval-interval=1000000",
    "--save-interval=50",
]


def test_a_second_training_is_refused_and_ctrl_c_saves(text, tmp_path, capsys):
    command = ["train", str(text), "--out", str(tmp_path), *ENDLESS]
    process = start(*command)
    try:
        wait_for(tmp_path, "step-*", process)
        assert main(command) == 2
        err = one_line(capsys)
        assert str(process.pid) in err
        assert "in use" in err
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "to go on: llmlib train --resume" in out
    step = int(out.rpartition("stopped after step ")[2].partition(";")[0])
    assert max(tmp_path.glob("step-*")).name.startswith(f"step-{step:08d}-")
    assert read_log(tmp_path / "log.jsonl")[-1].step == step
    assert not list(tmp_path.glob(".*tmp"))


SLOW_STEP = """
import sys, time
from llmlib.cli import main
from llmlib.training.trainer import Trainer
make_step = Trainer.__next__
def step_slowly(trainer):
    if trainer.step == 2:
        print("in the third step", flush=True)
        time.sleep(600)
    return make_step(trainer)
Trainer.__next__ = step_slowly
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_twice_stops_at_once_and_keeps_the_checkpoint(text, tmp_path):
    command = [
        "train",
        str(text),
        "--out",
        str(tmp_path),
        *ENDLESS,
        "--save-interval=2",
    ]
    process = start(*command, code=SLOW_STEP)
    try:
        while process.stdout.readline() != "in the third step\n":
            assert process.poll() is None, process.communicate()
        for _ in range(2):
            time.sleep(0.5)  # a second signal at once would be taken for the first
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err == "llmlib: stopped\n"
    (kept,) = tmp_path.glob("step-*")
    assert kept.name.startswith("step-00000002-")
    read_checkpoint(kept)


def test_weights_in_int8_write_what_the_packed_model_writes(char_model, capsys):
    model, tokenizer = load_model(char_model)
    for weights in ("float32", "int8"):
        words = write(packed(model, weights), tokenizer, "the ", 20, Sampling(seed=2))
        expected = "".join(words)
        options = ["--prompt=the ", "--seed=2", "--max-new-tokens=20"]
        capsys.readouterr()
        run = ["generate", "--model", str(char_model), f"--weights={weights}", *options]
        assert main(run) == 0
        assert capsys.readouterr().out == f"the {expected}\n"
