"""The shipped models are those their cards describe, and the stories still fit the village."""

import hashlib
import json
from pathlib import Path

import pytest

import llmlib
from llmlib import (
    Sampling,
    StoryGrammar,
    bits_per_character,
    distance_to_floor,
    load_model,
    source_shares,
    write,
)
from llmlib.training.saving import PRETRAINED

FOLDER = Path(llmlib.__file__).parent / "pretrained"
CARDS = {
    name: json.loads((FOLDER / name / "card.json").read_text("utf-8"))
    for name in PRETRAINED
}


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_weights_are_those_of_the_card(name):
    weights = (FOLDER / name / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == CARDS[name]["sha256"]
    assert len(weights) == CARDS[name]["bytes"] < 4_000_000
    assert CARDS[name]["command"] == f"python -m benchmarks.pretrain {name}"


@pytest.mark.parametrize("name", PRETRAINED)
def test_it_has_as_many_parameters_as_its_card_says_and_writes(name):
    model, tokenizer = load_model(name)
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters == CARDS[name]["parameters"] <= 2_000_000
    assert "".join(write(model, tokenizer, "", 20)).strip()


def test_stories_are_as_near_the_floor_as_the_card_says():
    model, tokenizer = load_model("stories")
    village = StoryGrammar()
    stories = [village.sample(1, seed=30_000_000 + i) for i in range(60)]
    floor = village.bits_per_character(stories)
    gap = distance_to_floor(bits_per_character(model, tokenizer, stories), floor)
    above = float(CARDS["stories"]["above_the_floor"].rstrip("%")) / 100
    assert gap == pytest.approx(above, abs=0.02)
    assert gap < 0.05


def test_the_first_page_tells_what_other_names_bring():
    model, tokenizer = load_model("stories")
    rules = Sampling(temperature=0.7, seed=23)  # those of the first page
    stories = {
        name: "".join(
            write(model, tokenizer, f"One rainy morning, {name} the", 170, rules)
        ).split("\n\n")[0]
        for name in ("Juno", "Harry")
    }
    assert " goat " in stories["Juno"]
    assert "Juno got lost" in stories["Juno"]
    assert " he " not in stories["Juno"].lower()
    assert "Harry" not in stories["Harry"]
    assert "Magnus" in stories["Harry"][-90:]


def test_heads_do_what_the_chapter_on_heads_says_of_them():
    model, tokenizer = load_model("stories")
    village = StoryGrammar()
    places = [
        (story, place)
        for story, marked in map(village.annotated, range(20_000_000, 20_000_060))
        for place in marked
    ]
    shares = source_shares(model, tokenizer, places)
    dark = {"object": [(1, 0)], "name": [(1, 1), (1, 2)], "elder": [(1, 3)]}
    for kind, heads in dark.items():
        assert list(map(tuple, (shares[kind] > 0.5).nonzero().tolist())) == heads
    best = {"answer": (0, 3), "count": (0, 2), "pronoun": (1, 2)}
    for kind, head in best.items():
        assert divmod(shares[kind].argmax().item(), 4) == head
    promises = [(story, place) for story, place in places if place.kind == "promise"]
    bets = [(s, p) for s, p in promises if "loser" in s[p.start - 10 : p.start]]
    others = [pair for pair in promises if pair not in bets]
    assert source_shares(model, tokenizer, bets)["promise"][1, 3] > 0.6
    assert source_shares(model, tokenizer, others)["promise"].max() < 0.2
