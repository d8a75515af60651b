"""Where heads look, against models whose looking is known, and what is lost without them."""

import pytest
import torch
from torch.testing import assert_close

from llmlib.inside.heads import (
    ablate_heads,
    attention_of,
    gathered_of,
    source_shares,
    uniform_shares,
)
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.text.bpe import BPETokenizer
from llmlib.text.stories import Dependence, StoryGrammar
from llmlib.text.tokenizers import CharTokenizer

RULES = """
### story
- {hero} lived by the river, never in a hurry. So {hero.she!pronoun} was wet: {hero!name}.

### hero = cast

### cast
| name | she |
|---|---|
| Ann | she |
| Bo | he |
"""
GRAMMAR = StoryGrammar(RULES)
STORIES = [GRAMMAR.annotated(seed, min_distance=5) for seed in range(6)]
PLACES = [(story, place) for story, places in STORIES for place in places]
TOKENIZER = CharTokenizer.train("".join(story for story, _ in STORIES))


def make_model(**settings):
    torch.manual_seed(0)
    shape = {"block_size": 96, "n_layer": 2, "n_head": 3, "n_embd": 24} | settings
    return GPT(GPTConfig(TOKENIZER.vocab_size, **shape)).eval()


def test_attention_of_a_text_is_that_of_its_ids_after_the_start():
    model = make_model()
    pieces, weights = attention_of(model, TOKENIZER, "Ann lived")
    assert "".join(pieces) == "\n\nAnn lived"
    assert weights.shape == (2, 3, 11, 11)
    assert_close(weights.sum(-1), torch.ones(2, 3, 11))
    assert (weights.triu(1) == 0).all()
    assert len(attention_of(model, TOKENIZER, 94 * "A")[0]) == model.block_size
    with pytest.raises(ValueError, match="the text has 102 tokens"):
        attention_of(model, TOKENIZER, 100 * "A")


def test_heads_that_look_at_all_alike_have_the_uniform_share():
    model = make_model()
    for block in model.blocks:
        block.attention.q_proj.weight.data.zero_()
    uniform = uniform_shares(model, TOKENIZER, PLACES)
    shares = source_shares(model, TOKENIZER, PLACES)
    assert uniform.keys() == shares.keys() == {"name", "pronoun"}
    for kind, share in shares.items():
        assert_close(share, uniform[kind].expand(2, 3))
    story, place = next((s, p) for s, p in PLACES if p.kind == "pronoun")
    characters = sum(b - a for a, b in place.sources)
    one = uniform_shares(model, TOKENIZER, [(story, place)])["pronoun"].item()
    assert one == pytest.approx(characters / (place.start + 2))


def test_a_share_is_the_attention_on_the_letters_of_the_source():
    model = make_model()
    story, place = next((s, p) for s, p in PLACES if p.kind == "name")
    assert {story[a:b] for a, b in place.sources} <= {"Ann", "Bo", "she", "he"}
    _, weights = attention_of(model, TOKENIZER, story[: place.start])
    by_hand = sum(weights[:, :, -1, a + 2 : b + 2].sum(-1) for a, b in place.sources)
    share = source_shares(model, TOKENIZER, [(story, place)])["name"]
    assert_close(share, by_hand)


def test_places_beyond_the_context_are_left_out():
    assert source_shares(make_model(block_size=8), TOKENIZER, PLACES) == {}
    assert uniform_shares(make_model(block_size=8), TOKENIZER, PLACES) == {}


def test_an_ablated_head_adds_nothing_and_comes_back():
    model, ids = make_model(), torch.randint(TOKENIZER.vocab_size, (2, 20))
    whole = model(ids)
    with ablate_heads(model, [(0, 1), (1, 2)]):
        without = model(ids)
    assert_close(model(ids), whole)
    for layer, head in [(0, 1), (1, 2)]:
        columns = slice(8 * head, 8 * head + 8)
        model.blocks[layer].attention.o_proj.weight.data[:, columns] = 0
    assert_close(without, model(ids))
    assert not torch.allclose(without, whole)


def test_what_heads_gather_is_what_the_projection_reads():
    model, text = make_model(), "Ann lived by the river"
    gathered = gathered_of(model, TOKENIZER, text)
    ids = torch.tensor([TOKENIZER.start_ids + TOKENIZER.encode(text)])
    assert gathered.shape == (2, ids.numel(), 24)
    stream = model.embed(ids)
    for block, found in zip(model.blocks, gathered, strict=True):
        attention = block.attention
        assert_close(
            attention.o_proj(found[None]), attention(block.attention_norm(stream))
        )
        stream = block(stream)
    with pytest.raises(ValueError, match="the model reads at most 96"):
        gathered_of(model, TOKENIZER, 100 * "A")


def test_what_stands_in_a_heads_place_is_what_is_given():
    model, text = make_model(), "Ann lived by the river"
    ids = torch.tensor([TOKENIZER.start_ids + TOKENIZER.encode(text)])
    whole, own = model(ids), gathered_of(model, TOKENIZER, text)
    last = own[:, -1]
    every = [(layer, head) for layer in range(2) for head in range(3)]
    with ablate_heads(model, every[3:], last):  # of the last layer: as it was, here
        assert_close(model(ids)[:, -1], whole[:, -1])
    with ablate_heads(model, [(0, 1)], last):
        found = gathered_of(model, TOKENIZER, text)[0]
    assert_close(found[:, 8:16], last[0, 8:16].expand(len(found), 8))
    assert_close(found[:, :8], own[0, :, :8])
    assert_close(found[:, 16:], own[0, :, 16:])


@pytest.mark.parametrize("head", [(2, 0), (0, 3), (-1, 0)])
def test_heads_that_are_not_there_are_refused(head):
    with (
        pytest.raises(ValueError, match="2 layers of 3 heads"),
        ablate_heads(make_model(), [head]),
    ):
        pass


def test_letters_of_several_tokens_move_no_place():
    """A byte-level tokenizer spells é with two tokens, neither of which is a letter."""
    tokenizer = BPETokenizer.train("é", 256)
    story = "café – oh! Ann sat. So Ann"
    first, second = story.index("Ann"), story.rindex("Ann")
    place = Dependence("name", second, len(story), ("Ann",), ((first, first + 3),))
    torch.manual_seed(0)
    model = GPT(GPTConfig(256, block_size=64, n_layer=1, n_head=2, n_embd=8)).eval()
    before = len(story[:second].encode()) + 2  # the start is two line breaks
    share = uniform_shares(model, tokenizer, [(story, place)])["name"].item()
    assert share == pytest.approx(3 / before)
    pieces, weights = attention_of(model, tokenizer, story[:second])
    start = len(story[:first].encode()) + 2
    assert "".join(pieces[start : start + 3]) == "Ann"
    found = source_shares(model, tokenizer, [(story, place)])["name"]
    assert_close(found, weights[:, :, -1, start : start + 3].sum(-1))


def test_heads_are_looked_at_without_dropout():
    model = make_model(dropout=0.5).train()
    once, again = (attention_of(model, TOKENIZER, "Ann lived")[1] for _ in range(2))
    assert torch.equal(once, again)
    assert model.training
