"""Numbered figures, tables and equations: each name once, and each referred to."""

import re
from collections import Counter
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

BOOK = Path(__file__).resolve().parents[2] / "book"
REFERENCE = r"\{(?:numref|eq)\}`(?:[^`<]*<)?([^`<>]+)>?`"
DRAWING = r"(?m)^(?:chart = )?(?:plot_|draw|AttentionExplorer|bertviz_view)\w*\("


def pages():
    """Every page of the book as a notebook; Markdown as one of a single cell."""
    for path in sorted(BOOK.rglob("*.md")):
        yield new_notebook(cells=[new_markdown_cell(path.read_text("utf-8"))])
    for path in sorted(BOOK.rglob("*.ipynb")):
        yield nbformat.read(path, as_version=4)


def named_and_referred(notebooks):
    """How often each name is given, and how often it is referred to."""
    named, referred = Counter(), Counter()
    for cell in (cell for notebook in notebooks for cell in notebook.cells):
        if cell.cell_type == "code":
            figure = cell.metadata.get("mystnb", {}).get("figure")
            if figure:
                named[figure["name"]] += 1
                referred.update(re.findall(REFERENCE, figure["caption"]))
        else:
            named.update(re.findall(r":name: ((?:fig|tab)-\S+)", cell.source))
            named.update(re.findall(r"\$\$ \((eq-\S+)\)", cell.source))
            referred.update(re.findall(REFERENCE, cell.source))
    return named, referred


def faults(notebooks):
    named, referred = named_and_referred(notebooks)
    twice = {name for name, n in named.items() if n > 1}
    return twice | (named.keys() ^ referred.keys())


def test_every_number_is_given_once_and_referred_to():
    assert faults(pages()) == set()


def test_the_rule_finds_what_it_is_for():
    figure = {"mystnb": {"figure": {"name": "fig-a", "caption": "See {eq}`eq-b`."}}}
    page = new_notebook(
        cells=[
            new_code_cell("", metadata=figure),
            new_markdown_cell("$$ x $$ (eq-b)\n\n{numref}`here <fig-a>`"),
        ]
    )
    assert faults([page]) == set()
    assert faults([page, page]) == {"fig-a", "eq-b"}
    lost = new_notebook(cells=[new_markdown_cell("{numref}`fig-c` $$ y $$ (eq-d)")])
    assert faults([page, lost]) == {"fig-c", "eq-d"}


def without_caption(notebooks):
    """Cells that draw something and do not say what: no caption, no name."""
    cells = [cell for nb in notebooks for cell in nb.cells if cell.cell_type == "code"]
    drawing = [cell for cell in cells if re.search(DRAWING, cell.source)]
    return [c.source for c in drawing if "figure" not in c.metadata.get("mystnb", {})]


def test_every_picture_has_a_caption():
    assert without_caption(pages()) == []


def test_the_rule_of_captions_finds_what_it_is_for():
    figure = {"mystnb": {"figure": {"name": "fig-a", "caption": "Bars."}}}
    calls = ["plot_bars(", "chart = plot_bars(", 'draw_growth("', "bertviz_view(model)"]
    bare = new_notebook(cells=[new_code_cell(call) for call in calls])
    assert without_caption([bare]) == calls
    named = [new_code_cell(call, metadata=figure) for call in calls]
    assert without_caption([new_notebook(cells=named)]) == []


def test_most_chapters_number_their_figures():
    named, _ = named_and_referred(pages())
    assert sum(name.startswith("fig-") for name in named) >= 60
