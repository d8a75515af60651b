"""What the model in the page computes is what torch computes from the same file."""

import pytest
import torch
from torch import Tensor

from llmlib.evaluation.metrics import token_bits
from llmlib.model.observe import observe
from llmlib.text.stories import StoryGrammar
from llmlib.training.checkpoints import load_model, model_folder


def check_close(found: list, expected: Tensor) -> None:
    found = torch.tensor(found, dtype=expected.dtype).view_as(expected)
    assert (found - expected).abs().max() < 1e-4


def test_logits_and_attention_are_those_of_torch(values, texts_of_ids, folders, name):
    model, _ = load_model(folders / name)
    length = model.block_size
    cuts = [[length]] if name == "everything" else [[length], [1] * length]
    if name != "everything" and length > 1:
        cuts.append([7, 1, length - 8])
    calls, expected = [], []
    for ids in texts_of_ids(3, length):
        with observe(model) as seen, torch.no_grad():
            logits = model(torch.tensor([ids]))[0]
        calls += [["logits", str(folders / name), ids, cut] for cut in cuts]
        expected += [logits] * len(cuts)
        calls.append(["heads", str(folders / name), ids])
        expected.append(torch.cat(list(seen.values())))
    for found, tensor in zip(values(calls), expected, strict=True):
        check_close(found, tensor)


def test_the_shipped_models_logits_are_those_of_double_precision(values):
    model, tokenizer = load_model("stories")
    ids = tokenizer.encode(StoryGrammar().sample(8, seed=5))[: model.block_size]
    [found] = values([["logits", str(model_folder("stories")), ids, [len(ids)]]])
    with torch.no_grad():
        check_close(found, model.double()(torch.tensor([ids]))[0])


def test_ids_outside_the_vocabulary_and_too_long_texts_are_refused(call_all, folders):
    folder = str(folders / "plain")
    results = call_all(
        [
            ["logits", folder, ids, [len(ids)]]
            for ids in ([1, 34], [-1], [0.5], [0] * 25)
        ]
    )
    assert [result.get("error") for result in results] == [
        "There is no token 34: ids run from 0 to 33.",
        "There is no token -1: ids run from 0 to 33.",
        "There is no token 0.5: ids run from 0 to 33.",
        "0 + 25 tokens do not fit into the model's context of 24.",
    ]


@pytest.mark.parametrize("name", ["llama", "strided", "short"], indirect=True)
def test_surprisals_are_token_bits(values, folders, name):
    model, tokenizer = load_model(folders / name)
    texts = ["", "a", "what?", "a fox ran. " * 3, "the rain, the sun " * 9]
    found = values([["surprisals", str(folders / name), text] for text in texts])
    for text, each in zip(texts, found, strict=True):
        assert each["ids"] == tokenizer.encode(text)
        assert each["pieces"] == list(text)
        expected = token_bits(model, tokenizer, text) if text else []
        assert each["bits"] == pytest.approx(expected, abs=1e-4)


def test_attention_to_a_text_and_to_the_end_of_one_that_is_too_long(values, folders):
    model, tokenizer = load_model(folders / "llama")
    texts = [("it rained", True), ("it rained", False), ("so it went on. " * 4, True)]
    found = values([["attention", str(folders / "llama"), *text] for text in texts])
    for (text, with_start), each in zip(texts, found, strict=True):
        ids = tokenizer.start_ids * with_start + tokenizer.encode(text)
        ids = ids[-model.block_size :]
        with observe(model) as seen, torch.no_grad():
            model(torch.tensor([ids]))
        assert each["ids"] == ids
        assert each["length"] == len(ids)
        assert each["pieces"] == [tokenizer.decode([i]) for i in ids]
        assert (each["layers"], each["heads"]) == (2, 4)
        check_close(each["weights"], torch.cat(list(seen.values())))
    [empty] = values([["attention", str(folders / "llama"), "", False]])
    assert empty["length"] == 0
    assert empty["weights"] == []
