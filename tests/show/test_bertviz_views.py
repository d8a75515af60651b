"""bertviz in a frame: from the book's own files, with hostile tokens as text only."""

import html
import json
import re
import sys

import pytest
import torch

from llmlib.inside.heads import attention_of
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.show.bertviz_views import MISSING, bertviz_view
from llmlib.text.tokenizers import CharTokenizer

# bertviz leaves its files for the garbage collector to close.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in.*FileIO")

HOSTILE = "</SCRIPT ><img src=x onerror=alert(1)>"
TOKENIZER = CharTokenizer.train(HOSTILE + "\n")
MODEL = GPT(GPTConfig(TOKENIZER.vocab_size, 96, n_layer=2, n_head=2, n_embd=8))


def frame(view="head_view", text="mr"):
    page = bertviz_view(MODEL, TOKENIZER, text, view)._repr_html_()
    return html.unescape(re.search('srcdoc="([^"]*)"', page)[1])


@pytest.mark.parametrize("view", ["head_view", "model_view"])
def test_on_the_books_pages_nothing_comes_from_elsewhere(monkeypatch, tmp_path, view):
    monkeypatch.setenv("LLMLIB_EXPORT", str(tmp_path))
    document = frame(view)
    loaded = re.sub(r"/\*\*.*?\*/", "", document, flags=re.DOTALL)
    assert "//" not in re.sub(r"//[^/\n]*\n|http://www.w3.org\S*", "", loaded)
    assert "cdnjs" not in document
    for library in ("require.js", "d3", "jquery"):
        assert f'files + "{library}"' in document
    assert document.count("<script") == document.count("</script>") == 2


def test_in_a_notebook_bertviz_fetches_its_libraries_itself(monkeypatch):
    monkeypatch.delenv("LLMLIB_EXPORT", raising=False)
    assert "cdnjs.cloudflare.com" in frame()


def test_tokens_are_text_only(monkeypatch, tmp_path):
    for value in ("", str(tmp_path)):
        monkeypatch.setenv("LLMLIB_EXPORT", value)
        document = frame(text=HOSTILE)
        params = re.search("const params = (.*)", document)[1]
        assert "<" not in params
        assert r"\u003c" in params


def test_the_select_has_a_name_and_the_frame_a_title():
    assert '<select aria-label="layer"' in frame()
    page = bertviz_view(MODEL, TOKENIZER, "mr")._repr_html_()
    assert 'title="bertviz, head view: where each head looks"' in page


def test_the_weights_are_those_of_the_model():
    params, _ = json.JSONDecoder().raw_decode(frame().split("const params = ")[1])
    _, weights = attention_of(MODEL, TOKENIZER, "mr")
    drawn = torch.tensor(params["attention"][0]["attn"])
    assert torch.allclose(drawn, weights)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="allowed: head_view, model_view"):
        bertviz_view(MODEL, TOKENIZER, "mr", "neuron_view")
    with pytest.raises(ValueError, match="72 tokens; bertviz shows at most 64"):
        bertviz_view(MODEL, TOKENIZER, 70 * "m")


def test_without_bertviz_the_page_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "bertviz", None)
    assert "pip install bertviz brings it" in MISSING
    assert MISSING in bertviz_view(MODEL, TOKENIZER, "mr")._repr_html_()


def test_views_are_drawn_light_and_follow_a_dark_page():
    document = frame("model_view")
    params, _ = json.JSONDecoder().raw_decode(document.split("const params = ")[1])
    assert params["display_mode"] == "light"
    assert "background: #fff" not in document
    assert ".dark body { filter: invert(1) hue-rotate(180deg) }" in document
