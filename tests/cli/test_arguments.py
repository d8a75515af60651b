"""What the whole command line shares: arguments, help, exit codes, failures."""

import signal
from importlib.metadata import version

import pytest

from llmlib.cli import build_parser, main
from llmlib.cli.settings import SETTINGS, default_of
from llmlib.text.files import CannotWriteError
from llmlib.training.steps import TrainingDivergedError

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
    (["train", "TEXT", "--out", "DIR", "--dropout", "1"], "below 1, got 1.0"),
    (["generate", "--model", "nobody"], "'stories'"),
    (["generate", "--model", "MODEL", "--device", "abacus"], "'abacus' is not"),
    (["chat", "--model", "MODEL", "--device", "abacus"], "'abacus' is not"),
    (
        ["generate", "--model=MODEL", "--device=meta", "--weights=int8"],
        "int8 is for the CPU, not meta",
    ),
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
    command, named, text, char_model, tmp_path, capsys, one_line
):
    places = {"TEXT": str(text), "MODEL": str(char_model), "DIR": str(tmp_path / "new")}
    capsys.readouterr()
    assert main([places.get(word, word) for word in command]) == 2
    err = one_line()
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
def test_a_mistake_in_a_command_points_to_its_help(command, text, tmp_path, one_line):
    places = {"TEXT": str(text), "DIR": str(tmp_path / "new")}
    assert main([places.get(word, word) for word in command]) == 2
    assert one_line().endswith(f"(see llmlib {command[0]} --help)\n")


def test_any_other_failure_is_one_line_and_exit_1(monkeypatch, one_line):
    def fail(config: object) -> None:
        raise RuntimeError("out of\nmemory")

    monkeypatch.setattr("llmlib.cli.models.size_report", fail)
    assert main(["info"]) == 1
    assert one_line() == "llmlib: RuntimeError: out of memory\n"


@pytest.mark.parametrize("kind", [CannotWriteError, TrainingDivergedError])
def test_what_fails_on_the_way_is_exit_1(monkeypatch, one_line, kind):
    def fail(config: object) -> None:
        raise kind("no room")

    monkeypatch.setattr("llmlib.cli.models.size_report", fail)
    assert main(["info"]) == 1
    assert one_line() == "llmlib: no room\n"


def test_ctrl_c_anywhere_is_exit_130(monkeypatch, one_line):
    def press(config: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("llmlib.cli.models.size_report", press)
    # What a shell starts in the background begins with SIGINT ignored, these tests too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["info"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert one_line() == "llmlib: stopped\n"


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
