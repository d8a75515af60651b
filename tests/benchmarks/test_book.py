"""The benchmark of the book builds one, and reads how long its pages took."""

import json

import pytest

from benchmarks import book


def test_it_runs(check_command):
    record = book.measure(quick=True)
    assert json.loads(json.dumps(record)) == record
    assert list(record["pages"]) == ["index"]
    assert 0 < record["pages"]["index"] < record["seconds"]["cold"]
    assert record["seconds"]["unchanged"] > 0
    record["pages"]["text/words"] = 3.25
    table = book.table(record).splitlines()
    assert table[0] == "a single page"
    assert len(table) == 2 + 2 + 1 + 2  # headings, builds, all pages, each
    assert table[-1].split()[:2] == ["text/words", "3.2"]
    check_command(book, "book", record)


def test_it_is_built_from_what_is_committed(monkeypatch, tmp_path):
    commands = []

    def pretend(*command, **options):
        commands.append((command, options))
        return "abc123\n"

    monkeypatch.setattr(book, "_run", pretend)
    assert book.clone(tmp_path) == "commit abc123"
    assert commands[0][0][-2:] == (str(book.ROOT), str(tmp_path))
    book.build(tmp_path)
    command, options = commands[-1]
    makefile = (book.ROOT / "Makefile").read_text("utf-8")
    (line,) = (line for line in makefile.splitlines() if "/jupyter-book" in line)
    line = line.replace("$(CURDIR)", str(tmp_path))
    assert list(command[1:]) == line.split()[1:]
    assert options["cwd"] == tmp_path
    assert options["env"]["PYTHONPATH"] == str(tmp_path)


def test_a_failure_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="not a git repository"):
        book._run("git", "-C", str(tmp_path), "rev-parse", "HEAD")


def test_what_is_executed_again_is_not_unchanged(monkeypatch):
    taken = iter([{"index": 1.0}, {"index": 2.0}])
    monkeypatch.setattr(book, "build", lambda folder: None)
    monkeypatch.setattr(book, "execution_seconds", lambda folder: next(taken))
    with pytest.raises(RuntimeError, match="executed pages again"):
        book.measure(quick=True)
