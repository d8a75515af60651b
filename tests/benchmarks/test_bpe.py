"""The benchmark of byte-pair encoding runs, on texts that are what they are said to be."""

import json
import os
import unicodedata
from collections import Counter

import pytest

from benchmarks import bpe
from benchmarks.diverse import diverse_text
from llmlib.text.merges import learn_merges


def test_it_runs(stand_in, monkeypatch, check_command):
    stand_in(bpe)
    for name in bpe.ONE_THREAD:  # so that they are put back
        monkeypatch.setenv(name, os.environ.get(name, ""))
    record = bpe.measure(quick=True)
    assert json.loads(json.dumps(record)) == record
    assert record["texts"]["shakespeare"]["bytes"] == 30_000
    assert all(len(results) >= 2 for results in record["training"].values())
    assert all(len(results) >= 4 for results in record["encoding"].values())
    table = bpe.table(record)
    for case in [*record["training"], *record["encoding"]]:
        assert f": {case}\n" in table
    check_command(bpe, "bpe", record)


def test_other_ids_are_no_comparison():
    with pytest.raises(ValueError, match="'theirs' gives something else than 'ours'"):
        bpe._check_same({"ours": lambda: [1, 2], "theirs": lambda: [1, 3]})


@pytest.mark.parametrize("pieces", [["aaabdaaabac"], ["abab", "aaaa", "é é"] * 3, []])
def test_the_definition(pieces):
    assert bpe.textbook_merges(pieces, 9) == learn_merges(Counter(pieces), 9)


def test_the_text_is_diverse():
    text = diverse_text(850_000)
    assert 850_000 - 3 <= len(text.encode("utf-8")) <= 850_000
    assert text == diverse_text(850_000)
    letters = Counter(filter(str.isalpha, text))
    scripts = Counter()
    for letter, count in letters.items():
        scripts[unicodedata.name(letter, "?").split()[0]] += count
    common = {script for script, count in scripts.items() if count > 500}
    assert len(common) >= 10
    assert common >= {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "DEVANAGARI", "CJK"}


def test_there_is_not_so_much(monkeypatch):
    monkeypatch.setattr("benchmarks.diverse._parts", lambda: iter(["äh"]))
    assert diverse_text(2) == "ä"
    assert diverse_text(1) == ""
    with pytest.raises(ValueError, match="there are 4 bytes of text, not 5"):
        diverse_text(5)
