"""Pages of a small book: nothing from elsewhere, nothing unused, nothing that breaks out."""

import json
import re
from html.parser import HTMLParser

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from web.npm import HERE, node_modules

EVIL = "</SCRIPT ><img src=x onerror=alert(1)>"
INDEX = rf"""
# Formulas, and `{EVIL}`

The first "paragraph" describes `{EVIL}`, and $e^x$.

For ($n$), and $m$-grams: `llmlib generate --temperature`

$$
\text{{loss}} = -\ln p
$$ (loss)

See {{eq}}`loss`, and {{eq}}`sum`.

```{{math}}
:label: sum
a &= b + c \\
  &= d

e = f
```

\begin{{align}}
x &= y \\
  &= z
\end{{align}}

Next come [plain words](plain) and [widgets](live).
"""
LIVE = f"""
import ipywidgets
from IPython.display import display
from llmlib.show.widgets import Playground, TokenizerExplorer
from llmlib.text.tokenizers import CharTokenizer

display(TokenizerExplorer({{{EVIL!r}: CharTokenizer.train({EVIL!r})}}, {EVIL!r}, title={EVIL!r}))
display(Playground("stories", prompt="One", max_new_tokens=3, title={EVIL!r}))
display(ipywidgets.IntSlider(description={EVIL!r}))
"""


class Tags(HTMLParser):
    """The start tags of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def book(build, tmp_path_factory):
    """The folder of the built book, whose address is known."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "index.md").write_text(INDEX)
    (folder / "plain.md").write_text("# Plain words\n\nNothing but these.\n")
    (folder / "heads.md").write_text(
        '# Heads\n\n<p data-d3="_static/bertviz/d3.js"></p>'
    )
    cells = [new_markdown_cell("# Widgets"), new_code_cell(LIVE)]
    nbformat.write(new_notebook(cells=cells), folder / "live.ipynb")
    run = build(folder, BOOK_URL="https://reader.example/book")
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "_build" / "html"


def read(book, page):
    """The text of a built page."""
    return (book / page).read_text("utf-8")


PAGES = ["index.html", "plain.html", "live.html", "search.html", "genindex.html"]


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_loaded_from_elsewhere(book, page):
    tags = Tags(read(book, page)).found
    links = [a for tag, a in tags if tag == "link" and a["rel"] != "canonical"]
    sources = [a["src"] for tag, a in tags if tag != "a" and "src" in a]
    addresses = sources + [a["href"] for a in links]
    assert len(addresses) > 5
    assert not [a for a in addresses if "//" in a]
    assert "THEBE" not in read(book, page)


@pytest.mark.parametrize("page", PAGES)
def test_no_text_becomes_markup(book, page):
    tags = Tags(read(book, page)).found
    assert not [tag for tag, attributes in tags if "onerror" in attributes]
    assert not [tag for tag, attributes in tags if attributes.get("src") == "x"]


def test_a_page_loads_what_it_uses(book):
    index, plain, live = (read(book, page) for page in PAGES[:3])
    assert ["katex.css" in page for page in (index, plain, live)] == [
        True,
        False,
        False,
    ]
    assert ["copybutton" in page for page in (index, plain, live)] == [
        False,
        False,
        True,
    ]
    assert ["mystnb." in page for page in (index, plain, live)] == [False, False, True]
    modules = [
        [a["src"] for _, a in Tags(page).found if "llmlib" in (a.get("src") or "")]
        for page in (index, plain, live)
    ]
    assert modules[:2] == [[], []]
    assert re.fullmatch(r"_static/llmlib/widgets\.js\?v=\w+", *modules[2])


def test_formulas_are_rendered_and_numbered(book):
    page = read(book, "index.html")
    assert page.count('class="katex-display"') == 3
    assert page.count("<math ") >= 4  # for screen readers
    assert "katex-error" not in page
    numbers = re.findall(r'class="eqno">\((\d+)\)', page)
    assert numbers == ["1", "2", "3"]
    first, second = re.findall(r'href="#(equation-\w+)">\((\d)\)</a>', page)
    assert (first[1], second[1]) == ("1", "2")
    assert all(f'id="{target}"' in page for target, _ in (first, second))


def test_a_formula_is_one_word_with_its_punctuation(book):
    page = read(book, "index.html")
    assert page.count('<span class="unbroken">') == 3
    assert '<span class="unbroken">(<span class="math">' in page
    assert all(f"</span>{tail}</span>" in page for tail in (".", "),", "-grams:"))


def test_an_option_of_a_command_has_a_class_of_its_own(book):
    page = read(book, "index.html")
    assert '<span class="pre option">--temperature</span>' in page
    assert page.count("pre option") == 1


def test_widgets_are_their_html_and_their_models_are_there(book):
    page = read(book, "live.html")
    assert page.count('class="llmlib-widget"') == 2
    assert "widget-state" not in page
    assert "widget-view" not in page
    assert "IntSlider(" in page  # without a kernel, a text says what would be here
    models = [folder.name for folder in (book / "_static" / "models").iterdir()]
    assert len(models) == 1
    assert f'"model_name": "{models[0]}"' in page
    names = {file.name for file in (book / "_static" / "models" / models[0]).iterdir()}
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= names


def test_what_bertviz_draws_with_is_there(book):
    files = {file.name for file in (book / "_static" / "bertviz").iterdir()}
    assert files == {"d3.js", "jquery.js", "require.js"}


def test_the_address_is_told_where_it_is_known(book):
    sitemap = (book / "sitemap.xml").read_text("utf-8")
    assert "<loc>https://reader.example/book/plain.html</loc>" in sitemap
    assert "search.html" not in sitemap
    page = read(book, "plain.html")
    assert 'rel="canonical" href="https://reader.example/book/plain.html"' in page
    assert '<meta name="description" content="Nothing but these." />' in page
    image = re.search(r'property="og:image" content="([^"]+)"', page)[1]
    path = image.removeprefix("https://reader.example/book/")
    assert (book / path).is_file()


def test_icons_of_the_theme_are_a_font_of_some_kilobytes(book):
    static = book / "_static"
    assert not (static / "scripts" / "fontawesome.js").exists()
    fonts = list((static / "vendor").rglob("fa-*"))
    assert len(fonts) == 2
    assert sum(font.stat().st_size for font in fonts) < 10_000
    style = (static / "styles" / "pydata-sphinx-theme.css").read_text("utf-8")
    assert ".fa-bars" in style
    assert ".fa-rocket" not in style
    addresses = re.findall(r"url\(([^)\"]*/fa-[^)]*)\)", style)
    assert len(addresses) == 2
    assert all((static / "styles" / address).is_file() for address in addresses)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (r"A formula: $\frac{1$", "KaTeX cannot read a formula"),
        (
            '<div class="llmlib-widget"><script type="application/json">'
            '{"model_name": "gone-0123"}</script></div>',
            "gone-0123",
        ),
    ],
)
def test_what_a_page_lacks_fails_the_build(build, tmp_path, text, complaint):
    (tmp_path / "index.md").write_text(f"# A page\n\n{text}\n")
    run = build(tmp_path)
    assert run.returncode != 0
    assert complaint in run.stdout + run.stderr
    page = read(tmp_path / "_build" / "html", "index.html")
    assert "og:" not in page
    assert "canonical" not in page
    assert not (tmp_path / "_build" / "html" / "_static" / "bertviz").exists()


def test_packages_are_pinned_by_their_contents_and_not_by_a_host():
    text = (HERE / "package-lock.json").read_text("utf-8")
    packages = json.loads(text)["packages"]
    assert all("integrity" in each for name, each in packages.items() if name)
    assert "registry." not in text
    assert (node_modules() / "katex" / "dist" / "katex.min.js").is_file()
