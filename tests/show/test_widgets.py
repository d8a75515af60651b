"""The widgets' Python side: what is stored, what a page gets, what a kernel answers."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from llmlib import (
    GPT,
    Bigram,
    BPETokenizer,
    CharTokenizer,
    GPTConfig,
    Sampling,
    WordTokenizer,
    load_model,
    observe,
    token_bits,
    write,
)
from llmlib.show.export import export, page_model
from llmlib.show.widgets import (
    AttentionExplorer,
    EmbeddingMap,
    LossCurve,
    Playground,
    TokenizerExplorer,
)

EVIL = '</SCRIPT ><img src=x onerror="alert(1)"><!--&'
TEXT = f"the cat sat on the mat.\n\nthe dog ran.\n\n{EVIL}"


@pytest.fixture(scope="module")
def tokenizer():
    return CharTokenizer.train(TEXT)


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    shape = {"block_size": 24, "n_layer": 2, "n_head": 2, "n_embd": 16}
    return GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **shape)).eval()


@pytest.fixture(autouse=True)
def no_build(monkeypatch):
    monkeypatch.delenv("LLMLIB_EXPORT", raising=False)


class Page(HTMLParser):
    """What a browser would see of a widget: its tags, its text, its script's content."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.scripts = [], "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script" and not self.scripts:
            self.scripts.append(json.loads(data))
        else:
            self.text += data


def page_of(widget):
    data, _ = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    return Page(data["text/html"])


def stored_text(widget):
    return Page(widget.stored).text


# The playground


def test_the_stored_text_is_what_llmlib_writes(model, tokenizer):
    sampling = Sampling(temperature=1.2, top_k=5, seed=7)
    widget = Playground(model, tokenizer, prompt="the cat", sampling=sampling)
    rounded = page_model(model, tokenizer).model
    text = "".join(write(rounded, tokenizer, "the cat", 120, sampling))
    assert "".join(piece for _, piece, _ in widget.written) == text
    assert text.replace("\n", "⏎\n") in stored_text(widget)


def test_the_stored_bits_are_the_models_own(model, tokenizer):
    sampling = Sampling(temperature=0.5, top_k=3, repetition_penalty=1.3, seed=1)
    widget = Playground(
        model, tokenizer, prompt="the", sampling=sampling, max_new_tokens=15
    )
    text = "the" + "".join(piece for _, piece, _ in widget.written)
    rounded = page_model(model, tokenizer).model
    ids = torch.tensor([tokenizer.encode(text)])
    losses = F.cross_entropy(rounded(ids)[0, 2:-1], ids[0, 3:], reduction="none")
    bits = losses / np.log(2)
    assert torch.allclose(
        torch.tensor([b for *_, b in widget.written]), bits, atol=2e-3
    )


def test_bits_go_on_where_the_context_is_full(model, tokenizer):
    widget = Playground(model, tokenizer, prompt="the", max_new_tokens=60)
    assert len(widget.written) == 60
    assert all(0 < bits < 20 for *_, bits in widget.written)


def test_an_empty_prompt_begins_a_text():
    model, tokenizer = load_model("stories")
    widget = Playground(sampling=Sampling(temperature=0), max_new_tokens=12)
    text = "".join(piece for _, piece, _ in widget.written)
    assert text == "".join(write(model, tokenizer, "", 12, Sampling(temperature=0)))
    bits = token_bits(model, tokenizer, text)
    assert [b for *_, b in widget.written] == pytest.approx(bits, abs=0.05)


def test_a_stop_string_ends_the_stored_text():
    widget = Playground(prompt="One day", max_new_tokens=400, stop="\n\n")
    text = "".join(piece for _, piece, _ in widget.written)
    model, tokenizer = load_model("stories")
    sampling = Sampling(temperature=0.8, seed=1)
    assert text == "".join(write(model, tokenizer, "One day", 400, sampling, "\n\n"))
    assert widget.written[-1][1]
    assert "\n\n" not in text


def test_a_seed_of_none_becomes_one_that_the_view_knows(model, tokenizer):
    widget = Playground(model, tokenizer, sampling=Sampling(seed=None))
    assert 0 <= widget.sampling["seed"] < 2**32


def test_a_negative_seed_is_the_same_for_the_view(model, tokenizer):
    widget = Playground(model, tokenizer, sampling=Sampling(seed=-1))
    assert widget.sampling["seed"] == 2**32 - 1


def test_making_a_playground_changes_nothing(model, tokenizer):
    model.train()
    state = torch.get_rng_state()
    Playground(model, tokenizer, prompt="the")
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    model.eval()


def test_wrong_models_are_named(tokenizer, model):
    with pytest.raises(TypeError, match="a widget shows a GPT, not a Bigram"):
        Playground(Bigram(tokenizer.vocab_size), tokenizer)
    with pytest.raises(TypeError, match="needs its tokenizer beside it, not None"):
        Playground(model)
    with pytest.raises(TypeError, match="'stories' brings its own tokenizer"):
        Playground("stories", tokenizer)
    with pytest.raises(ValueError, match="unknown model 'nothing'"):
        Playground("nothing")


@pytest.mark.parametrize("stop", ["", ["cat", ""]])
def test_an_empty_stop_string_is_refused(model, tokenizer, stop):
    with pytest.raises(ValueError, match="a stop string must not be empty"):
        Playground(model, tokenizer, stop=stop)
    with pytest.raises(TypeError, match="stop must be strings"):
        Playground(model, tokenizer, stop=[3])


# What reaches a page


def make_all(model, tokenizer, evil=EVIL):
    """One widget of each kind, with a hostile text wherever a text can be."""
    words = WordTokenizer.train(f"{evil} {evil} the cat")
    return [
        Playground(model, tokenizer, prompt=evil, title=evil, stop=[evil]),
        AttentionExplorer(model, tokenizer, evil, title=evil),
        TokenizerExplorer({evil: tokenizer, "words": words}, evil, title=evil),
        EmbeddingMap(model, tokenizer, list("<>&the"), title=evil),
        LossCurve(
            {evil: [(0, 3.0), (1, 2.0)]},
            baselines={evil: 2.5},
            samples={evil: [(0, evil), (1, evil)]},
            x=evil,
            unit=evil,
            title=evil,
        ),
    ]


@pytest.mark.parametrize("i", range(5))
def test_hostile_text_stays_text(model, tokenizer, i):
    widget = make_all(model, tokenizer)[i]
    page = page_of(widget)
    assert "img" not in page.tags
    assert page.tags.count("script") == 1
    assert page.scripts == [widget.values()]
    assert EVIL in page.text


@pytest.mark.parametrize("i", range(5))
def test_half_a_surrogate_pair_can_be_stored(model, tokenizer, i):
    widget = make_all(model, tokenizer, "the ca")[i]
    widget.title = "a\ud800b"
    assert widget.to_html().encode("utf-8")
    assert json.loads(json.dumps(page_of(widget).scripts[0]))["title"] == "a\ud800b"


@pytest.mark.parametrize("i", range(5))
def test_a_page_gets_the_views_values_and_nothing_of_the_kernels(model, tokenizer, i):
    widget = make_all(model, tokenizer)[i]
    assert widget.view in widget.to_html()
    assert "title" in widget.values()
    assert not {"layout", "_esm", "_css", "tooltip"} & widget.values().keys()
    assert len(widget.to_html()) < 200_000


def test_a_widget_can_be_read_without_scripts(model, tokenizer):
    widgets = make_all(model, tokenizer)
    assert [bool(stored_text(widget).strip()) for widget in widgets] == [True] * 5


# The model on its way


def test_a_build_writes_the_model_once_under_its_hash(
    model, tokenizer, monkeypatch, tmp_path
):
    monkeypatch.setenv("LLMLIB_EXPORT", str(tmp_path))
    first = Playground(model, tokenizer)
    before = (tmp_path / first.model_name / "model.safetensors").stat().st_mtime_ns
    second = AttentionExplorer(model, tokenizer, "the cat")
    assert first.model_name == second.model_name
    assert re.fullmatch(r"model-[0-9a-f]{12}", first.model_name)
    assert [folder.name for folder in tmp_path.iterdir()] == [first.model_name]
    after = (tmp_path / first.model_name / "model.safetensors").stat().st_mtime_ns
    assert after == before
    read, _ = load_model(tmp_path / first.model_name)
    for name, weight in read.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name].half().float())


def test_a_folder_is_named_in_letters_and_digits_after_its_model(monkeypatch):
    monkeypatch.delenv("LLMLIB_EXPORT", raising=False)
    names = {"stories": "stories", "../é b": "-----b", "": "model"}
    for name, plain in names.items():
        assert re.fullmatch(plain + "-[0-9a-f]{12}", export(name, {}))


def test_another_model_has_another_name(model, tokenizer):
    torch.manual_seed(1)
    other = GPT(model.config)
    names = {Playground(each, tokenizer).model_name for each in (model, other)}
    assert len(names) == 2


def test_without_a_build_nothing_is_written(model, tokenizer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Playground(model, tokenizer)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [Playground, AttentionExplorer])
def test_a_kernel_answers_with_the_model(model, tokenizer, kind, monkeypatch, tmp_path):
    text = {Playground: "prompt", AttentionExplorer: "text"}[kind]
    widget = kind(model, tokenizer, **{text: "the cat"})
    sent = []
    monkeypatch.setattr(widget, "send", lambda *a, **k: sent.append((*a, k["buffers"])))
    widget._handle_custom_msg({"type": "model", "name": widget.model_name}, [])
    widget._handle_custom_msg({"type": "something else"}, [])
    [(content, [weights])] = sent
    for name in ("config", "tokenizer"):
        (tmp_path / f"{name}.json").write_text(json.dumps(content[name]))
    assert content["type"] == "model"
    assert content["name"] == widget.model_name
    assert content["config"]["n_embd"] == 16
    assert weights == widget._page.files["model.safetensors"]


def test_the_model_is_that_of_the_moment(tokenizer):
    torch.manual_seed(0)
    shape = {"block_size": 8, "n_layer": 1, "n_head": 1, "n_embd": 8}
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **shape))
    widget = Playground(model, tokenizer)
    before = widget.files("")[1][0]
    with torch.no_grad():
        model.embed_tokens.weight.zero_()
    assert widget.files("")[1][0] == before


# The others


def test_an_explorer_does_not_open_on_a_head_that_is_not_there(model, tokenizer):
    layers, heads = model.config.n_layer, model.config.n_head
    AttentionExplorer(model, tokenizer, "the cat", head=(layers - 1, heads - 1))
    for head in ((layers, 0), (0, heads), (-1, 0)):
        with pytest.raises(ValueError, match="no head"):
            AttentionExplorer(model, tokenizer, "the cat", head=head)


def test_the_stored_table_says_where_heads_look(model, tokenizer):
    widget = AttentionExplorer(model, tokenizer, "the cat")
    rounded = page_model(model, tokenizer).model
    ids = tokenizer.encode("\n\nthe cat")
    with observe(rounded) as seen, torch.no_grad():
        rounded(torch.tensor([ids]))
    weight, place = seen["blocks.1.attention"][0, 1, -1].max(0)
    piece = tokenizer.decode([ids[place]]).replace("\n", "⏎").replace(" ", "·")
    row = re.search(r"layer 1, head 1</th><td>(.*?)</td>", widget.stored)[1]
    assert row == f"{piece} {weight:.0%}"


def test_tokenizers_are_cut_up_and_what_they_cannot_read_is_said():
    text = "a b\na"
    chars, words = CharTokenizer.train("ab"), WordTokenizer.train(text)
    widget = TokenizerExplorer({"chars": chars, "words": words}, text)
    stored = stored_text(widget)
    assert "character ' ' at offset 1 is unknown" in stored
    assert "a | ·b | ⏎ | a" in stored
    assert [each["name"] for each in widget.tokenizers] == ["chars", "words"]
    assert widget.tokenizers[0]["json"]["model"]["vocab"] == {"a": 0, "b": 1}


def test_a_large_tokenizer_is_asked_for(monkeypatch, tmp_path):
    _, large = load_model("stories")
    widget = TokenizerExplorer({"BPE": large})
    folder = widget.tokenizers[0]["folder"]
    content, weights = widget.files(folder)
    assert content["tokenizer"]["model"]["type"] == "BPE"
    assert weights == []
    assert widget.files("another") is None
    monkeypatch.setenv("LLMLIB_EXPORT", str(tmp_path))
    assert TokenizerExplorer({"BPE": large}).tokenizers == widget.tokenizers
    assert (
        json.loads((tmp_path / folder / "tokenizer.json").read_text())
        == (content["tokenizer"])
    )


def test_no_tokenizers_are_refused():
    with pytest.raises(ValueError, match="at least one tokenizer"):
        TokenizerExplorer({})


def test_neighbours_are_nearest_by_cosine_in_all_channels(model, tokenizer):
    tokens = list("the cat")
    widget = EmbeddingMap(model, tokenizer, tokens[:3] + tokens[4:6])
    assert widget.labels == ["t", "h", "e", "c", "a"]
    ids = [tokenizer.encode(label)[0] for label in widget.labels]
    vectors = model.embed_tokens.weight[ids].detach()
    cosines = F.cosine_similarity(vectors[:1], vectors)
    cosines[0] = -2
    j, cosine = widget.stages[0]["neighbours"][0][0]
    assert j == int(cosines.argmax())
    assert cosine == pytest.approx(float(cosines.max()), abs=0.006)


def test_three_tokens_make_a_map_where_none_is_its_own_neighbour(model, tokenizer):
    near = EmbeddingMap(model, tokenizer, list("the")).stages[0]["neighbours"]
    assert [sorted(j for j, _ in each) for each in near] == [[1, 2], [0, 2], [0, 1]]


def test_before_and_after_are_two_stages(model, tokenizer):
    torch.manual_seed(5)
    widget = EmbeddingMap({"before": GPT(model.config), "after": model}, tokenizer)
    assert [stage["name"] for stage in widget.stages] == ["before", "after"]
    assert widget.stages[0]["points"] != widget.stages[1]["points"]


def test_a_map_shows_words_where_there_are_some():
    widget = EmbeddingMap("stories")
    assert 100 <= len(widget.labels) <= 160
    assert all(label[0] == "·" and label[1:].isalpha() for label in widget.labels)


def test_maps_refuse_what_is_no_token(model, tokenizer):
    with pytest.raises(ValueError, match="'th' is 2 tokens, not one"):
        EmbeddingMap(model, tokenizer, ["t", "h", "e", "th"])
    with pytest.raises(ValueError, match="at least 3 tokens, not 2"):
        EmbeddingMap(model, tokenizer, ["t", "h"])


def test_wrong_models_of_a_map_are_named(model, tokenizer):
    with pytest.raises(TypeError, match="a widget shows a GPT, not a Bigram"):
        EmbeddingMap(Bigram(5), tokenizer)
    with pytest.raises(TypeError, match="needs its tokenizer beside it, not None"):
        EmbeddingMap({"before": model})
    with pytest.raises(TypeError, match="'stories' brings its own tokenizer"):
        EmbeddingMap("stories", tokenizer)


def test_curves_are_thinned_and_keep_their_end():
    points = [(i, float(i)) for i in range(5000)]
    widget = LossCurve({"a": points})
    assert widget.unit == "bits per character"
    kept = widget.curves[0]["points"]
    assert len(kept) <= 400
    assert kept[-1] == [4999.0, 4999.0]


def test_curves_take_the_logs_of_a_run():
    logs = [SimpleNamespace(step=i, loss=2.0 - i, val_loss=None) for i in range(2)]
    assert LossCurve({"a": logs}).unit == "nats per token"
    assert LossCurve({"a": logs}).curves == [
        {"name": "a", "points": [[0.0, 2.0], [1.0, 1.0]]}
    ]


def test_numbers_that_are_not_finite_are_left_out():
    widget = LossCurve({"a": [(0, 1.0), (1, float("nan")), (2, float("inf")), (3, 2)]})
    assert widget.curves[0]["points"] == [[0, 1], [3, 2]]
    with pytest.raises(ValueError, match="a finite point in each"):
        LossCurve({"a": [(0, float("nan"))]})
    with pytest.raises(ValueError, match="a finite point in each"):
        LossCurve({})


def test_samples_belong_to_curves():
    with pytest.raises(ValueError, match=r"samples of \['b'\], curves of \['a'\]"):
        LossCurve({"a": [(0, 1)]}, samples={"b": [(0, "x")]})


def test_the_first_and_the_last_sample_are_stored():
    samples = {"a": [(2, "zwei"), (0, "null"), (1, "eins")]}
    widget = LossCurve({"a": [(0, 2), (2, 1)]}, samples=samples)
    text = stored_text(widget)
    assert "null" in text
    assert "zwei" in text
    assert widget.samples == {"a": [[0, "null"], [1, "eins"], [2, "zwei"]]}


def test_importing_llmlib_does_not_import_anywidget():
    code = "import llmlib, sys; print('anywidget' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "False", run.stderr


def test_bytes_of_a_bpe_tokenizer_are_stored_readably():
    stored = stored_text(TokenizerExplorer({"b": BPETokenizer.train("aa", 257)}, "é"))
    assert r"\xc3 | \xa9" in stored


def test_a_loss_curve_takes_numbers_of_any_kind():
    widget = LossCurve(
        {"a": [(0, 3.0), (10, 1.0)]},
        floor=np.float32(0.5),
        baselines={"counted": torch.tensor(2.0)},
        samples={"a": [(np.int64(10), "so")]},
    )
    assert json.loads(
        json.dumps(widget.get_state(["floor", "baselines", "samples"]))
    ) == {
        "floor": 0.5,
        "baselines": {"counted": 2.0},
        "samples": {"a": [[10, "so"]]},
    }
