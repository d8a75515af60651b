"""A text in the place of Tiny Shakespeare, so that nothing has to be at hand: whether a
benchmark runs does not depend on what is written there.
"""

import json
from pathlib import Path

import pytest

from benchmarks import machine
from llmlib import Corpus, StoryGrammar, load_corpus


@pytest.fixture
def stand_in(monkeypatch):
    """Gives a module of the benchmarks stories under Shakespeare's name."""
    told = StoryGrammar().sample(600, seed=5)
    # In letters that the model of Shakespeare knows.
    stories = told.replace('"', "'").split("\n\n")
    play = Corpus("shakespeare", [f"{story}\n\n" for story in stories if story])

    def load(name):
        return play if name == "shakespeare" else load_corpus(name)

    return lambda module: monkeypatch.setattr(module, "load_corpus", load)


@pytest.fixture
def code_of():
    """Gives all code of a page, so that a benchmark's settings can be held against it."""
    book = Path(__file__).parents[2] / "book"

    def read(page):
        cells = json.loads((book / f"{page}.ipynb").read_text("utf-8"))["cells"]
        return "\n".join(
            "".join(c["source"]) for c in cells if c["cell_type"] == "code"
        )

    return read


@pytest.fixture
def check_command(monkeypatch, capsys):
    """Checks that a module's main prints the table of a record, and writes the record
    unless it was quick.
    """

    def check(module, name, record):
        written = []
        monkeypatch.setattr(
            machine, "write_results", lambda *given: written.append(given)
        )
        monkeypatch.setattr(module, "measure", lambda quick: record)
        capsys.readouterr()
        module.main(["--quick"])
        assert capsys.readouterr().out == module.table(record) + "\n"
        assert not written
        module.main([])
        assert written == [(name, record)]

    return check
