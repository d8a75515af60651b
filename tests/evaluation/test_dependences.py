"""A model that knows the rules remembers everything; one that knows letters, nothing."""

import math

import pytest
import torch

from llmlib.evaluation import dependences
from llmlib.evaluation.dependences import (
    chance_accuracy,
    choose_candidates,
    dependence_accuracy,
)
from llmlib.text.bpe import BPETokenizer
from llmlib.text.stories import StoryGrammar
from llmlib.text.tokenizers import CharTokenizer, WordTokenizer

RULES = """
### story
- {hero} lived by the river and was never, ever in a hurry to be home. {hero.She!pronoun}
  swam. So {hero.she!pronoun} was wet, and everybody could see it: wet was {hero!name}.

### hero = cast

### cast
| name | she |
|---|---|
| Ann | she |
| Abel | he |
| Bo | he |
"""
GRAMMAR = StoryGrammar(RULES)
STORIES = [GRAMMAR.annotated(seed) for seed in range(12)]
PLACES = [(story, place) for story, places in STORIES for place in places]
TOKENIZER = CharTokenizer.train("".join(story for story, _ in STORIES))


def perfect(ids):
    """The grammar itself as a model: exact logits for every next character."""
    logits = torch.full((*ids.shape, TOKENIZER.vocab_size), -math.inf)
    for b, row in enumerate(ids.tolist()):
        text = TOKENIZER.decode(row)[
            2:
        ]  # without the blank line that texts start after
        for t in range(1, len(row)):
            for i in range(TOKENIZER.vocab_size):
                prefix = text[: t - 1] + TOKENIZER.decode([i])
                logits[b, t, i] = -GRAMMAR.surprisal(prefix)[-1] * math.log(2)
    nothing_fits = logits.isneginf().all(dim=-1, keepdim=True)
    return logits.masked_fill(nothing_fits, 0.0)


def letters_alone(ids):
    """A model that finds short words likelier, whatever came before."""
    return torch.zeros(*ids.shape, TOKENIZER.vocab_size)


def test_places_are_those_that_the_grammar_marks():
    assert {place.kind for _, place in PLACES} == {"name", "pronoun"}
    assert {p.candidates for _, p in PLACES if p.kind == "name"} == {
        ("Ann", "Abel", "Bo")
    }


def test_the_rules_themselves_are_always_right():
    few = PLACES[:4]
    expected = [story[place.start : place.end] for story, place in few]
    assert choose_candidates(perfect, TOKENIZER, few) == expected
    assert set(dependence_accuracy(perfect, TOKENIZER, few).values()) == {1.0}


def test_a_model_without_memory_always_says_the_same():
    chosen = choose_candidates(letters_alone, TOKENIZER, PLACES)
    names = [c for c, (_, p) in zip(chosen, PLACES, strict=True) if p.kind == "name"]
    assert set(names) == {"Bo"}
    heroes = [story.startswith("Bo") for story, _ in STORIES]
    accuracy = dependence_accuracy(letters_alone, TOKENIZER, PLACES)
    assert accuracy["name"] == pytest.approx(sum(heroes) / len(heroes))


def test_reach_hides_what_is_further_back():
    seen = []

    def watching(ids):
        seen.extend(TOKENIZER.decode(row) for row in ids.tolist())
        return letters_alone(ids)

    place = next((s, p) for s, p in PLACES if p.kind == "name")
    choose_candidates(watching, TOKENIZER, [place], reach=9)
    assert all("wet was" in text and "lived" not in text for text in seen)
    # The longest candidate: what follows it is predicted, and nothing is read behind it.
    assert max(seen, key=lambda text: len(text.strip())) == "\n\n wet was Abel"


def test_the_token_behind_a_candidate_is_whole(monkeypatch):
    """Here it is !" where a story goes on, and half of an é where one does not."""
    read = []

    def record(model, tokenizer, texts):
        read.extend(texts)
        return [0.0] * len(texts)

    monkeypatch.setattr(dependences, "text_bits", record)
    shout = StoryGrammar(RULES.replace("{hero!name}.", '{hero!name}!" they said.'))
    accent = StoryGrammar(RULES.replace("{hero!name}.", "{hero!name}é"))
    tokenizer = BPETokenizer.train(shout.sample(20, seed=0), 400)
    assert b'!"' in tokenizer.vocab
    for grammar, end in ((shout, '!"'), (accent, "é")):
        told, places = grammar.annotated(0)
        (place,) = [p for p in places if p.kind == "name"]
        choose_candidates(None, tokenizer, [(told, place)])
        before = told[: place.start]
        assert read[-3:] == [f"{before}{name}{end}" for name in ("Ann", "Abel", "Bo")]


def test_words_are_never_cut_and_never_followed_by_an_unknown_space():
    words = WordTokenizer.train("\n\n".join(story for story, _ in STORIES))
    seen = []

    def watching(ids):
        seen.extend(ids.flatten().tolist())
        return torch.zeros(*ids.shape, words.vocab_size)

    for place in PLACES:  # one at a time, so that nothing is filled up
        choose_candidates(watching, words, [place], reach=9)
    assert seen
    assert 0 not in seen


def test_chance_is_one_over_the_candidates():
    assert chance_accuracy(PLACES) == pytest.approx({"name": 1 / 3, "pronoun": 1 / 2})
