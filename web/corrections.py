"""Small corrections of what the theme and other extensions write into a page."""

import html
import re
from typing import Any

from sphinx.application import Sphinx


def breakable(cell: re.Match[str]) -> str:
    """A table's cell, where the names of code may break after an underscore."""
    return re.sub(
        '<span class="pre">[^<]*', lambda name: name[0].replace("_", "_<wbr>"), cell[0]
    )


BODY = [
    # In the narrow columns of a phone a name broke anywhere.
    (r"(?s)<td\b.*?</td>", breakable),
    # A name that hides the text in view from those who speak to their browser.
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    # A role that ARIA has retired, within a list that wants items.
    (r'role="doc-biblioentry"', 'role="listitem"'),
    # An option of a command: a phone may break longer names, but not after its dashes.
    (r'<span class="pre">(?=-[^<]{1,30}</span>)', '<span class="pre option">'),
    # A space that stands within the link of a solution's title, where it is underlined.
    (r'(<p class="admonition-title">[^<]+)(<a [^>]*>) ', r"\1 \2"),
]
# Texts that the theme's templates print as if they were HTML.
TEXTS = ("pagetitle", "root_title")


def setup(app: Sphinx) -> None:
    """Corrects each page after the theme has prepared it."""
    app.connect("html-page-context", correct, priority=900)


def correct(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Applies the corrections to a page."""
    for pattern, replacement in BODY:
        if "body" in context:
            context["body"] = re.sub(pattern, replacement, context["body"])
    for name in TEXTS:
        if name in context:
            context[name] = html.escape(context[name])
