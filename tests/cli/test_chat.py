"""`llmlib chat`: what it says to the lines that are typed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from llmlib.cli import main
from llmlib.cli.chat import Chat
from llmlib.generation.decoding import write
from llmlib.generation.sampling import Sampling
from llmlib.text.tokenizers import CharTokenizer
from llmlib.training.saving import load_model


@pytest.fixture
def talk(answer: Callable, char_model: Path) -> Callable[..., int]:
    """`talk(*lines)` is a chat of these lines; its exit code."""

    def talk(*lines: str | type[BaseException]) -> int:
        answer(*lines)
        options = ["--max-new-tokens=8", "--seed=1"]
        return main(["chat", "--model", str(char_model), *options])

    return talk


def turns(capsys: pytest.CaptureFixture) -> list[str]:
    """What the chat wrote after each prompt."""
    return [
        turn.removesuffix("\n") for turn in capsys.readouterr().out.split("\n> ")[1:]
    ]


def test_a_chat_goes_on_with_the_story(char_model, talk, capsys):
    model, tokenizer = load_model(char_model)
    stop = ("\n\n",)
    first = "a hen" + "".join(
        write(model, tokenizer, "a hen", 8, Sampling(0.8, seed=1), stop)
    )
    with pytest.warns(UserWarning, match="reads the last 16"):
        more = "".join(
            write(model, tokenizer, first + " and", 8, Sampling(0.8, seed=2), stop)
        )
    assert talk("a hen", " and") == 0
    said = turns(capsys)
    assert said[0] == first
    assert said[1] == f" and{more}"


def test_a_space_parts_the_story_from_what_is_typed(monkeypatch, talk, capsys):
    texts, replies = [], iter([" look", "ed. ", " at", "", "."])

    def story(model: object, tokenizer: object, text: str, n: int, rules: object):
        texts.append(text)
        return iter([next(replies)])

    monkeypatch.setattr("llmlib.cli.chat.write", story)
    lines = ["the hen", "the cat", "a cow", "/again", " the", "/quit"]
    assert talk(*lines) == 0
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


def test_ctrl_c_at_the_question_is_an_answer_of_no(talk, capsys):
    lines = ["☃", KeyboardInterrupt, "hen", "/quit"]
    assert talk(*lines) == 0
    said = capsys.readouterr()
    assert "(the model does not know '☃'" in said.out
    assert "> hen" in said.out
    assert said.err == ""


def test_again_draws_the_latest_turn_anew(talk, capsys):
    assert talk("a hen", "/again", "/again") == 0
    said = turns(capsys)[:3]
    assert all(turn.startswith("a hen") for turn in said)
    assert len(set(said)) == 3


def test_temperature_zero_makes_again_the_same(talk, capsys):
    lines = ["/temperature 0", "a hen", "/again"]
    assert talk(*lines) == 0
    said = turns(capsys)
    assert "temperature 0" in said[0]
    assert said[1] == said[2]


def test_mistakes_in_a_chat_are_named_and_the_chat_goes_on(talk, capsys):
    lines = [
        "/sing",
        "/temperature hot",
        "/temperature -1",
        "☃",
        "no",
        KeyboardInterrupt,
    ]
    assert talk(*lines, "/help", "hen", "/quit", "never read") == 0
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


def test_ctrl_c_stops_a_reply_and_not_the_chat(monkeypatch, talk, capsys):
    def endless(*_: object) -> object:
        yield " is"
        raise KeyboardInterrupt

    monkeypatch.setattr("llmlib.cli.chat.write", endless)
    assert talk("It", "It", "/quit") == 0
    assert capsys.readouterr().out.count("It is ...") == 2


def test_a_blank_line_ends_a_turn(monkeypatch, talk, capsys):
    texts = []

    def story(model: object, tokenizer: object, text: str, n: int, rules: object):
        texts.append(text)
        return iter([" sat.\n", "\nA cat", " ran."])

    monkeypatch.setattr("llmlib.cli.chat.write", story)
    assert talk("a hen", "", "the cow", "/quit") == 0
    assert texts == [
        "a hen",
        "a hen sat.\n\n",
        "a hen sat.\n\n sat.\n\nthe cow",
    ]
    assert turns(capsys)[:3] == ["a hen sat.", " sat.", "the cow sat."]


def test_a_chat_that_outgrows_the_context_goes_on_in_silence(char_model, talk, capsys):
    model, _ = load_model(char_model)
    lines = ["a cat sat. " * model.block_size, "", "/quit"]
    assert talk(*lines) == 0
    said = capsys.readouterr()
    assert "reads the last" not in said.out + said.err
