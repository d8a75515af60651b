"""`llmlib generate`: what it writes, and the prompts that it takes."""

import io

import pytest

from llmlib.cli import build_parser, main
from llmlib.cli.generate import chosen_model, read_prompts
from llmlib.cli.prompts import known_text
from llmlib.evaluation.models import device_of
from llmlib.generation.decoding import beam_search, generate_batch, write
from llmlib.generation.packing import packed
from llmlib.generation.sampling import Sampling
from llmlib.text.tokenizers import CharTokenizer
from llmlib.training.saving import load_model


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


def test_a_prompt_beyond_the_context_is_cropped_with_a_notice(
    char_model, capsys, one_line
):
    command = ["generate", "--model", str(char_model), "--max-new-tokens=1"]
    capsys.readouterr()
    assert main([*command, "--prompt", "hen " * 1000]) == 0
    assert "reads the last 16" in one_line()


def test_an_empty_prompt_begins_a_story(char_model, capsys):
    assert main(["generate", "--model", str(char_model), "--max-new-tokens=5"]) == 0
    assert len(capsys.readouterr().out) == 6


def test_unknown_characters_are_named_and_left_out_if_the_user_agrees(answer, capsys):
    tokenizer = CharTokenizer.train("abc")
    assert known_text(tokenizer, "cab", ask=True) == "cab"
    for reply, kept in (("", "ab"), ("Yes", "ab"), ("no", None), (EOFError, None)):
        answer(reply)
        if kept is None:
            with pytest.raises(ValueError, match="does not know '☃', '🜚'"):
                known_text(tokenizer, "☃a🜚☃b", ask=True)
        else:
            assert known_text(tokenizer, "☃a🜚☃b", ask=True) == kept
    assert "'☃', '🜚'" in capsys.readouterr().out


def test_unknown_words_of_a_prompt_are_told_on_stderr(text, short, tmp_path, capsys):
    folder = str(tmp_path)
    assert main(["train", str(text), "--out", folder, "--tokenizer=word", *short]) == 0
    command = ["generate", "--model", folder, "--max-new-tokens=0"]
    capsys.readouterr()
    assert main([*command, "--prompt=One day a dragon sat, a dragon!"]) == 0
    said = capsys.readouterr()
    assert said.out == "One day a dragon sat, a dragon!\n"
    assert said.err.count("\n") == 1
    assert "<unk> in place of ' dragon', '!'" in said.err
    assert main([*command, "--prompt=One day a hen sat."]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", ["generate", "chat"])
def test_the_model_is_on_the_device_that_was_chosen(command, char_model, monkeypatch):
    def device(*options: str) -> str:
        line = [command, "--model", str(char_model), *options]
        model, _ = chosen_model(build_parser().parse_args(line))
        return device_of(model).type

    assert device() == device("--device=cpu") == "cpu"
    assert device("--device=meta") == "meta"
    monkeypatch.setattr("llmlib.cli.generate.best_device", lambda: "meta")
    assert device("--device=auto") == "meta"
