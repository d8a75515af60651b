"""Batches: shifted by one, drawn evenly, and a pure function of seed, step and rank."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmlib.text.batches import batch_at, document_starts, token_ids
from llmlib.text.tokenizers import CharTokenizer

IDS = torch.arange(1_000) * 3


@settings(deadline=None)
@given(
    n=st.integers(2, 300),
    batch_size=st.integers(1, 8),
    block_size=st.integers(1, 299),
    step=st.integers(0, 2**40),
)
def test_targets_are_what_follows(n, batch_size, block_size, step):
    block_size = min(block_size, n - 1)
    inputs, targets = batch_at(IDS[:n], batch_size, block_size, step=step)
    assert inputs.shape == targets.shape == (batch_size, block_size)
    assert inputs.dtype == targets.dtype == torch.int64
    assert torch.equal(targets, inputs + 3)  # ids go up by 3
    assert torch.equal(inputs, inputs[:, :1] + 3 * torch.arange(block_size))


def test_a_pure_function_of_its_arguments():
    before = torch.get_rng_state()
    first = batch_at(IDS, 8, 16, step=5, seed=2, rank=1)
    torch.manual_seed(0)
    batch_at(IDS, 8, 16, step=4, seed=2, rank=1)
    for one, other in zip(
        first, batch_at(IDS, 8, 16, step=5, seed=2, rank=1), strict=True
    ):
        assert torch.equal(one, other)
    torch.set_rng_state(before)
    batch_at(IDS, 8, 16, step=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_known_places():
    # What the batches of a stored training were: a change here breaks its resumption.
    inputs, _ = batch_at(torch.arange(1_000_000), 4, 8, step=7, seed=1, rank=2)
    assert inputs[:, 0].tolist() == [625915, 326276, 376852, 914002]


def places(**arguments):
    inputs, _ = batch_at(torch.arange(2_000_000), 16, 4, **arguments)
    return set(inputs[:, 0].tolist())


def test_steps_seeds_and_ranks_share_no_places():
    calls = [
        {"step": step, "seed": seed, "rank": rank}
        for step in (0, 1, 2, 3, 2**32, 2**63)
        for seed in (0, 1, 2**64 - 1)
        for rank in (0, 1)
    ]
    drawn = [places(**call) for call in calls]
    together = set().union(*drawn)
    # 576 places of 2 million: a pair or so may meet by chance, but no batches overlap.
    assert len(together) > 16 * len(calls) - 5


def test_places_are_drawn_evenly_and_all_of_them():
    counts = torch.zeros(10)
    for step in range(1_000):
        inputs, _ = batch_at(torch.arange(14), 10, 4, step=step)
        counts += torch.bincount(inputs[:, 0], minlength=10)
    # The standard deviation of each count of 1,000 is 30.
    assert counts.min() > 850
    assert counts.max() < 1_150


def test_ids_just_long_enough():
    inputs, targets = batch_at(torch.arange(5), 3, 4, step=0)
    assert inputs.tolist() == [[0, 1, 2, 3]] * 3
    assert targets.tolist() == [[1, 2, 3, 4]] * 3


@pytest.mark.parametrize("n", [0, 1, 63, 64])
def test_a_text_shorter_than_a_context_names_both_lengths(n):
    with pytest.raises(
        ValueError, match=f"has {n} ids, but a context of 64 .* need 65"
    ):
        batch_at(torch.arange(n), 2, 64, step=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size and .* got 0 and 4"),
        ({"block_size": 0}, "and block_size .* got 2 and 0"),
        ({"block_size": -3}, "and block_size .* got 2 and -3"),
        ({"step": -1}, "step must .* got -1"),
        ({"seed": -1}, "seed must .* got -1"),
        ({"rank": -1}, "rank must .* got -1"),
        ({"seed": 2**64}, "seed must .* got 18446744073709551616"),
        ({"ids": torch.zeros(3, 4, dtype=torch.int64)}, r"\(3, 4\)"),
        ({"starts": torch.tensor([], dtype=torch.int64)}, "starts must hold"),
        ({"starts": torch.tensor([5, -1])}, "from -1 to 5, allowed are 0 to 995"),
        ({"starts": torch.tensor([996, 5])}, "from 5 to 996, allowed are 0 to 995"),
    ],
)
def test_wrong_values_are_named(arguments, message):
    usual = {"ids": IDS, "batch_size": 2, "block_size": 4, "step": 0}
    with pytest.raises(ValueError, match=message):
        batch_at(**usual | arguments)


@pytest.mark.parametrize("ids", [[1, 2, 3], torch.zeros(9), IDS.int(), None])
def test_ids_of_another_type(ids):
    with pytest.raises(TypeError, match="ids must be an int64 tensor, got"):
        batch_at(ids, 2, 4, step=0)


def test_token_ids():
    tokenizer = CharTokenizer.train("hello")
    ids = token_ids(tokenizer, "hello")
    assert ids.dtype == torch.int64
    assert ids.tolist() == [1, 0, 2, 2, 3]
    assert token_ids(tokenizer, "").shape == (0,)


def test_document_starts_are_at_the_start_ids_with_room_for_a_row_after_them():
    ids = torch.tensor([9, 9, 1, 2, 9, 3, 9, 9, 4, 9, 9, 5])
    assert document_starts(ids, [9, 9], block_size=1).tolist() == [0, 6, 9]
    assert document_starts(ids, [9, 9], block_size=2).tolist() == [0, 6]
    assert document_starts(ids, [9], block_size=7).tolist() == [0, 1, 4]
    with pytest.raises(ValueError, match=r"no row of 11 ids begins with \[9, 9\]"):
        document_starts(ids, [9, 9], block_size=11)
    with pytest.raises(ValueError, match="start_ids must hold"):
        document_starts(ids, [], block_size=2)


def test_rows_begin_at_starts_and_nowhere_else():
    ids, starts = torch.arange(100), torch.tensor([7, 20, 63])
    seen = set()
    for step in range(20):
        inputs, targets = batch_at(ids, 4, 16, step=step, starts=starts)
        assert torch.equal(inputs + 1, targets)
        seen |= set(inputs[:, 0].tolist())
    assert seen == {7, 20, 63}


@pytest.mark.parametrize("batch_size", [1, 4, 7, 30])  # 30: several rounds in a step
def test_each_start_is_read_once_in_a_round_and_rounds_differ(batch_size):
    ids, starts = torch.arange(100), torch.arange(3, 87, 7)
    n_steps = -(-36 // batch_size)
    rows = [
        batch_at(ids, batch_size, 10, step=step, seed=5, starts=starts)[0][:, 0]
        for step in range(n_steps)
    ]
    rounds = torch.cat(rows)[:36].view(3, 12)
    for read in rounds:
        assert read.sort().values.tolist() == starts.tolist()
    assert len({tuple(read.tolist()) for read in rounds}) == 3


def test_orders_depend_on_seed_and_rank_and_are_even():
    ids, starts = torch.arange(100), torch.arange(8)

    def order(**arguments):
        return tuple(batch_at(ids, 8, 4, starts=starts, **arguments)[0][:, 0].tolist())

    calls = [{"step": step, "seed": 1} for step in (0, 1, 2**40, 2**64 - 1)]
    calls += [{"step": 0, "seed": 2}, {"step": 0, "seed": 1, "rank": 1}]
    assert len({order(**call) for call in calls}) == len(calls)
    first = torch.tensor([order(step=step)[0] for step in range(1_600)])
    # Each stands first 200 times, with a standard deviation of 13.
    assert (first.bincount(minlength=8) - 200).abs().max() < 60


def test_known_starts():
    ids, starts = torch.arange(1_000), torch.arange(900)
    inputs, _ = batch_at(ids, 4, 8, step=7, seed=1, rank=2, starts=starts)
    assert inputs[:, 0].tolist() == [517, 33, 814, 643]
