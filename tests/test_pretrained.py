"""The shipped model is the one its card describes, and it still fits the village."""

import hashlib
import json
from pathlib import Path

import pytest

import llmlib
from llmlib import StoryGrammar, bits_per_character, distance_to_floor, load_model

FOLDER = Path(llmlib.__file__).parent / "pretrained" / "stories"
CARD = json.loads((FOLDER / "card.json").read_text("utf-8"))


def test_the_weights_are_those_of_the_card():
    weights = (FOLDER / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == CARD["sha256"]
    assert len(weights) == CARD["bytes"] < 4_000_000


def test_it_is_as_near_the_floor_as_its_card_says():
    model, tokenizer = load_model("stories")
    village = StoryGrammar()
    stories = [village.sample(1, seed=30_000_000 + i) for i in range(60)]
    floor = -sum(map(village.log2_prob, stories)) / sum(map(len, stories))
    gap = distance_to_floor(bits_per_character(model, tokenizer, stories), floor)
    assert sum(p.numel() for p in model.parameters()) == CARD["parameters"] <= 1_000_000
    assert gap == pytest.approx(
        float(CARD["above_the_floor"].rstrip("%")) / 100, abs=0.02
    )
    assert gap < 0.05
