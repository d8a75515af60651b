"""The dials of the chapter *Training* are turned as it says."""

import json

import pytest
import torch

from benchmarks import dials
from llmlib import StoryGrammar, WordTokenizer, bits_per_character, token_ids

TEXT = StoryGrammar().sample(4_000, seed=1)  # in which every word of the village occurs
TOKENIZER = WordTokenizer.train(TEXT)
IDS = token_ids(TOKENIZER, TEXT)
SHARED = TOKENIZER.vocab_size, IDS, IDS[:500]


class Uniform:
    """A model to which all tokens are alike."""

    block_size = None

    def __call__(self, ids):
        return torch.zeros(*ids.shape, TOKENIZER.vocab_size)


def test_it_runs(check_command):
    threads = torch.get_num_threads()
    record = dials.measure(quick=True)
    torch.set_num_threads(threads)
    assert json.loads(json.dumps(record)) == record
    assert record["small"].keys() == dials.CHANGES.keys()
    ends = [runs["0.03"][0]["loss"] for runs in record["small"].values()]
    assert len(set(ends[:3])) == 3  # without warm-up, and still at first, it is another
    check_command(dials, "dials", record)


def test_at_first_still_moves_nothing_for_as_long_as_the_warm_up():
    runs = [
        dials.small(*SHARED, "at first still", rate, 0, max_iters=n)["loss"]
        for n in (dials.WARM_UP, dials.WARM_UP + 1)
        for rate in (0.001, 0.03)
    ]
    assert runs[0] == runs[1]  # whatever the rate would have been
    assert runs[2] != runs[3]


def test_a_change_of_none_is_the_rate_itself():
    level, falling = (
        dials.small(*SHARED, change, 0.01, 0, max_iters=20)
        for change in ("no way down", "warm-up and cosine")
    )
    assert level != falling


def test_the_trainings_are_the_chapters(code_of):
    code = code_of("training/training")
    for name, number in dials.PLAIN.items():
        assert f"    {name}={number},\n" in code
    assert "    learning_rate=3e-3,\n    min_lr=3e-3,\n" in code
    assert f"rates = {dials.SMALL_RATES}" in code
    shown = [name for name in dials.CHANGES if f'"{name}"' in code]
    assert shown == list(dials.CHANGES)


def test_the_judge_parts_what_is_lost():
    village = StoryGrammar()
    judge = dials.Judge(village, TOKENIZER, IDS, 3)
    found = judge.percent_above(Uniform())
    floor = village.bits_per_character(judge.stories)
    bits = bits_per_character(Uniform(), TOKENIZER, judge.stories)
    assert found["all"] == pytest.approx(100 * (bits / floor - 1), rel=1e-3)
    assert 0 < found["opening"] < found["all"]
    counts = torch.bincount(IDS).sort(descending=True)
    n = len(judge.common)
    assert judge.common == set(counts.indices[:n].tolist())
    assert counts.values[:n].sum() >= len(IDS) / 2 > counts.values[: n - 1].sum()
