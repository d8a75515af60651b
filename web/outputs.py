"""What a cell has printed, as it was printed.

A kernel sends what is printed in pieces that end where its buffer happened to be emptied.
myst-nb strips each piece and joins them with line breaks, so that blank lines are lost and,
now and then, a line is cut in two. Here the pieces are joined as they are.
"""

import re
from itertools import pairwise
from typing import Any

from myst_nb.core import render
from sphinx.application import Sphinx

OVERWRITTEN = re.compile(r".*\r(?=[^\n])")  # what a progress bar has written over


def setup(app: Sphinx) -> None:
    """Takes the place of myst-nb's function (of the option `nb_merge_streams`)."""
    render.coalesce_streams = join_streams


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
