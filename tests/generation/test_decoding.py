"""Writing with a cache, against loops without one, transformers and full searches."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from llmlib.evaluation.ngrams import NGram
from llmlib.generation.decoding import beam_search, generate, generate_batch, write
from llmlib.generation.sampling import Sampling, draw, next_id
from llmlib.model.bigram import Bigram
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.text.bpe import BPETokenizer
from llmlib.text.tokenizers import CharTokenizer

GREEDY = Sampling(temperature=0)
SHAPE = GPTConfig(vocab_size=13, block_size=8, n_layer=2, n_head=2, n_embd=16)
MODERN = replace(
    SHAPE,
    n_kv_head=1,
    positions="rotary",
    norm="rmsnorm",
    feed_forward="swiglu",
    n_hidden=20,
    tie_word_embeddings=False,
)
SMEARED = replace(MODERN, ngram_rows=10, smear=3, embedding_norm=True)


def random_model(config=SHAPE, **changes):
    torch.manual_seed(0)
    model = GPT(replace(config, **changes)).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model.eval()


def transformers_model(model):
    """The same weights in transformers' Llama."""
    config = LlamaConfig(
        vocab_size=model.vocab_size,
        hidden_size=16,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=model.block_size,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    names = {
        "blocks.": "model.layers.",
        ".attention.": ".self_attn.",
        ".feed_forward.": ".mlp.",
        "attention_norm": "input_layernorm",
        "feed_forward_norm": "post_attention_layernorm",
        "embed_tokens": "model.embed_tokens",
    }
    state = {}
    for name, weight in model.state_dict().items():
        for here, there in names.items():
            name = name.replace(here, there)
        state["model.norm.weight" if name == "norm.weight" else name] = weight
    theirs = LlamaForCausalLM(config).double().eval()
    theirs.load_state_dict(state)
    return theirs


@torch.no_grad()
def write_slowly(model, ids, max_new_tokens, sampling):
    """The rules of the context spelled out, every step read from the beginning."""
    ids = list(ids)[-model.block_size :]
    context, new_ids = list(ids), []
    for t in range(max_new_tokens):
        if len(context) > model.block_size:
            context = context[-max(1, model.block_size // 2) :]
        logits = model(torch.tensor([context]))[0, -1]
        new_ids.append(next_id(logits, sampling, t, ids + new_ids))
        context.append(new_ids[-1])
    return new_ids


@pytest.mark.parametrize("config", [SHAPE, MODERN, SMEARED])
@pytest.mark.parametrize("n", [1, 5, 8, 20])
@pytest.mark.parametrize(
    "sampling",
    [GREEDY, Sampling(seed=3), Sampling(0.9, 5, 0.9, 0.01, 1.2, seed=4)],
)
def test_generate_equals_a_loop_without_cache(config, n, sampling):
    model = random_model(config)
    prompt = [i * 5 % 13 for i in range(n)]
    written = list(generate(model, prompt, 30, sampling))
    assert written == write_slowly(model, prompt, 30, sampling)
    assert list(generate(model, torch.tensor(prompt), 30, sampling)) == written


@pytest.mark.parametrize("block_size", [1, 2, 3, 7])
def test_generate_slides_in_contexts_of_any_size(block_size):
    model = random_model(block_size=block_size)
    sampling = Sampling(seed=1)
    expected = write_slowly(model, [1, 2, 3], 20, sampling)
    assert list(generate(model, [1, 2, 3], 20, sampling)) == expected


def test_the_context_is_read_as_documented():
    model = random_model()
    read = []
    model.register_forward_pre_hook(lambda _, args: read.append(args[0].tolist()[0]))
    prompt = [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    new = list(generate(model, prompt, 8, GREEDY))
    assert (
        read
        == [
            prompt[-8:],
            [*prompt[-3:], new[0]],  # full: half of the context again
            *[[i] for i in new[1:5]],
            new[2:6],
            [new[6]],
        ]
    )


def test_greedy_equals_transformers():
    model = random_model(MODERN, block_size=32)
    prompt = torch.tensor([[3, 1, 4, 1, 5, 9]])
    theirs = transformers_model(model).generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=20,
        do_sample=False,
    )
    assert list(generate(model, prompt[0], 20, GREEDY)) == theirs[0, 6:].tolist()


@pytest.mark.parametrize("model", [Bigram(5), NGram(1, 5), NGram(2, 5), NGram(4, 5)])
def test_models_without_a_cache(model):
    torch.manual_seed(0)
    if isinstance(model, NGram):
        model.fit(torch.randint(5, (60,)))
    else:
        model.table.data.normal_()
    ids = [4, 0, 2, 3, 3, 1]
    sampling = Sampling(top_k=4, seed=2)
    written = list(generate(model, ids, 30, sampling))
    text = list(ids)
    for t in range(30):  # the whole text instead of its end
        logits = model(torch.tensor([text]))[0, -1]
        text.append(next_id(logits, sampling, t))
    assert written == text[6:]


def test_a_function_without_a_limit_reads_everything():
    lengths = []

    def model(ids):
        lengths.append(ids.shape[1])
        return torch.zeros(*ids.shape, 4)

    assert list(generate(model, [9, 9], 3, GREEDY)) == [0, 0, 0]
    assert lengths == [2, 3, 4]


def test_ids_come_as_they_are_chosen():
    model = random_model()
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    stream = generate(model, [1], 10**9, GREEDY)
    assert not calls
    next(stream)
    next(stream)
    assert len(calls) == 2


def test_seeds():
    model = random_model()
    once = list(generate(model, [1], 12, Sampling(seed=5)))
    assert list(generate(model, [1], 12, Sampling(seed=5))) == once
    assert list(generate(model, [1], 12, Sampling(seed=6))) != once
    torch.manual_seed(3)
    fresh = [list(generate(model, [1], 12)) for _ in range(2)]
    assert fresh[0] != fresh[1]
    torch.manual_seed(3)
    assert list(generate(model, [1], 12)) == fresh[0]


def test_draw_t_chooses_id_t():
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    ids = list(
        generate(
            lambda ids: weights.log().expand(*ids.shape, 4), [0], 9, Sampling(seed=8)
        )
    )
    borders = (weights / 10).cumsum(0).tolist()
    us = [draw(8, t) for t in range(9)]
    assert ids == [sum(border <= u for border in borders) for u in us]


def test_the_model_is_left_as_it_was():
    model = random_model(dropout=0.5)
    quiet = list(generate(model, [1, 2], 10, GREEDY))
    model.train()
    stream = generate(model, [1, 2], 10, GREEDY)
    ids = [next(stream)]
    assert model.training  # also between two ids
    assert not torch.is_inference_mode_enabled()
    assert [*ids, *stream] == quiet
    assert all(module.training for module in model.modules())
    model(torch.tensor([[1, 2]])).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize(
    "sampling", [GREEDY, Sampling(0.8, 7, repetition_penalty=1.1, seed=9)]
)
@pytest.mark.parametrize("n", [1, 4, 15])
@pytest.mark.parametrize(
    "model",
    [
        random_model(SMEARED),
        random_model(),
        Bigram(13),
        NGram(3, 13).fit(torch.arange(60) * 7 % 13),
    ],
)
def test_rows_of_a_batch_equal_single_runs(model, n, sampling):
    prompts = [[1, 2, 3], [4], [5, 6, 7], list(range(10)), torch.tensor([8]), [1, 2, 3]]
    rows = generate_batch(model, prompts, n, sampling)
    for i, (prompt, row) in enumerate(zip(prompts, rows, strict=True)):
        seeded = replace(sampling, seed=(sampling.seed or 0) + i)
        assert row == list(generate(model, prompt, n, seeded))
    assert generate_batch(model, prompts[:2], 0, sampling) == [[], []]
    assert generate_batch(model, [], 5, sampling) == []


def test_prompts_of_about_one_length_share_their_steps():
    model, read = random_model(block_size=64), []
    model.register_forward_pre_hook(lambda _, args: read.append(tuple(args[0].shape)))
    prompts = [[1] * length for length in (50, 3, 5, 53)]
    generate_batch(model, prompts, 4, GREEDY)
    # Three and five ids: after the first read one row still has two of its own.
    assert read == [(2, 3)] + [(2, 1)] * 5 + [(2, 50)] + [(2, 1)] * 6


def test_rows_of_a_batch_without_a_seed_differ():
    rows = generate_batch(random_model(), [[1]] * 3, 12)
    assert len({tuple(row) for row in rows}) == 3


def log_p(model, prompt, new_ids):
    ids = torch.tensor([[*prompt, *new_ids]])
    scores = model(ids[:, :-1])[0].detach().log_softmax(-1)
    first = len(prompt) - 1
    return sum(scores[first + i, new].item() for i, new in enumerate(new_ids))


def test_beam_search_equals_exhaustive_search():
    for seed in range(5):
        model = random_model(vocab_size=4)
        torch.manual_seed(seed)
        with torch.no_grad():
            for weight in model.parameters():
                weight.normal_(std=0.5)
        everything = itertools.product(range(4), repeat=4)
        best = max(everything, key=lambda new_ids: log_p(model, [1, 3], new_ids))
        assert beam_search(model, [1, 3], 4, 4**3) == list(best)


@pytest.mark.parametrize("num_beams", [2, 3, 5])
def test_beam_search_equals_transformers(num_beams):
    model = random_model(MODERN, block_size=32)
    prompt = torch.tensor([[3, 1, 4]])
    theirs = transformers_model(model).generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=12,
        do_sample=False,
        num_beams=num_beams,
    )
    assert beam_search(model, prompt[0], 12, num_beams) == theirs[0, 3:].tolist()


def test_beam_search():
    model = random_model(SMEARED)
    for n in (1, 6, 20):  # the last beyond the context
        assert beam_search(model, [1, 2], n, 1) == list(
            generate(model, [1, 2], n, GREEDY)
        )
    assert log_p(model, [2], beam_search(model, [2], 7, 6)) >= log_p(
        model, [2], beam_search(model, [2], 7, 1)
    )
    assert len(beam_search(model, [1], 25, 3)) == 25
    assert beam_search(model, [1], 0, 3) == []


def test_beam_search_prefers_the_lowest_of_equals():
    assert beam_search(Bigram(7), [3], 4, 3) == [0, 0, 0, 0]
    assert beam_search(Bigram(3), [1], 2, 50) == [0, 0]  # more beams than texts


def test_beam_search_slides_as_generate_does():
    model = random_model(vocab_size=3, block_size=3)
    best, best_score = None, -math.inf
    for new_ids in itertools.product(range(3), repeat=5):
        text, start, score = [2, *new_ids], 0, 0.0
        for i, new in enumerate(new_ids, 1):
            if i - start > 3:
                start = i - 1
            p = model(torch.tensor([text[start:i]]))[0, -1].detach().log_softmax(-1)
            score += p[new].item()
        if score > best_score:
            best, best_score = list(new_ids), score
    assert beam_search(model, [2], 5, 3**4) == best


@pytest.mark.parametrize("ids", [[], torch.tensor([], dtype=torch.int64), ()])
def test_an_empty_prompt(ids):
    for run in (generate, generate_batch, beam_search):
        with pytest.raises(ValueError, match="start_ids"):
            run(
                random_model(),
                [ids] if run is generate_batch else ids,
                3,
                GREEDY if run is not beam_search else 2,
            )


@pytest.mark.parametrize("ids", [[0, 13], [-1], [2**70], torch.tensor([13])])
def test_ids_outside_the_vocabulary(ids):
    with pytest.raises(ValueError, match="allowed are 0 to 12"):
        generate(random_model(), ids, 3)


@pytest.mark.parametrize(
    "ids", ["abc", [1.0], ["1"], [None], torch.tensor([1.0]), 5, None]
)
def test_ids_that_are_no_ids(ids):
    with pytest.raises(TypeError, match="integers"):
        generate(random_model(), ids, 3)


def test_ids_of_another_shape():
    with pytest.raises(ValueError, match="one row"):
        generate(random_model(), torch.tensor([[1, 2]]), 3)


@pytest.mark.parametrize(
    ("n", "error"),
    [(-1, ValueError), (2.0, TypeError), (True, TypeError), ("3", TypeError)],
)
def test_max_new_tokens(n, error):
    model = random_model()
    for run in (generate, generate_batch):
        with pytest.raises(error, match="max_new_tokens"):
            run(model, [[1]] if run is generate_batch else [1], n)
    with pytest.raises(error, match="max_new_tokens"):
        beam_search(model, [1], n, 2)
    with pytest.raises(error, match="num_beams"):
        beam_search(model, [1], 2, n)
    with pytest.raises(ValueError, match="num_beams"):
        beam_search(model, [1], 2, 0)
    assert list(generate(model, [1], 0)) == []


def test_settings_that_are_none():
    with pytest.raises(TypeError, match="Sampling"):
        generate(random_model(), [1], 3, 0.8)


def test_logits_that_leave_no_choice():
    def masked(ids):
        return torch.full((*ids.shape, 4), -math.inf)

    with pytest.raises(ValueError, match="masked"):
        next(generate(masked, [1], 1))
    for bad in (-math.inf, math.nan):
        with pytest.raises(ValueError, match="-inf"):
            beam_search(
                lambda ids, bad=bad: torch.full((*ids.shape, 4), bad), [1], 1, 2
            )


TEXT = "Anna and Ben had a kite.\n\nThey lost it 😀. The end.\n\n"


@pytest.fixture
def reader():
    tokenizer = CharTokenizer.train(TEXT)
    return random_model(vocab_size=tokenizer.vocab_size, block_size=16), tokenizer


def test_write_is_generate_in_words(reader):
    model, tokenizer = reader
    sampling = Sampling(seed=1)
    ids = list(generate(model, tokenizer.encode("Anna"), 40, sampling))
    assert list(write(model, tokenizer, "Anna", 40, sampling)) == list(
        tokenizer.decode(ids)
    )
    start = list(generate(model, tokenizer.start_ids, 10, sampling))
    assert "".join(write(model, tokenizer, "", 10, sampling)) == tokenizer.decode(start)
    assert list(write(model, tokenizer, "Anna", 0)) == []


def test_write_stops(reader):
    model, tokenizer = reader
    sampling = Sampling(temperature=2.0, seed=1)
    whole = "".join(write(model, tokenizer, "Anna", 60, sampling))
    stop = whole[20:23]
    pieces = list(write(model, tokenizer, "Anna", 60, sampling, stop=[stop, "🦆"]))
    assert "".join(pieces) == whole[: whole.index(stop)]
    assert "".join(write(model, tokenizer, "Anna", 60, sampling, stop=stop)) == "".join(
        pieces
    )


def test_write_gives_whole_characters():
    tokenizer = BPETokenizer.train("ab", 256)
    smile = tokenizer.encode("a😀é")

    def model(ids):  # writes a😀é again and again
        following = torch.zeros(256, dtype=torch.int64)
        following[torch.tensor(smile)] = torch.tensor([*smile[1:], smile[0]])
        return torch.nn.functional.one_hot(following[ids], 256).double()

    assert list(write(model, tokenizer, "é", 9, GREEDY)) == ["a", "😀", "é", "a"]
    assert list(write(model, tokenizer, "é", 8, GREEDY, stop="é")) == ["a", "😀"]


def test_a_prompt_of_a_megabyte(reader):
    model, tokenizer = reader
    prompt = (TEXT * 20_000)[:1_000_000]
    with pytest.warns(
        UserWarning, match="1,000,000 tokens and the model reads the last 16"
    ):
        long = list(write(model, tokenizer, prompt, 10, GREEDY))
    assert long == list(write(model, tokenizer, prompt[-16:], 10, GREEDY))


def test_write_takes_strings(reader):
    model, tokenizer = reader
    with pytest.raises(ValueError, match="Z"):
        write(model, tokenizer, "Z", 5)
    with pytest.raises(ValueError, match="empty"):
        write(model, tokenizer, "A", 5, stop=["x", ""])
    for stop in ([1], ["a", None]):
        with pytest.raises(TypeError, match="stop"):
            write(model, tokenizer, "A", 5, stop=stop)
    for prompt in (None, [1], b"A"):
        with pytest.raises(TypeError):
            write(model, tokenizer, prompt, 5)
    with pytest.raises(ValueError, match="max_new_tokens"):
        write(model, tokenizer, "A", -1)


def test_no_nan_is_written():
    model = random_model()
    with torch.no_grad():
        model.norm.weight[0] = math.nan
    with pytest.raises(ValueError, match="finite"):
        next(generate(model, [1], 1, GREEDY))


def test_numbers_may_be_numpys(unchecked):
    model = random_model()
    expected = list(generate(model, [1, 2], 3, GREEDY))
    assert list(generate(model, np.array([1, 2]), np.int64(3), GREEDY)) == expected
    assert beam_search(model, [1, 2], np.int64(3), np.int64(1)) == expected


@pytest.mark.parametrize(
    "wrap", [lambda model: torch.compile(model, backend="eager"), torch.nn.DataParallel]
)
def test_a_wrapped_model_writes_as_the_model_itself(wrap, recwarn):
    """Past the end of its context, too, and with a draft."""
    model, sampling = random_model(), Sampling(seed=1)
    wrapped = wrap(model)
    expected = list(generate(model, [1, 2], 30, sampling))
    assert list(generate(wrapped, [1, 2], 30, sampling)) == expected
    assert list(generate(wrapped, [1, 2], 30, sampling, draft=wrapped)) == expected
    assert generate_batch(wrapped, [[1, 2]], 30, sampling) == [expected]
    assert beam_search(wrapped, [1, 2], 9, 2) == beam_search(model, [1, 2], 9, 2)
    with pytest.raises(ValueError, match="allowed are 0 to 12"):
        generate(wrapped, [13], 3)
    letters = CharTokenizer.train("abcdefghijklm")
    with pytest.warns(UserWarning, match="reads the last 8 only"):
        list(write(wrapped, letters, "abcdefghij", 1))
