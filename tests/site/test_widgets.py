"""The widgets in a real browser, on a page without a kernel, against llmlib itself."""

import functools
import http.server
import json
import re
import threading

import pytest
import torch
from playwright.sync_api import expect

from llmlib import (
    GPT,
    BPETokenizer,
    CharTokenizer,
    GPTConfig,
    Sampling,
    WordTokenizer,
    load_model,
    observe,
    write,
)
from llmlib.generation.sampling import probabilities
from llmlib.show.bundle import page_script, page_style
from llmlib.show.look import visible
from llmlib.show.widgets import (
    AttentionExplorer,
    EmbeddingMap,
    LossCurve,
    Playground,
    TokenizerExplorer,
)

EVIL = '</SCRIPT ><img src=x onerror="window.hacked=1"><!--&'
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TEXT = f"One day the cat sat on a mat.\n\nOne day a dog ran.\n\n{EVIL}\n\n{LETTERS}"
SAMPLING = Sampling(temperature=1.5, seed=3)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A built site: the script, the style, and the models that were exported."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "widgets.js").write_text(page_script(), "utf-8")
    (folder / "widgets.css").write_text(page_style(), "utf-8")
    return folder


@pytest.fixture(autouse=True)
def building(folder, monkeypatch):
    monkeypatch.setenv("LLMLIB_EXPORT", str(folder / "_static/models"))


@pytest.fixture(scope="module")
def root_url(folder):
    handler = functools.partial(Handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def tokenizer():
    return CharTokenizer.train(TEXT)


@pytest.fixture(scope="module")
def pairs():
    return BPETokenizer.train(TEXT * 3, 300)


@pytest.fixture(scope="module")
def model(tokenizer):
    """Random, but with opinions: some tokens are much likelier than others."""
    torch.manual_seed(0)
    shape = {"block_size": 48, "n_layer": 2, "n_head": 2, "n_embd": 16}
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **shape)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(12)
    return model


@pytest.fixture
def show(browser, folder, root_url):
    """Opens a page with these widgets; at the end there must be nothing on its console
    but what the test expects, and no request to anywhere else.
    """
    contexts = []

    def open_page(*widgets, ready=True, url=root_url, before=None, **options):
        page = open_context(options)
        if before:
            before(page)
        body = "".join(widget.to_html() for widget in widgets)
        (folder / "page.html").write_text(
            '<!doctype html><html lang="en" data-content_root="./"><head>'
            '<meta charset="utf-8"><title>Widgets</title><link rel="icon" href="data:,">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            '<link rel="stylesheet" href="widgets.css">'
            '<script defer src="widgets.js"></script></head>'
            f"<body><main><h1>Widgets</h1>{body}</main></body></html>",
            "utf-8",
        )
        page.goto(f"{url}page.html")
        for place in page.locator(".llmlib-widget").all() if ready else []:
            place.scroll_into_view_if_needed()
            expect(place).to_have_attribute("data-state", re.compile(".+"))
        return page

    def open_context(options):
        context = browser.new_context(**options)
        page = context.new_page()
        page.faults = []
        page.on("console", lambda message: page.faults.append(message.text))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        contexts.append((context, page))
        return page

    yield open_page
    for context, page in contexts:
        faults = page.faults
        context.close()
        assert not faults


def exported(folder, widget):
    """The very model that the page runs."""
    return load_model(folder / "_static/models" / widget.model_name)


def expected_text(folder, widget, prompt, n, sampling):
    model, tokenizer = exported(folder, widget)
    return prompt + "".join(write(model, tokenizer, prompt, n, sampling))


def text_of(page):
    """The text that stands in the Playground, without the marks at the ends of lines."""
    tokens = page.locator(".playground .tokens")
    return tokens.evaluate("e => e.textContent").replace("⏎\n", "\n")


def expect_text(page, text):
    try:
        page.wait_for_function(
            "text => document.querySelector('.playground .tokens').textContent"
            ".replaceAll('⏎\\n', '\\n').replaceAll('␀', '\\0') === text",
            arg=text,
        )
    except Exception:
        assert text_of(page) == text
        raise


def bars_of(page):
    """Pieces and percentages, after the rules and the model's own."""
    rows = page.locator(".playground .bars button").all_inner_texts()
    return [re.findall(r"\S+", row.replace(" the model’s own", "")) for row in rows]


def slide(page, label, value):
    """Moves a slider by keys until it shows the value."""
    slider = page.get_by_label(label, exact=True)
    slider.focus()
    slider.press("Home")
    for _ in range(200):
        if slider.get_attribute("aria-valuetext") == value:
            return
        slider.press("ArrowRight")
    raise AssertionError(f"{label} has no {value}")


def playground(model, tokenizer, **options):
    values = {"prompt": "One day", "sampling": SAMPLING, "max_new_tokens": 30}
    return Playground(model, tokenizer, **(values | options))


# The playground


def test_the_page_writes_what_llmlib_writes(show, folder, model, tokenizer):
    widget = playground(model, tokenizer)
    page = show(widget)
    text = expected_text(folder, widget, "One day", 30, SAMPLING)
    expect(page.get_by_role("status")).to_contain_text("30 tokens, written on")
    expect_text(page, text)


def test_the_shipped_model_writes_what_llmlib_writes(show, folder):
    sampling = Sampling(temperature=0.8, top_p=0.95, seed=11)
    widget = Playground(prompt="", sampling=sampling, max_new_tokens=250)
    page = show(widget)
    expect(page.get_by_role("status")).to_contain_text("250 tokens, written on")
    model, tokenizer = load_model("stories")
    expect_text(page, "".join(write(model, tokenizer, "", 250, sampling)))


@pytest.mark.parametrize(
    ("label", "value", "rule"),
    [
        ("temperature", "0.4", {"temperature": 0.4}),
        ("top-k", "3", {"top_k": 3}),
        ("top-p", "0.5", {"top_p": 0.5}),
        ("min-p", "0.2", {"min_p": 0.2}),
        ("repetition penalty", "1.5", {"repetition_penalty": 1.5}),
    ],
)
def test_sliders_work_by_keys(show, folder, model, tokenizer, label, value, rule):
    widget = playground(model, tokenizer)
    page = show(widget)
    slide(page, label, value)
    sampling = Sampling(**{"temperature": 1.5, "seed": 3} | rule)
    expect_text(page, expected_text(folder, widget, "One day", 30, sampling))


def test_length_seed_and_prompt_work_by_keys(show, folder, model, tokenizer):
    widget = playground(model, tokenizer)
    page = show(widget)
    slide(page, "length, in tokens", "10")
    page.get_by_label("seed", exact=True).fill("99")
    page.get_by_label("prompt").fill("the cat")
    sampling = Sampling(temperature=1.5, seed=99)
    expect_text(page, expected_text(folder, widget, "the cat", 10, sampling))
    page.get_by_label("prompt").fill("")
    expect_text(page, expected_text(folder, widget, "", 10, sampling))
    page.get_by_role("button", name="new seed").press("Enter")
    seed = int(page.get_by_label("seed", exact=True).input_value())
    sampling = Sampling(temperature=1.5, seed=seed)
    expect_text(page, expected_text(folder, widget, "", 10, sampling))


def test_bars_are_the_models_probabilities(show, folder, model, tokenizer):
    sampling = Sampling(temperature=0.7, top_k=4, seed=1)
    widget = playground(model, tokenizer, sampling=sampling)
    page = show(widget)
    expect(page.locator(".bars button")).to_have_count(10)
    model, tokenizer = exported(folder, widget)
    with torch.no_grad():
        logits = model(torch.tensor([tokenizer.encode("One day")]))[0, -1]
    p, q = probabilities(logits), probabilities(logits, sampling)
    for i, bar in zip(p.argsort(descending=True)[:10], bars_of(page), strict=True):
        shares = [float(share.strip("<%,")) / 100 for share in bar if "%" in share]
        assert shares == pytest.approx([float(q[i]), float(p[i])], abs=0.006)
    assert int((q > 0).sum()) == 4
    expect(page.locator(".bars button.ruled-out")).to_have_count(6)


def test_a_bar_is_taken_and_left_again(show, folder, model, tokenizer):
    widget = playground(model, tokenizer)
    page = show(widget)
    whole = expected_text(folder, widget, "One day", 30, SAMPLING)
    expect_text(page, whole)
    third = page.locator(".bars button").nth(2)
    piece = third.locator(".piece").inner_text().replace("·", " ").replace("⏎", "\n")
    third.click()
    expect(page.locator(".token.taken")).to_have_count(1)
    expect(page.get_by_role("status")).to_contain_text("29 tokens, written on")
    assert text_of(page).startswith("One day" + piece)
    assert text_of(page) != whole
    expect(page.locator(".heading")).to_contain_text(
        re.compile(r"What can come after “One·day.+”")
    )
    page.locator(".bars button").nth(1).press("Enter")
    expect(page.locator(".token.taken")).to_have_count(2)
    page.get_by_role("button", name="Back to the prompt").click()
    expect_text(page, whole)
    expect(page.locator(".token.taken")).to_have_count(0)
    expect(page.get_by_role("button", name="Back to the prompt")).to_be_hidden()


def test_tokens_are_read_by_keys_and_by_mouse(show, folder, model, tokenizer):
    widget = playground(model, tokenizer)
    page = show(widget)
    status = page.get_by_role("status")
    expect(status).to_contain_text("30 tokens, written on")
    tokens = page.locator(".playground .tokens")
    tokens.focus()
    for i, (_, piece, bits) in enumerate(widget.written[:4]):
        tokens.press("ArrowRight")
        expect(status).to_have_text(re.compile(rf"^“.*” {bits:.1f} bits$", re.S))
        marked = page.locator(".tokens .token").nth(i)
        expect(marked).to_have_class(re.compile("selected"))
        assert marked.evaluate("e => e.textContent").replace("⏎\n", "\n") == piece
    tokens.press("Escape")
    expect(status).to_contain_text("30 tokens, written on")
    page.locator(".tokens .token").nth(5).hover()
    expect(status).to_have_text(re.compile(rf"{widget.written[5][2]:.1f} bits$"))


def test_writing_goes_on_from_the_chosen_token(show, folder, model, tokenizer):
    widget = playground(model, tokenizer)
    page = show(widget)
    expect(page.get_by_role("status")).to_contain_text("30 tokens, written on")
    whole = text_of(page)
    page.locator(".tokens .token").nth(6).click()
    caption = page.locator(".heading")
    before = "One day" + "".join(piece for _, piece, _ in widget.written[:6])
    expect(caption).to_have_text(f"What can come after “{visible(before)}”")
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.get_by_role("button", name="Write", exact=True)).to_be_visible()
    expect_text(page, whole)  # the same draws again
    slide(page, "temperature", "0")
    expect(page.get_by_role("button", name="Write", exact=True)).to_be_visible()
    expect_text(
        page,
        expected_text(folder, widget, before, 24, Sampling(temperature=0)),
    )


def test_fifty_moves_are_one_writing(show, folder, model, tokenizer):
    count = """
      window.writes = 0;
      const post = Worker.prototype.postMessage;
      Worker.prototype.postMessage = function (message, ...more) {
        if (message.call === "write") window.writes += 1;
        return post.call(this, message, ...more);
      };
    """
    widget = playground(model, tokenizer)
    page = show(widget, before=lambda page: page.add_init_script(count))
    expect(page.get_by_role("status")).to_contain_text("30 tokens, written on")
    assert page.evaluate("writes") == 1
    page.get_by_label("temperature").evaluate("""slider => {
      for (let i = 0; i < 50; i++) {
        slider.value = i % 40;
        slider.dispatchEvent(new Event("input"));
      }
    }""")
    sampling = Sampling(temperature=0.45, seed=3)
    expect_text(page, expected_text(folder, widget, "One day", 30, sampling))
    assert page.evaluate("writes") == 2


def test_the_last_of_many_writings_stands(show, folder, model, tokenizer):
    widget = playground(model, tokenizer, max_new_tokens=200)
    page = show(widget)
    slider = page.get_by_label("temperature")
    for i in range(30):
        slider.evaluate(
            "(s, i) => { s.value = i; s.dispatchEvent(new Event('input')); }", i
        )
        page.wait_for_timeout(45)
    sampling = Sampling(temperature=1.45, seed=3)
    expect_text(page, expected_text(folder, widget, "One day", 200, sampling))


def test_writing_can_be_stopped(show, model, tokenizer):
    page = show(playground(model, tokenizer, max_new_tokens=800))
    button = page.locator("button.main")
    expect(page.get_by_role("status")).to_contain_text("800 tokens, written on")
    button.evaluate("button => { button.click(); button.click(); }")
    expect(page.get_by_role("status")).to_contain_text("Stopped after")
    expect(button).to_have_text("Write")


def test_a_still_page_waits_to_be_asked(show, model, tokenizer):
    widget = playground(model, tokenizer)
    page = show(widget, reduced_motion="reduce")
    expect(page.locator(".bars button")).to_have_count(10)
    expect_text(page, "One day" + "".join(piece for _, piece, _ in widget.written))
    expect(page.get_by_role("status")).to_have_text("\xa0")
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("30 tokens, written on")


def test_unknown_characters_are_named_and_can_be_left_out(
    show, folder, model, tokenizer
):
    widget = playground(model, tokenizer)
    page = show(widget)
    page.get_by_label("prompt").fill("One é day 🦊")
    expect(page.get_by_role("status")).to_contain_text("é")
    page.get_by_role("button", name="Leave such characters out").click()
    text = expected_text(folder, widget, "One  day ", 30, SAMPLING)
    expect_text(page, text)
    assert page.get_by_label("prompt").input_value() == "One  day "


def test_a_prompt_beyond_the_context_is_cropped_and_said(show, model, tokenizer):
    page = show(playground(model, tokenizer))
    page.get_by_label("prompt").fill("the cat sat. " * 2000)
    status = page.get_by_role("status")
    expect(status).to_contain_text("of the prompt did not fit the context")


# Where nothing can run


def test_without_scripts_the_stored_result_can_be_read(show, model, tokenizer):
    widget = playground(model, tokenizer, title="A title")
    page = show(widget, ready=False, java_script_enabled=False)
    stored = page.locator(".stored")
    expect(stored).to_be_visible()
    expect(stored).to_contain_text("A title")
    expect(page.locator("noscript")).to_be_visible()
    for _, piece, _ in widget.written:
        expect(stored).to_contain_text(piece.strip())


def test_from_a_file_the_stored_result_stays(show, folder, model, tokenizer):
    page = show(playground(model, tokenizer), url=f"{folder.as_uri()}/")
    failure = page.locator(".failure")
    expect(failure).to_contain_text("This page was opened as a file")
    expect(failure).to_contain_text("from a web server")
    expect(page.locator(".stored")).to_be_visible()
    expect(page.locator(".llmlib-view")).to_have_count(0)


def test_maps_curves_and_small_tokenizers_live_in_a_file(
    show, folder, model, tokenizer
):
    widgets = [
        EmbeddingMap(model, tokenizer, ["a", "t", "n"]),
        LossCurve({"GPT": [(0, 2), (1, 1)]}),
        TokenizerExplorer({"characters": CharTokenizer.train(TEXT)}, "a"),
    ]
    page = show(*widgets, url=f"{folder.as_uri()}/")
    expect(page.locator("[data-state=ready]")).to_have_count(3)


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("model.safetensors", None, "404"),
        ("config.json", None, "404"),
        ("model.safetensors", lambda data: data[: len(data) // 2], "."),
        ("model.safetensors", lambda data: b"", "."),
        ("tokenizer.json", lambda data: b"<html>", "tokenizer.json is damaged"),
        ("config.json", lambda data: b'{"version": 2}', "config.json"),
    ],
)
def test_what_is_wrong_with_a_model_is_said(
    show, folder, model, tokenizer, name, spoil, words
):
    widget = playground(model, tokenizer)
    data = (folder / "_static/models" / widget.model_name / name).read_bytes()

    def answer(route):
        if spoil is None:
            route.fulfill(status=404, body="gone")
        else:
            route.fulfill(body=spoil(data))

    page = show(widget, before=lambda page: page.route(f"**/{name}", answer))
    failure = page.locator(".failure")
    expect(failure).to_contain_text(words)
    expect(failure).to_contain_text("What stands here was stored")
    expect(page.locator(".stored")).to_be_visible()
    page.faults[:] = [fault for fault in page.faults if "404" not in fault]


def test_hostile_text_is_only_text(show, model, tokenizer):
    words = WordTokenizer.train(f"{EVIL} {EVIL}")
    points = [(0, 3.0), (1, 2.0)]
    samples = {EVIL: [(0, EVIL), (1, EVIL)]}
    page = show(
        playground(model, tokenizer, prompt=EVIL, title=EVIL, stop=EVIL),
        AttentionExplorer(model, tokenizer, EVIL, title=EVIL),
        TokenizerExplorer({EVIL: tokenizer, "words": words}, EVIL, title=EVIL),
        EmbeddingMap(model, tokenizer, list("<>&"), title=EVIL),
        LossCurve({EVIL: points}, samples=samples, x=EVIL, unit=EVIL, title=EVIL),
    )
    expect(page.locator("[data-state=ready]")).to_have_count(5)
    expect(page.get_by_role("status").first).to_contain_text("tokens, written on")
    page.get_by_label("prompt").fill(EVIL * 2)
    page.get_by_label("text", exact=True).last.fill(EVIL * 2)
    page.wait_for_timeout(300)
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None
    assert page.locator(".llmlib-view .title").all_inner_texts() == [EVIL] * 5


def test_nothing_is_wider_than_a_phone(show, model, tokenizer):
    long = {"a very long name of a tokenizer, indeed": CharTokenizer.train(TEXT)}
    curve = {"a very long name of a curve, longer than it should be": [(0, 2), (9, 1)]}
    page = show(
        playground(model, tokenizer, prompt="w" * 90, title="W" * 60),
        AttentionExplorer(model, tokenizer, "the cat sat on a mat"),
        TokenizerExplorer(long, "the cat sat on a mat"),
        EmbeddingMap(model, tokenizer, list("abcdefg")),
        LossCurve(curve, baselines={"another long name": 1.5}, floor=0.5),
        viewport={"width": 320, "height": 640},
    )
    expect(page.locator("[data-state=ready]")).to_have_count(5)
    assert page.evaluate("document.documentElement.scrollWidth") == 320


# The other widgets


def test_the_attention_explorer_shows_what_heads_do(show, folder, model, tokenizer):
    widget = AttentionExplorer(model, tokenizer, "the cat sat")
    page = show(widget)
    model, tokenizer = exported(folder, widget)
    ids = tokenizer.encode("\n\nthe cat sat")
    with observe(model) as seen, torch.no_grad():
        model(torch.tensor([ids]))
    page.get_by_role("button", name="head 1 of layer 1").press("Enter")
    tokens = page.locator(".attention .tokens")
    tokens.focus()
    tokens.press("Home")
    for i in range(len(ids)):
        row = seen["blocks.1.attention"][0, 1, i]
        share = f"{100 * row.max():.{0 if row.max() >= 0.0995 else 1}f}%"
        expect(page.get_by_role("status")).to_contain_text(
            re.compile(rf"^In layer 1, head 1, .* looks at .*? {share}")
        )
        shades = page.locator(".attention .token").evaluate_all(
            "spans => spans.map(s => Number(s.style.getPropertyValue('--shade')))"
        )
        relative = row / row.max()
        assert shades == pytest.approx((relative**0.7).tolist(), abs=2e-3)
        tokens.press("ArrowRight")


def test_the_attention_explorer_opens_on_the_head_that_was_asked_for(
    show, model, tokenizer
):
    page = show(AttentionExplorer(model, tokenizer, "the cat", head=(1, 1)))
    expect(page.get_by_role("status")).to_contain_text("In layer 1, head 1, “t”")
    expect(page.get_by_role("img", name="Layer 1, head 1")).to_be_visible()
    chosen = page.get_by_role("button", name="head 1 of layer 1")
    expect(chosen).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".heads [aria-pressed=true]")).to_have_count(1)


@pytest.mark.parametrize("width", [360, 700])
def test_a_heads_share_is_never_cut_off(show, width):
    words = WordTokenizer.train("extraordinarily long hippopotamuses remembered")
    shape = {"block_size": 8, "n_layer": 1, "n_head": 4, "n_embd": 16}
    model = GPT(GPTConfig(vocab_size=words.vocab_size, **shape))
    text = "extraordinarily long hippopotamuses remembered"
    page = show(
        AttentionExplorer(model.eval(), words, text),
        viewport={"width": width, "height": 800},
    )
    ends = """cards => cards.map(card => {
      const share = document.createRange();
      share.selectNode(card.querySelector(".most").lastChild);
      const { right } = share.getBoundingClientRect();
      return [right, card.getBoundingClientRect().right];
    })"""
    cards = page.locator(".attention .heads button")
    expect(cards).to_have_count(4)
    for share, card in cards.evaluate_all(ends):
        assert share < card


def test_the_attention_explorer_reads_the_readers_text(show, model, tokenizer):
    page = show(AttentionExplorer(model, tokenizer, "the cat"))
    page.get_by_label("text", exact=True).fill("a dog ran")
    tokens = page.locator(".attention .tokens")
    expect(tokens).to_have_text("⏎⏎a dog ran")
    page.locator(".attention .token").first.hover()
    expect(page.get_by_role("status")).to_contain_text("“⏎” looks at itself 100%")
    page.get_by_role("button", name="head 0 of layer 1").click()
    expect(page.get_by_role("img", name="Layer 1, head 0")).to_be_visible()


def test_the_attention_explorer_reads_another_text_of_the_same_length(
    show, model, tokenizer
):
    page = show(AttentionExplorer(model, tokenizer, "the cat sat"))
    expect(page.get_by_role("status")).to_contain_text("“t” looks at")
    page.get_by_label("text", exact=True).fill("the dog ran")
    expect(page.get_by_role("status")).to_contain_text("“n” looks at")
    shades = """spans => spans.map(s => s.style.getPropertyValue("--shade"))"""
    assert all(page.locator(".attention .token").evaluate_all(shades))


def test_of_a_long_text_the_first_tokens_are_read(show):
    words = WordTokenizer.train("one two three")
    shape = {"block_size": 64, "n_layer": 1, "n_head": 1, "n_embd": 8}
    model = GPT(GPTConfig(vocab_size=words.vocab_size, **shape)).eval()
    page = show(AttentionExplorer(model, words, "one zebra two " * 20))
    tokens = page.locator(".attention .token")
    expect(page.get_by_role("status")).to_contain_text("the first 48 tokens are read")
    expect(tokens).to_have_count(len(words.start_ids) + 48)


def test_what_is_wrong_with_a_prompt_is_said_again(show, model, tokenizer):
    page = show(playground(model, tokenizer, max_new_tokens=5))
    status = page.get_by_role("status").first
    expect(status).to_contain_text("5 tokens, written on")
    page.get_by_label("prompt").fill("One é day")
    expect(status).to_contain_text('"é"')
    tokens = page.locator(".playground .tokens").first
    tokens.focus()
    tokens.press("ArrowRight")
    tokens.press("Escape")
    expect(status).to_contain_text('"é"')


def test_the_attention_explorer_follows_the_playground(show, model, tokenizer):
    explorer = AttentionExplorer(model, tokenizer, "the cat")
    page = show(playground(model, tokenizer, max_new_tokens=5), explorer)
    text = page.get_by_label("text", exact=True)
    expect(page.get_by_role("status").first).to_contain_text("5 tokens, written on")
    expect(text).to_have_value(text_of(page))
    page.get_by_label("prompt").fill("the dog")
    expect(text).to_have_value(re.compile("^the dog"))
    text.fill("a mat")
    expect(page.get_by_label("follow the text of the Playground")).not_to_be_checked()
    page.get_by_label("prompt").fill("One")
    expect(page.get_by_role("status").first).to_contain_text("5 tokens, written on")
    expect(text).to_have_value("a mat")


def test_texts_are_cut_up_as_by_llmlib(show, pairs):
    words = WordTokenizer.train(TEXT)
    chars = CharTokenizer.train(TEXT)
    page = show(
        TokenizerExplorer({"chars": chars, "words": words, "BPE": pairs}, "a cat")
    )
    text = "the cat sat on 2 mats,\n\ncafé 🦊"
    page.get_by_label("text", exact=True).fill(text)
    for name, each in {"words": words, "BPE": pairs}.items():
        row = page.get_by_role("region", name=name)
        ids = [str(i) for i in each.encode(text)]
        expect(row.locator(".pieces").first.locator(".id")).to_have_text(ids)
        expect(row).to_contain_text(f"{len(ids)} tokens of")
    row = page.get_by_role("region", name="chars")
    expect(row).to_contain_text("The character")
    row.get_by_role("button", name="leave such characters out").click()
    known = "".join(c for c in text if c in chars.vocab)
    expect(page.get_by_label("text", exact=True)).to_have_value(known)
    expect(row.locator(".id")).to_have_text([str(i) for i in chars.encode(known)])


def test_a_pieces_bytes_are_read_by_keys_and_by_mouse(show, pairs):
    page = show(TokenizerExplorer({"BPE": pairs}, "é"))
    pieces = page.get_by_role("group", name="The text in pieces, BPE")
    pieces.focus()
    pieces.press("End")
    status = page.locator(".tokenizers > .status")
    expect(status).to_contain_text(r"“\xa9” is token 169: 1 byte, a9")
    page.locator(".piece").first.hover()
    expect(status).to_contain_text(r"“\xc3” is token 195: 1 byte, c3")


def test_merges_lead_from_bytes_to_tokens(show, pairs):
    text = "the cat sat"
    page = show(TokenizerExplorer({"BPE": pairs}, text))
    page.get_by_text("Step through the merges").press("Enter")
    steps = page.locator(".steps")
    expect(steps.locator(".piece")).to_have_text(list(text.replace(" ", "·")))
    expect(steps.get_by_role("status")).to_contain_text("Before the merges: 11 bytes")
    page.get_by_role("button", name="next").press("Enter")
    expect(steps.locator(".piece")).to_have_count(10)
    expect(steps.locator(".piece.selected")).to_have_count(1)
    page.get_by_role("button", name="previous").click()
    expect(steps.locator(".piece")).to_have_count(11)
    page.get_by_label("step", exact=True).press("End")
    pieces = [piece.replace(" ", "·") for piece in pairs.pieces(text)]
    expect(steps.locator(".piece")).to_have_text(pieces)


def test_a_large_tokenizer_comes_from_its_folder(show, folder):
    _, large = load_model("stories")
    widget = TokenizerExplorer({"BPE": large}, "One day")
    page = show(widget)
    ids = [str(i) for i in large.encode("One day")]
    expect(page.locator(".id")).to_have_text(ids)
    path = folder / "_static/models" / widget.tokenizers[0]["folder"] / "tokenizer.json"
    page = show(
        widget,
        before=lambda page: page.route("**/tokenizer.json", lambda r: r.abort()),
    )
    expect(page.locator(".failure")).to_contain_text("tokenizer.json did not come")
    assert path.is_file()
    page.faults.clear()


def test_the_map_is_read_by_keys_by_mouse_and_by_name(show, model, tokenizer):
    tokens = list("abcdefgh")
    torch.manual_seed(3)
    widget = EmbeddingMap(
        {"before": GPT(model.config), "after": model}, tokenizer, tokens
    )
    page = show(widget, reduced_motion="reduce")
    status = page.get_by_role("status")

    def nearest(stage, token):
        near = widget.stages[stage]["neighbours"][tokens.index(token)]
        return f"Nearest to {token}, by cosine: " + ", ".join(
            f"{tokens[j]} {cosine:.2f}" for j, cosine in near
        )

    page.get_by_label("find a token").fill("c")
    expect(status).to_have_text(nearest(1, "c"))
    expect(page.locator(".lines line:not(.tie)")).to_have_count(6)
    page.get_by_label("before").check()
    expect(status).to_have_text(nearest(0, "c"))
    page.locator(".point", has_text="e").locator("circle").first.hover(force=True)
    expect(status).to_have_text(nearest(0, "e"))
    places = [point[0] for point in widget.stages[0]["points"]]
    order = sorted(tokens, key=lambda token: places[tokens.index(token)])
    plot = page.get_by_role("group", name="Map of tokens")
    plot.focus()
    plot.press("Home")
    expect(status).to_have_text(nearest(0, order[0]))
    plot.press("ArrowRight")
    expect(status).to_have_text(nearest(0, order[1]))


def boxes(elements):
    """Left, right, top and bottom of each, without the air above and below letters."""
    return elements.evaluate_all("""elements => elements.map(e => {
      const { left, right, top, bottom } = e.getBoundingClientRect();
      return [left, right, top + (bottom - top) / 4, bottom - (bottom - top) / 4];
    })""")


def overlap(one, other):
    across = one[0] < other[1] and other[0] < one[1]
    return across and one[2] < other[3] and other[2] < one[3]


@pytest.mark.parametrize("width", [390, 900])
def test_labels_of_the_map_lie_on_no_point_and_on_no_label(show, width):
    words = [f" {a}{b}" for a in LETTERS[:8] for b in LETTERS[:8]]
    tokenizer = WordTokenizer.train("".join(words * 2))
    torch.manual_seed(0)
    shape = {"block_size": 8, "n_layer": 1, "n_head": 1, "n_embd": 16}
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **shape))
    page = show(
        EmbeddingMap(model, tokenizer, words),
        reduced_motion="reduce",
        viewport={"width": width, "height": 800},
    )
    labels = boxes(page.locator(".embedding .labelled text"))
    points = boxes(page.locator(".embedding circle:not(.catch)"))
    assert len(labels) > 10
    for i, label in enumerate(labels):
        assert not any(overlap(label, other) for other in [*labels[:i], *points])


def test_a_word_and_its_neighbours_are_named_side_by_side(show):
    """All embeddings in one corner but two: seven names for nearly the same place."""
    words = [f" {a}{b}" for a in LETTERS[:3] for b in LETTERS[:3]]
    tokenizer = WordTokenizer.train("".join(words * 2))
    shape = {"block_size": 8, "n_layer": 1, "n_head": 1, "n_embd": 16}
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **shape))
    with torch.no_grad():
        model.embed_tokens.weight.mul_(0.01).add_(torch.ones(16))
        model.embed_tokens.weight[tokenizer.encode(words[-1])] = -3.0
        model.embed_tokens.weight[tokenizer.encode(words[-2]), ::2] = -3.0
    page = show(EmbeddingMap(model, tokenizer, words), reduced_motion="reduce")
    page.get_by_label("find a token").fill(words[0].strip())
    named = page.locator(".embedding :is(.chosen, .near) text")
    expect(named).to_have_count(7)
    labels = boxes(named)
    for i, label in enumerate(labels):
        assert not any(overlap(label, other) for other in labels[:i])
    expect(page.locator(".embedding .tie")).not_to_have_count(0)
    hidden = page.locator(".embedding .point:not(.chosen, .near) text")
    assert hidden.count() == 2
    assert not any(hidden.nth(i).is_visible() for i in range(2))


def test_a_curve_that_ends_early_is_named_where_it_ends(show):
    curves = {"short": [(0, 4.0), (160, 2.0)], "long": [(0, 3.0), (1750, 1.0)]}
    page = show(LossCurve(curves), viewport={"width": 390, "height": 800})
    texts = page.locator(".loss svg text")
    short, long = (texts.get_by_text(name).bounding_box() for name in curves)
    assert short["x"] < 120
    assert long["x"] > 250
    across = [t for t in texts.all_text_contents() if t in ("500", "1,000", "1,500")]
    assert len(across) == 3


def test_the_curve_is_read_by_keys_and_by_mouse(show):
    points = [(0, 4.0), (100, 2.0), (200, 1.0)]
    samples = {"GPT": [(0, "xq"), (200, "One day")]}
    widget = LossCurve({"GPT": points}, floor=0.5, scale="log", samples=samples)
    page = show(widget)
    status = page.get_by_role("status").first
    plot = page.get_by_role("group", name="Losses by step")
    plot.focus()
    plot.press("Home")
    expect(status).to_have_text("step 0: GPT 4.00 (700% above the floor)")
    plot.press("ArrowRight")
    expect(status).to_have_text("step 100: GPT 2.00 (300% above the floor)")
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 0.85 * box["width"], box["y"] + 100)
    expect(status).to_have_text("step 200: GPT 1.00 (100% above the floor)")
    expect(page.locator("blockquote")).to_have_text("One day")
    page.get_by_label("what GPT wrote at step").press("Home")
    expect(page.locator("blockquote")).to_have_text("xq")
    expect(status).to_contain_text("step 0:")


def test_values_on_the_page_are_those_of_the_widget(show, model, tokenizer):
    widget = playground(model, tokenizer)
    page = show(widget)
    data = page.locator("script[type='application/json']").text_content()
    assert json.loads(data) == widget.values()


def test_no_view_asks_another_host(show, model, tokenizer):
    asked = []
    widgets = [playground(model, tokenizer), AttentionExplorer(model, tokenizer, "a")]
    page = show(
        *widgets,
        before=lambda page: page.on("request", lambda r: asked.append(r.url)),
    )
    expect(page.locator("[data-state=ready]")).to_have_count(2)
    root = page.url.removesuffix("page.html")
    assert [u for u in asked if not u.startswith((root, "data:", "blob:"))] == []


def test_the_script_has_no_address_of_another_host():
    assert not re.search(r"https?://(?!www\.w3\.org/)", page_script())
