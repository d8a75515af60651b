"""What the model in the page computes is what torch computes from the same file."""

import torch
from torch import Tensor

from llmlib.model.gpt import GPT
from llmlib.model.observe import observe
from llmlib.text.stories import StoryGrammar
from llmlib.training.saving import load_model, model_folder


def check_close(found: list, expected: Tensor) -> None:
    found = torch.tensor(found, dtype=expected.dtype).view_as(expected)
    assert (found - expected).abs().max() < 1e-4


def test_logits_and_attention_are_those_of_torch(values, texts_of_ids, folders, name):
    """Whether a text is read at once, up to each of its ids, or part by part."""
    model, _ = load_model(folders / name)
    length = model.block_size
    cuts = [[n] for n in range(1, length + 1)]
    if name != "everything":
        cuts.append([1] * length)
        cuts += [[7, 1, length - 8]] if length > 1 else []
    calls, expected = [], []
    for ids in texts_of_ids(3, length):
        for cut in cuts:
            calls.append(["logits", str(folders / name), ids, cut])
            expected.append(logits_after(model, ids, cut))
        with observe(model) as seen, torch.no_grad():
            model(torch.tensor([ids]))
        calls.append(["heads", str(folders / name), ids])
        expected.append(torch.cat(list(seen.values())))
    for found, tensor in zip(values(calls), expected, strict=True):
        check_close(found, tensor)


def logits_after(model: GPT, ids: list[int], parts: list[int]) -> Tensor:
    """What torch expects after each of these parts of the ids."""
    read = torch.tensor([ids[: sum(parts)]])
    with torch.no_grad():
        return model(read)[0, torch.tensor(parts).cumsum(0) - 1]


def test_the_shipped_models_logits_are_those_of_double_precision(values):
    model, tokenizer = load_model("stories")
    ids = tokenizer.encode(StoryGrammar().sample(8, seed=5))[: model.block_size]
    cuts = [[len(ids)], [1] * len(ids)]
    found = values([["logits", str(model_folder("stories")), ids, cut] for cut in cuts])
    for each, cut in zip(found, cuts, strict=True):
        check_close(each, logits_after(model.double(), ids, cut))


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


def test_attention_to_a_text_and_to_the_end_of_one_that_is_too_long(values, folders):
    model, tokenizer = load_model(folders / "llama")
    texts = ["", "it rained", "so it went on. " * 4]
    found = values([["attention", str(folders / "llama"), text] for text in texts])
    for text, each in zip(texts, found, strict=True):
        ids = (tokenizer.start_ids + tokenizer.encode(text))[-model.block_size :]
        with observe(model) as seen, torch.no_grad():
            model(torch.tensor([ids]))
        assert each["ids"] == ids
        assert each["length"] == len(ids)
        assert each["pieces"] == [tokenizer.decode([i]) for i in ids]
        assert (each["layers"], each["heads"]) == (2, 4)
        check_close(each["weights"], torch.cat(list(seen.values())))
