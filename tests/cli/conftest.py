"""One small text and one tiny model that all tests share, and somebody who types."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from llmlib.cli import main


@pytest.fixture(scope="session")
def story() -> str:
    """The story that the text repeats."""
    return "One day a hen sat by the lake.\nIt was cold, and the hen was glad.\n\n"


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Options of a tiny model."""
    shape = ("--n-layer=1", "--n-head=1", "--n-embd=16", "--block-size=16")
    return (*shape, "--batch-size=2")


@pytest.fixture(scope="session")
def short(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Options of a tiny model's short training."""
    return (*tiny, "--max-iters=4", "--eval-interval=2", "--precision=float32")


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory, story: str) -> Path:
    """A small text: forty times one story, with an é that only it has."""
    path = tmp_path_factory.mktemp("text") / "my.txt"
    path.write_text(story * 40 + "Café\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def char_model(text: Path, short: tuple[str, ...]) -> Path:
    """The folder of a model over characters."""
    folder = text.parent / "char-model"
    assert (
        main(["train", str(text), "--out", str(folder), "--tokenizer=char", *short])
        == 0
    )
    return folder


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`answer(*lines)` lets `input` give these lines, or raise, and then Ctrl-D."""

    def answer(*lines: str | type[BaseException]) -> None:
        replies = itertools.chain(lines, itertools.repeat(EOFError))

        def reply(prompt: str = "") -> str:
            print(prompt, end="")
            line = next(replies)
            if isinstance(line, str):
                return line
            raise line

        monkeypatch.setattr("builtins.input", reply)

    return answer


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture) -> Callable[[], str]:
    """`one_line()` is what stderr holds, which is one line and no traceback."""

    def one_line() -> str:
        err = capsys.readouterr().err
        assert err.count("\n") == 1, err
        assert "Traceback" not in err
        return err

    return one_line
