"""Every built page: complete, light, readable by all, and asking no other host.

These tests drive a browser over the built book: `make site` runs them.
"""

import functools
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from web.npm import node_modules

pytestmark = pytest.mark.site

MOST = 400_000  # bytes of a page without its models, gzipped
MOST_WITH_MODELS = 2_500_000  # of the page that readers see first
FINDINGS = """
() => axe.run().then(({violations}) => violations.flatMap(({id, nodes}) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 200)}`)))
"""
SCROLL = """async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 600) {
        scrollTo(0, y);
        await new Promise(requestAnimationFrame);
    }
}"""


@pytest.fixture(scope="module")
def seen(visit, address):
    """The page in light colours on a wide screen, read to its end."""
    with visit(address) as seen:
        seen.page.evaluate(SCROLL)
        seen.page.wait_for_load_state("networkidle")
        yield seen


def axe(page):
    """What axe-core finds wrong with a page and its frames as they are now."""
    page.evaluate("document.fonts.ready.then(() => true)")
    script = (node_modules() / "axe-core" / "axe.min.js").read_text("utf-8")
    for frame in page.frames:
        frame.evaluate(script)
    return page.evaluate(FINDINGS)


def overflow(page):
    """By how many pixels a page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_no_other_host_is_asked(seen):
    assert seen.elsewhere == []
    assert len(seen.requested) > 5


def test_the_console_stays_silent(seen):
    assert seen.said == []


def test_the_page_is_light(seen, book, address):
    assert seen.weight(book, models=False) < MOST
    if address == "index.html":
        assert seen.weight(book, models=True) < MOST_WITH_MODELS


def test_formulas_are_rendered(seen):
    page = seen.page
    assert (
        page.locator(".math").count() == page.locator(".math:has(.katex-html)").count()
    )
    assert page.locator(".katex-error").count() == 0
    assert not page.locator("article").filter(has_text="\\(").count()


def test_images_are_there_and_described(seen):
    images = "[...document.querySelectorAll('article img')]"
    assert (
        seen.page.evaluate(f"{images}.filter((i) => !i.alt.trim()).map((i) => i.src)")
        == []
    )
    absent = f"{images}.filter((i) => i.complete && !i.naturalWidth).map((i) => i.src)"
    assert seen.page.evaluate(absent) == []


def test_icons_have_their_font(seen):
    loaded = (
        "[...document.fonts].filter((f) => f.status === 'error').map((f) => f.family)"
    )
    assert seen.page.evaluate(loaded) == []
    glyphs = """[...document.querySelectorAll("i[class*=fa-], span[class*=fa-]")]
        .map((i) => [i.className, getComputedStyle(i, "::before").content])
        .filter(([, content]) => content === "none")"""
    assert seen.page.evaluate(glyphs) == []


def test_axe_finds_nothing_in_light_colours(seen):
    assert axe(seen.page) == []


def test_a_wide_screen_needs_no_sideways_scrolling(seen):
    assert overflow(seen.page) <= 0


UNFOLD = """() => {
    for (const fold of document.querySelectorAll("details")) fold.open = true;
    for (const fold of document.querySelectorAll(".toggle-hidden"))
        fold.classList.remove("toggle-hidden");
}"""
SCROLLED = """() => [...document.querySelectorAll("article pre")]
    .filter((pre) => pre.scrollWidth > pre.clientWidth)
    .map((pre) => Math.max(...pre.textContent.split("\\n").map((line) => line.length)))
"""


def test_a_line_of_88_characters_fits_a_wide_screen(seen):
    seen.page.evaluate(UNFOLD)
    assert [length for length in seen.page.evaluate(SCROLLED) if length <= 88] == []


def test_axe_finds_nothing_in_dark_colours(visit, address):
    with visit(address, scheme="dark") as dark:
        theme = dark.page.evaluate("document.documentElement.dataset.theme")
        assert theme == "dark"
        assert axe(dark.page) == []
        assert dark.said == []


def test_a_phone_shows_all_of_it(visit, address):
    with visit(address, width=360) as phone:
        assert overflow(phone.page) <= 0
        assert axe(phone.page) == []


def test_the_text_is_there_without_scripts(visit, address):
    with visit(address, script=False) as still:
        assert still.page.locator("main h1").last.is_visible()
        stored = still.page.locator(".llmlib-widget .stored").all()
        assert all(each.is_visible() and each.inner_text().strip() for each in stored)


def test_the_search_finds_a_word(visit):
    with visit("search.html?q=token") as search:
        assert search.page.locator("#search-results li").count() > 1
        assert search.said == []


def test_a_phone_opens_the_list_of_chapters(visit):
    with visit("index.html", width=360) as phone:
        chapter = phone.page.get_by_role("link", name="Glossary").first
        assert not chapter.is_visible()
        phone.page.locator(".primary-toggle").click()
        assert chapter.is_visible()
        assert axe(phone.page) == []


def test_colours_are_the_readers_choice(visit):
    with visit("index.html", scheme="dark") as seen:
        shown = "document.documentElement.dataset.theme"
        colours = [seen.page.evaluate(shown)]
        for _ in range(2):
            seen.page.get_by_role("button", name="Color mode").click()
            colours.append(seen.page.evaluate(shown))
        assert colours == ["dark", "light", "dark"]


FAULTY = """<!DOCTYPE html><html lang="en"><head><title>Faults</title></head><body>
<main><h1 style="width: 2000px">Wide</h1><img src="https://elsewhere.example/x.png">
<p style="color: #ccc; background: #fff">pale</p><a href="gone.html">gone</a></main>
<script>console.warn("a warning"); unknown();</script></body></html>"""


def test_faults_would_be_seen(visit, serve, tmp_path):
    (tmp_path / "index.html").write_text(FAULTY)
    with serve(tmp_path) as site, visit("index.html", width=360, site=site) as seen:
        assert seen.elsewhere == ["https://elsewhere.example/x.png"]
        assert "warning: a warning" in seen.said
        assert any(line.startswith("uncaught:") for line in seen.said)
        assert overflow(seen.page) > 1000
        found = {finding.split(":")[0] for finding in axe(seen.page)}
        assert {"image-alt", "color-contrast"} <= found
    assert lost_links(tmp_path, "index.html") == ["gone.html"]


class Links(HTMLParser):
    """Where a page points to, and the places in it that can be pointed to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.to: list[str] = []
        self.places: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.places.add(values.get("id", ""))
        self.to += [values[name] for name in ("href", "src") if values.get(name)]


@functools.cache
def links(file):
    """The links of a built page."""
    return Links(file.read_text("utf-8"))


def lost_links(book, address):
    """The links of a page to a file or a place that the book does not have."""
    lost = []
    for link in links(book / address).to:
        url = urlsplit(urljoin(address, link))
        if url.scheme or url.netloc:
            continue
        file = book / unquote(url.path)
        there = file.is_file()
        if there and file.suffix == ".html":
            there = unquote(url.fragment) in links(file).places
        lost += [] if there else [link]
    return lost


def test_links_within_the_book_lead_somewhere(book, address):
    assert lost_links(book, address) == []
