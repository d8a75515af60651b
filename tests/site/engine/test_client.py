"""The client and its worker, bundled as a page gets them: streaming, one writing at a
time, and a sentence for whatever goes wrong.
"""

import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from llmlib.generation import sampling as py
from llmlib.generation.decoding import generate, write
from llmlib.generation.sampling import Sampling
from llmlib.show.bundle import join
from llmlib.training.saving import load_model, model_folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line on the terminal for each."""

    def log_message(self, *arguments):
        """Says nothing."""


@pytest.fixture(scope="module")
def found(node, tmp_path_factory):
    """What client.mjs found."""
    root = tmp_path_factory.mktemp("site")
    for name in ("stories", "truncated", "page-instead"):
        shutil.copytree(model_folder("stories"), root / name)
    weights = (root / "stories" / "model.safetensors").read_bytes()
    (root / "truncated" / "model.safetensors").write_bytes(weights[:-1000])
    (root / "page-instead" / "config.json").write_text("<!DOCTYPE html><p>Hello")
    bundle = root / "client.mjs"
    bundle.write_text(
        join(["client"]) + "export const { openModel } = $client;", "utf-8"
    )
    handler = functools.partial(Quiet, directory=root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    models = f"http://127.0.0.1:{server.server_port}"
    yield node("client.mjs", {"bundle": bundle.as_uri(), "models": models})
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def stories():
    return load_model("stories")


def test_it_writes_what_llmlib_writes(found, stories):
    model, tokenizer = stories
    sampling = Sampling(temperature=0.8, seed=3)
    ids = tokenizer.encode("Once")
    expected = list(generate(model, ids, 300, sampling))
    for name in ("story", "fromIds", "again"):
        assert [token["id"] for token in found[name]["tokens"]] == expected
        assert found[name]["text"] == tokenizer.decode(expected)
        assert found[name]["finished"] is True
        assert found[name]["cropped"] == 0
    text = write(model, tokenizer, "", 300, sampling, "\n\n")
    assert found["stopped"]["text"] == "".join(text)
    assert found["stopped"]["finished"] is True
    assert found["none"] == {"tokens": [], "text": "", "finished": True, "cropped": 0}


def test_a_prompt_beyond_the_context_is_cropped_and_says_how_much(found, stories):
    model, tokenizer = stories
    ids = tokenizer.encode("Once " * 500)
    expected = list(generate(model, ids, 5, Sampling(temperature=0.8, seed=3)))
    assert [token["id"] for token in found["long"]["tokens"]] == expected
    assert found["long"]["cropped"] == len(ids) - model.block_size


def test_of_many_writings_the_last_one_alone_goes_on(found, stories):
    model, tokenizer = stories
    assert found["moves"] == [False] * 49 + [True]
    assert found["late"] == []
    expected = generate(model, tokenizer.encode("Once"), 50, Sampling(seed=49))
    assert [token["id"] for token in found["last"]["tokens"]] == list(expected)


def test_of_many_edits_of_a_prompt_the_last_one_alone_is_answered(found):
    assert found["edits"] == [None, None, None, 1]


def test_what_wants_the_model_ends_a_writing_and_what_does_not_leaves_it(
    found, stories
):
    model, tokenizer = stories
    meanwhile = found["meanwhile"]
    finished = {name: each["finished"] for name, each in meanwhile.items()}
    assert finished == {"cancel": False, "next": False, "attention": False} | {
        "encode": True,
        "readable": True,
    }
    with torch.no_grad():
        p = py.probabilities(
            model(torch.tensor([tokenizer.encode("Once upon")]))[0, -1]
        )
    best = p.argsort(descending=True)[:3].tolist()
    for answer in (meanwhile["next"]["answer"], found["second"]):
        assert [each["id"] for each in answer] == best
        assert [each["p"] for each in answer] == pytest.approx(
            p[best].tolist(), abs=1e-6
        )
        assert [each["q"] for each in answer] == pytest.approx(
            p[best].tolist(), abs=1e-6
        )
    pieces = [tokenizer.decode([i]) for i in tokenizer.start_ids] + tokenizer.pieces(
        "Once"
    )
    assert meanwhile["attention"]["answer"] == [
        "Float32Array",
        8 * len(pieces) ** 2,
        pieces,
    ]
    encoded = meanwhile["encode"]["answer"]
    assert encoded["ids"] == tokenizer.encode("né")
    assert encoded["pieces"] == tokenizer.pieces("né")
    assert meanwhile["readable"]["answer"] == "a"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing", "/nothing/: the server answers 404."),
        ("truncated", "model.safetensors is damaged: "),
        ("page", "config.json is damaged: it is no JSON."),
        ("refused", "did not come from http://127.0.0.1:1/: there is no connection."),
        ("empty", "The model came without its weights."),
        ("temperature", "temperature must be a finite number, at least 0, not -1."),
        ("length", "The length must be a whole number, at least 0, not -1."),
        ("stop", "A stop string must not be empty."),
        ("surrogate", "The text has half a character at offset 0"),
        ("id", "There is no token 9999: ids run from 0 to 2047."),
    ],
)
def test_a_fault_is_a_sentence(found, fault, words):
    assert words in found["faults"][fault]


def test_the_callers_weights_stay_and_a_closed_model_ends_its_writing(found):
    assert (
        found["kept"] == (model_folder("stories") / "model.safetensors").stat().st_size
    )
    assert found["closed"] is False
