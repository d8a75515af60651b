"""The page writes what llmlib writes: the same rules, the same draw, the same text."""

import math
import random
from dataclasses import asdict

import pytest
import torch

from llmlib.generation import sampling as py
from llmlib.generation.decoding import generate, write
from llmlib.generation.sampling import Sampling
from llmlib.model.gpt import GPT
from llmlib.training.saving import load_model, model_folder

SAMPLINGS = [
    Sampling(seed=0),
    Sampling(temperature=0),
    Sampling(temperature=0, repetition_penalty=1.5),
    Sampling(temperature=0.7, top_k=5, seed=2**32 + 3),
    Sampling(top_p=0.8, seed=-7),
    Sampling(temperature=1.3, min_p=0.1, seed=123456789),
    Sampling(temperature=0.9, top_k=20, top_p=0.95, min_p=0.05, seed=2**31),
    Sampling(temperature=1.2, repetition_penalty=1.3, top_p=0.9, seed=5),
    Sampling(repetition_penalty=0.5, top_k=1000, seed=99),
]


def test_the_same_seed_writes_the_same_text_past_a_full_context(
    values, texts_of_ids, folders, writer
):
    model, _ = load_model(folders / writer)
    prompts = [[3], *texts_of_ids(2, 10), *texts_of_ids(1, 60), *texts_of_ids(1, 12)]
    jobs = [
        (p, s) for p in prompts for s in SAMPLINGS[:: 1 if writer == "llama" else 3]
    ]
    found = values(
        [["generate", str(folders / writer), p, 40, asdict(s)] for p, s in jobs]
    )
    for (prompt, sampling), tokens in zip(jobs, found, strict=True):
        ids = list(generate(model, prompt, 40, sampling))
        assert [token["id"] for token in tokens] == ids
    check_own_bits(model, jobs[0][0], found[0])


def check_own_bits(model: GPT, prompt: list[int], tokens: list[dict]) -> None:
    """The bits that come with the first tokens are those of the model itself."""
    ids = prompt + [token["id"] for token in tokens]
    ids = ids[: model.block_size]
    with torch.no_grad():
        log_p = model(torch.tensor([ids]))[0].double().log_softmax(-1)
    for t in range(len(prompt), len(ids)):
        bits = -log_p[t - 1, ids[t]].item() / math.log(2)
        assert tokens[t - len(prompt)]["bits"] == pytest.approx(bits, abs=1e-4)


def test_the_shipped_model_writes_what_llmlib_writes(values):
    model, tokenizer = load_model("stories")
    folder = str(model_folder("stories"))
    jobs = [
        ("", Sampling(temperature=0.8, seed=1), ()),
        ("Once upon a time", Sampling(top_p=0.9, seed=2), ("\n\n",)),
        ("Mia had a", Sampling(temperature=0), (".", " was a")),
    ]
    calls = [
        [
            "write",
            folder,
            tokenizer.encode(p) or tokenizer.start_ids,
            250,
            asdict(s),
            stop,
        ]
        for p, s, stop in jobs
    ]
    for (prompt, sampling, stop), tokens in zip(jobs, values(calls), strict=True):
        expected = "".join(write(model, tokenizer, prompt, 250, sampling, stop))
        assert "".join(token["text"] for token in tokens) == expected


def test_a_model_that_sees_what_comes_later_does_not_write(call_all, folders):
    [result] = call_all([["generate", str(folders / "everything"), [1], 3, {}]])
    assert result == {"error": "This model sees what comes later, so it cannot write."}


def test_the_likeliest_tokens(values, folders):
    model, tokenizer = load_model(folders / "llama")
    prompt, sampling = tokenizer.encode("the old fox"), SAMPLINGS[7]
    [found] = values(
        [["likeliest", str(folders / "llama"), prompt, asdict(sampling), 8]]
    )
    with torch.no_grad():
        logits = model(torch.tensor([prompt]))[0, -1]
    p, q = py.probabilities(logits), py.probabilities(logits, sampling, prompt)
    ids = p.argsort(descending=True, stable=True)[:8].tolist()
    assert [each["id"] for each in found] == ids
    assert [each["piece"] for each in found] == [tokenizer.decode([i]) for i in ids]
    assert [each["p"] for each in found] == pytest.approx(p[ids].tolist(), abs=1e-6)
    assert [each["q"] for each in found] == pytest.approx(q[ids].tolist(), abs=1e-6)


def test_probabilities_and_choices_are_those_of_llmlib(values):
    torch.manual_seed(0)
    cases = []
    for i in range(120):
        logits = (torch.randn(50) * 3).round(decimals=i % 3)  # with ties, too
        if i % 5 == 0:
            logits[torch.rand(50) < 0.5] = -torch.inf
        previous = torch.randint(50, (i % 9,)).tolist()
        cases.append((logits, SAMPLINGS[i % len(SAMPLINGS)].seeded(i), i % 7, previous))
    calls = []
    for logits, sampling, t, previous in cases:
        plain = [None if x == -torch.inf else x for x in logits.tolist()]
        calls.append(["probabilities", plain, asdict(sampling), previous])
        calls.append(["nextId", plain, asdict(sampling), t, previous])
    found = iter(values(calls))
    for logits, sampling, t, previous in cases:
        p = py.probabilities(logits, sampling, previous)
        assert next(found) == pytest.approx(p.tolist(), abs=1e-14)
        assert next(found) == py.next_id(logits, sampling, t, previous)


def test_the_draws_are_those_of_llmlib(values):
    seeds = [0, 1, -1, 2**31, 2**32 - 1, 2**32 + 5, -(2**40), 2**53 - 1]
    seeds += [random.Random(0).randrange(2**32) for _ in range(500)]
    found = values([["draws", seed, 20] for seed in seeds])
    assert found == [[py.draw(seed, t) for t in range(20)] for seed in seeds]


def test_samplings_that_llmlib_refuses_are_refused(call_all):
    wrong = {
        "temperature": [-1, "hot"],
        "top_k": [0, -3, 2.5],
        "top_p": [0, 1.01],
        "min_p": [-0.1, 2],
        "repetition_penalty": [0, -1],
        "seed": [0.5, "x"],
    }
    cases = [(name, value) for name, each in wrong.items() for value in each]
    results = call_all([["checkSampling", {name: value}] for name, value in cases])
    for (name, value), result in zip(cases, results, strict=True):
        with pytest.raises((ValueError, TypeError)):
            Sampling(**{name: value})
        assert result["error"].startswith(f"{name} must be ")
        assert result["error"].endswith(f", not {value}.")
    assert "error" in call_all([["checkSampling", {"topk": 3}]])[0]
    [masked] = call_all([["nextId", [None] * 4, {}, 0, []]])
    assert "not finite" in masked["error"]
