"""Each bug of the museum is caught, in the right words, and what is right passes."""

import math
from dataclasses import replace

import pytest
import torch

from llmlib import GPT, StoryGrammar, fast_recipe, plain_recipe
from llmlib.check import (
    assert_above_floor,
    assert_apart,
    assert_attention,
    assert_causal,
    assert_fresh_gradients,
    assert_hears_order,
    assert_next_tokens,
    assert_overfits,
    assert_same_twice,
    assert_starts_at_chance,
    assert_weights_move,
    influence,
    museum,
)
from llmlib.text.batches import token_ids
from llmlib.text.tokenizers import CharTokenizer

V, T = 60, 16
FAST = replace(
    fast_recipe(V, T, n_layer=2, n_head=4, n_embd=32)[0], smear=0, init="scaled_normal"
)
PLAIN = plain_recipe(V, T, n_layer=2, n_head=4, n_embd=32)[0]
RIGHT = {
    "fast": FAST,
    "plain": PLAIN,
    "sinusoidal": replace(PLAIN, positions="sinusoidal"),
    "window": replace(PLAIN, attention="sliding_window", window=4),
}
IDS = torch.arange(T) * 7 % V
ROWS = torch.randint(V, (400, T + 1), generator=torch.Generator().manual_seed(0))
BATCH = museum.cut(ROWS[:8])


def built(build=GPT, config=FAST):
    torch.manual_seed(0)
    return build(config)


def one_block(build=GPT, config=FAST):
    return built(build, replace(config, n_layer=1))


def attend_of(kind):
    layer = kind(32, 4)
    return lambda q, k, v: layer.attend(q, k, v, 0)


def with_weights(change_scale=lambda scale, T: scale, diagonal=0):
    """An attention that is written out, and has the scale and mask that are wanted."""

    def attend(q, k, v):
        scale = change_scale(q.shape[-1] ** -0.5, q.shape[-2])
        future = torch.ones(q.shape[-2], k.shape[-2]).triu(1 + diagonal).bool()
        scores = (q @ k.mT * scale).masked_fill(future, -1e9)
        return scores.softmax(-1) @ v

    return attend


def nothing_learns(model, optimizer, inputs, targets):
    """A step through a model whose first block stands in no_grad."""
    with torch.no_grad():
        x = model.blocks[0](model.embed(inputs))
    logits = model.lm_head(model.norm(model.blocks[1](x)))
    optimizer.zero_grad()
    loss = museum.next_token_loss(logits, targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def test_what_is_right_passes_every_test():
    assert_next_tokens(*BATCH)
    assert_attention(attend_of(museum.Attention))
    learn, held_out = museum.split(ROWS)
    assert_apart(learn, held_out, length=8)
    assert_above_floor(1.0, 1.0)
    with pytest.raises(AssertionError, match="the loss is no number"):
        assert_above_floor(float("nan"), 1.0)


@pytest.mark.parametrize("config", RIGHT.values(), ids=RIGHT)
def test_a_right_model_passes_every_test(config):
    model = built(config=config)
    assert_causal(model, IDS)
    assert_hears_order(one_block(config=config), IDS)
    assert_starts_at_chance(model, *BATCH)
    assert_fresh_gradients(museum.step, model, *BATCH)
    assert_weights_move(museum.step, model, *BATCH, rate=1e-5)
    assert_overfits(museum.step, model, *BATCH)
    assert_same_twice(lambda: museum.validate(model, *BATCH))


def test_a_model_with_dropout_passes_too_and_keeps_its_mode():
    model = built(museum.with_dropout).train()
    assert_causal(model, IDS)
    assert_fresh_gradients(museum.step, model, *BATCH)
    assert_same_twice(lambda: museum.validate(model, *BATCH))
    assert model.training


def test_tests_leave_the_model_as_it_is():
    model, other = built(), built()
    for test in (assert_fresh_gradients, assert_overfits):
        test(museum.step, model, *BATCH)
    assert_weights_move(museum.step, model, *BATCH, rate=1e-3)
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=0)
        assert p.grad is None


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (museum.without_mask, r"position 0 changes when token 1 does: .* the future"),
        (
            museum.mask_off_by_one,
            r"position 0 changes when token 1 does: .* the future",
        ),
        (
            museum.merged_heads,
            r"position 0 changes when token [123] does: .* the future",
        ),
    ],
)
def test_a_model_that_sees_the_future_is_caught(build, sentence):
    for config in (FAST, PLAIN):
        with pytest.raises(AssertionError, match=sentence):
            assert_causal(built(build, config), IDS)


def test_influence_is_the_map_of_who_sees_whom():
    off = influence(built(museum.mask_off_by_one, replace(FAST, n_layer=1)), IDS) > 0
    # The last token is the next of the one before it, and nobody's else.
    assert off.equal(torch.ones(T, T).triu(-1).bool())
    assert not influence(built(), IDS).tril(-1).any()


class WithoutNumbers(GPT):
    """Says nan at the first position, as a mask that hides everything there makes it."""

    def forward(self, ids):
        return super().forward(ids).index_fill(1, torch.tensor([0]), math.nan)


def test_nothing_passes_that_is_no_number():
    def step(model, optimizer, inputs, targets):
        loss = museum.next_token_loss(model(inputs), targets) * math.nan
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    with pytest.raises(AssertionError, match=r"embed_tokens\.weight is not finite"):
        assert_fresh_gradients(step, built(), *BATCH)
    with pytest.raises(AssertionError, match=r"embed_tokens\.weight is not finite"):
        assert_weights_move(step, built(), *BATCH, rate=1e-3)
    future = built(
        lambda config: WithoutNumbers(replace(config, attention="everything"))
    )
    with pytest.raises(AssertionError, match="logits that are no numbers"):
        assert_causal(future, IDS)
    with pytest.raises(AssertionError, match="logits that are no numbers"):
        assert_hears_order(one_block(WithoutNumbers), IDS)


def test_a_token_that_is_impossible_before_and_after_has_not_moved():
    class Forbidding(GPT):
        def forward(self, ids):
            return super().forward(ids).index_fill(2, torch.tensor([0]), -math.inf)

    assert_causal(built(Forbidding), IDS)


def test_a_model_that_starts_at_zero_is_not_taken_for_a_right_one():
    config = replace(FAST, attention="everything", init="zero_output")
    with pytest.raises(AssertionError, match="no token changes"):
        assert_causal(built(config=config), IDS)
    with pytest.raises(AssertionError, match="no token changes"):
        assert_hears_order(one_block(config=replace(FAST, init="zero_output")), IDS)
    with pytest.raises(AssertionError, match="nothing comes through weights of zero"):
        assert_fresh_gradients(museum.step, built(config=config), *BATCH)
    sees_itself = built(config=config)  # its blocks add nothing, but its head is awake
    torch.nn.init.normal_(sees_itself.lm_head.weight)
    with pytest.raises(AssertionError, match="no token changes"):
        assert_causal(sees_itself, IDS)


@pytest.mark.parametrize(
    ("attend", "sentence"),
    [
        (
            attend_of(museum.WidthScaledAttention),
            "divided by √32, the root of the width",
        ),
        (attend_of(museum.MergedAttention), "heads and positions are mixed up$"),
        (with_weights(lambda scale, T: 1), "^the scores are not scaled$"),
        (with_weights(lambda scale, T: scale**2), "divided by 8, not by its root$"),
        (with_weights(diagonal=9), "^every position sees the whole future$"),
        (with_weights(diagonal=1), "^every position sees the token after it$"),
        (with_weights(diagonal=-1), "^no position sees itself$"),
        (
            with_weights(lambda scale, T: 1, diagonal=1),
            "^the scores are not scaled; every position sees the token after it$",
        ),
        (lambda q, k, v: v, "this is not softmax"),
    ],
)
def test_a_wrong_attention_is_told_what_is_wrong(attend, sentence):
    with pytest.raises(AssertionError, match=sentence):
        assert_attention(attend)
    assert_attention(with_weights())


@pytest.mark.parametrize(
    ("cut", "sentence"),
    [
        (museum.not_shifted, "the inputs themselves: the model learns to copy"),
        (museum.shifted_twice, "two tokens ahead"),
        (lambda rows: (rows[:, 1:], rows[:, :-1]), "one token behind"),
        (lambda rows: (rows, rows.roll(-1, 1)), "rolled round"),
        (lambda rows: (rows, rows.flip(1)), "not the inputs, shifted by one"),
    ],
)
def test_wrong_targets_are_caught(cut, sentence):
    with pytest.raises(AssertionError, match=sentence):
        assert_next_tokens(*cut(ROWS[:8]))


def test_missing_positions_are_caught():
    with pytest.raises(AssertionError, match="are positions put in"):
        assert_hears_order(one_block(museum.without_positions), IDS)


def test_gradients_that_add_up_or_do_not_arrive_are_caught():
    with pytest.raises(AssertionError, match="gives twice the gradient"):
        assert_fresh_gradients(museum.step_without_zero_grad, built(), *BATCH)
    with pytest.raises(AssertionError, match="rate zero move the weights"):
        assert_fresh_gradients(museum.step_in_bfloat16, built(), *BATCH)
    with pytest.raises(AssertionError, match=r"among them embed_tokens\.weight"):
        assert_fresh_gradients(nothing_learns, built(), *BATCH)


def test_weights_that_stand_still_are_caught():
    with pytest.raises(AssertionError, match=r"moves only \d+% of the weights"):
        assert_weights_move(museum.step_in_bfloat16, built(), *BATCH, rate=1e-5)


def test_a_loss_of_probabilities_cannot_learn_one_batch():
    with pytest.raises(AssertionError, match="not even learn that by heart"):
        assert_overfits(museum.step_on_probabilities, built(), *BATCH)


def test_a_loss_of_probabilities_has_a_bottom():
    ids = torch.arange(V)[None]

    def knows(inputs):
        return 100.0 * torch.nn.functional.one_hot(inputs, V)

    model = torch.nn.Module()
    model.forward = knows
    least = museum.validate_on_probabilities(model, ids, ids)
    assert least == pytest.approx(math.log(V - 1 + math.e) - 1, abs=1e-4)


def test_dropout_in_validation_is_caught():
    model = built(museum.with_dropout)
    with pytest.raises(AssertionError, match="is dropout still on"):
        assert_same_twice(lambda: museum.validate_in_training_mode(model, *BATCH))


def test_a_head_that_starts_too_loud_is_caught():
    model = built()
    with torch.no_grad():
        model.lm_head.weight *= 100
    with pytest.raises(AssertionError, match=r"a blind guess has 4\.09"):
        assert_starts_at_chance(model, *BATCH)


def test_a_leak_is_caught_and_stories_of_one_grammar_are_none():
    learn, held_out = museum.leaking_split(ROWS)
    with pytest.raises(AssertionError, match="it has been seen"):
        assert_apart(learn, held_out, length=8)
    text = StoryGrammar().sample(300, seed=1)
    tokenizer = CharTokenizer.train(text)
    ids = token_ids(tokenizer, text)
    cut = len(ids) * 9 // 10
    assert_apart(ids[:cut], ids[cut:], length=100, share=0.01)
    with pytest.raises(AssertionError, match="100% of the pieces"):
        assert_apart(ids, ids[cut:], length=100)


def test_a_text_shorter_than_its_pieces_has_none():
    with pytest.raises(ValueError, match="row of 10 ids has no piece of 32"):
        assert_apart(torch.arange(100), torch.arange(10))


def test_what_is_too_good_is_not_true():
    with pytest.raises(AssertionError, match=r"2\.31 is below the floor of 2\.75"):
        assert_above_floor(2.31, 2.75)


def test_a_training_differs_in_its_bug_alone():
    """Both begin with the same weights, so that curves may be compared."""
    for build in (museum.merged_heads, museum.scaled_by_width, museum.mask_off_by_one):
        for p, q in zip(built().parameters(), built(build).parameters(), strict=True):
            assert p.equal(q)


def test_batches_do_not_depend_on_the_bug():
    seen = {GPT: [], museum.merged_heads: [], museum.with_dropout: []}
    for build, batches in seen.items():

        def note(rows, batches=batches):
            batches.append(rows)
            return museum.cut(rows)

        parts = museum.Parts(build=build, cut=note)
        list(museum.train(parts, FAST, ROWS, steps=3, batch_size=4))
    assert all(map(torch.equal, seen[GPT], seen[museum.merged_heads]))
    assert all(map(torch.equal, seen[GPT], seen[museum.with_dropout]))


@pytest.mark.parametrize(
    "step", [museum.step, museum.step_without_zero_grad, museum.step_in_bfloat16]
)
def test_a_step_gives_back_the_loss_before_it(step):
    model = built()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = museum.validate(model, *BATCH)
    assert step(model, optimizer, *BATCH) == pytest.approx(before)
    assert museum.validate(model, *BATCH) < before


def test_the_museum_trains():
    rows = (torch.arange(T + 1) + torch.arange(400)[:, None]) % V
    logs = list(museum.train(museum.Parts(), FAST, rows, steps=20, batch_size=8))
    assert [step for step, _, _ in logs] == [10, 20]
    assert logs[1][1] < logs[0][1] < 4


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_an_attention_is_held_at_its_first_position_too(value):
    right = attend_of(museum.Attention)

    def broken(q, k, v):
        made = right(q, k, v).clone()
        made[:, :, 0] = value
        return made

    with pytest.raises(AssertionError, match="this is not softmax"):
        assert_attention(broken)


def test_a_step_that_computes_no_gradient_moves_nothing():
    def idle(model, optimizer, inputs, targets):
        optimizer.step()
        return 1.0

    with pytest.raises(AssertionError, match="is backward called"):
        assert_weights_move(idle, built(), *BATCH, rate=1e-3)
