"""What a cell has printed, as it was printed.

A kernel sends what is printed in pieces that end where its buffer happened to be emptied.
myst-nb strips each piece and joins them with line breaks, so that blank lines are lost and,
now and then, a line is cut in two. Here the pieces are joined as they are.

Stories are printed in lines as long as a notebook is wide, and a phone would have to be
scrolled to and fro to read them. Cells with the tag "prose" print such text: on the page each
of its paragraphs is one line, which the browser breaks where the column ends.
"""

import re
from itertools import pairwise
from typing import Any

from docutils import nodes
from myst_nb.core import render
from sphinx.application import Sphinx

OVERWRITTEN = re.compile(r".*\r(?=[^\n])")  # what a progress bar has written over


def setup(app: Sphinx) -> None:
    """Takes the place of myst-nb's function (of the option `nb_merge_streams`), and breaks
    prose where the page does.
    """
    render.coalesce_streams = join_streams
    app.connect("doctree-read", unfill_prose)


def unfill_prose(app: Sphinx, doctree: nodes.document) -> None:
    """Gives the paragraphs that cells of prose have printed one line each."""
    for cell in doctree.findall(nodes.container):
        if "tag_prose" in cell["classes"]:
            for output in cell.findall(nodes.literal_block):
                if "stream" in output["classes"]:
                    output.rawsource = unfilled(output.astext())
                    output.children = [nodes.Text(output.rawsource)]


def unfilled(text: str) -> str:
    """A text without the line breaks that filling its paragraphs has put in: those before a
    word that had no room in the line any more. Other lines stay as they are.
    """
    lines = text.split("\n")
    width = max(map(len, lines))
    joined = lines[0]
    for before, line in pairwise(lines):
        word = line.split(" ")[0]
        no_room = word and len(before) + len(word) >= width
        joined += f" {line}" if no_room else f"\n{line}"
    return joined


def join_streams(outputs: list[Any]) -> list[Any]:
    """A cell's outputs, with one stream of each name where the first piece of it was, and
    stdout before stderr where the two are neighbours, since their order is chance.
    """
    joined: list[Any] = []
    streams: dict[str, Any] = {}
    for output in outputs:
        name = output["name"] if output["output_type"] == "stream" else None
        if name in streams:
            streams[name]["text"] += output["text"]
            continue
        joined.append(output.copy())
        if name is not None:
            streams[name] = joined[-1]
    for stream in streams.values():
        stream["text"] = OVERWRITTEN.sub("", stream["text"]).rstrip() + "\n"
    for i, (one, other) in enumerate(pairwise(joined)):
        if (one.get("name"), other.get("name")) == ("stderr", "stdout"):
            joined[i : i + 2] = other, one
            break
    return joined
