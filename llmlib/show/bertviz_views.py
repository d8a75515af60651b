"""The two views of bertviz (Vig 2019), so that they also draw on a page without other hosts.

bertviz writes HTML that fetches its libraries from elsewhere, pastes tokens into a script
as they are, and takes for granted that the page is white and has no other script of
its kind. Here it gets a frame of its own, and on the book's pages the book's libraries.
"""

import html
import os
import re
from dataclasses import dataclass, field

from llmlib.inside.heads import attention_of
from llmlib.model.gpt import GPT
from llmlib.show.export import EXPORT_VARIABLE
from llmlib.text.tokenizers import Tokenizer

VIEWS = ("head_view", "model_view")
MOST_TOKENS = 64  # more become unreadable
LIBRARIES = (
    r"https://cdnjs\.cloudflare\.com/ajax/libs/[\w.]+/[\d.]+/(\w+)\.min(?:\.js)?"
)
MISSING = (
    "This view is drawn by bertviz, which is not installed here: "
    "pip install bertviz brings it."
)
# The frame asks the book's page where its files lie, shrinks what is wider than itself,
# grows with what is drawn, and turns light into dark where the page is dark.
FRAME = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>html {{ overflow: hidden }} body {{ margin: 0; color: #000 }}
.dark body {{ filter: invert(1) hue-rotate(180deg) }}</style>
{body}
<script>
const page = parent.document, root = document.documentElement;
function fit() {{
  const drawn = document.querySelector("svg:not([width$='%'])");
  const wide = drawn?.getAttribute("width") ?? 1;
  document.body.style.zoom = Math.min(1, root.clientWidth / wide);
  frameElement.style.height = root.offsetHeight + "px";
}}
function follow() {{
  const [red] = getComputedStyle(frameElement).color.match(/[0-9.]+/g);
  root.classList.toggle("dark", red > 127);
}}
new ResizeObserver(fit).observe(document.body);
for (const part of [page.documentElement, page.body])
  new MutationObserver(follow).observe(part, {{ attributes: true }});
follow();
</script>"""
BOOKS_OWN = """<script>
const files = parent.document.documentElement.dataset.content_root + "_static/bertviz/";
const library = document.createElement("script");
library.src = files + "require.js";
library.onload = () => {{ {script} }};
document.head.append(library);
</script>"""


@dataclass(frozen=True)
class BertvizView:
    """A frame with a view of bertviz in it, or the sentence that it is missing."""

    document: str | None = field(repr=False)
    title: str

    def _repr_html_(self) -> str:
        if self.document is None:
            return f"<p>{MISSING}</p>"
        return (
            f'<iframe title="{html.escape(self.title)}" loading="lazy" '
            'style="width:100%; height:200px; border:0; color-scheme:light" '
            f'srcdoc="{html.escape(self.document)}"></iframe>'
            "<noscript>bertviz draws with JavaScript, which is switched off.</noscript>"
        )


def bertviz_view(
    model: GPT, tokenizer: Tokenizer, text: str, view: str = "head_view"
) -> BertvizView:
    """All heads of a model on a text: "head_view", lines from each token to those it
    looks at, a layer at a time, or "model_view", all layers and heads small.

    Raises ValueError for another view and for more than 64 tokens.
    """
    if view not in VIEWS:
        raise ValueError(f"unknown view {view!r}; allowed: {', '.join(VIEWS)}")
    pieces, weights = attention_of(model, tokenizer, text)
    if len(pieces) > MOST_TOKENS:
        raise ValueError(f"{len(pieces)} tokens; bertviz shows at most {MOST_TOKENS}")
    title = f"bertviz, {view.replace('_', ' ')}: where each head looks"
    try:
        import bertviz
    except ImportError:
        return BertvizView(None, title)
    layers = [layer[None] for layer in weights]  # each (1, H, T, T)
    light = {"display_mode": "light"} if view == "model_view" else {}
    draw = getattr(bertviz, view)
    shown = draw(layers, pieces, html_action="return", **light).data
    return BertvizView(FRAME.format(title=title, body=at_home(shown)), title)


def at_home(shown: str) -> str:
    """The HTML of bertviz with its tokens escaped, its select named, and, while the
    book is built, with the book's own libraries in place of other hosts'.
    """
    shown = re.sub(r"const params = .*", lambda m: m[0].replace("<", r"\u003c"), shown)
    shown = shown.replace("<select ", '<select aria-label="layer" ')
    if not os.environ.get(EXPORT_VARIABLE):
        return shown
    markup, script = re.findall(
        r"</script>(.*)<script[^>]*>(.*)</script>", shown, flags=re.DOTALL
    )[0]
    script = re.sub(f"'{LIBRARIES}'", r'files + "\1"', script)
    return markup + BOOKS_OWN.format(script=script)
