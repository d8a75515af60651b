"""What a page loads: the scripts and styles that its own text has a use for."""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

HERE = Path(__file__).resolve().parent
NEVER = r"(?!)"
# A part of a file's name or of an inline script, and what only pages that use it contain.
USES = {
    r"thebe": NEVER,  # would ask unpkg.com for a kernel that the pages do not have
    r"widget-state\+json": NEVER,  # for a widget manager; ours come as HTML, see widgets.py
    r"toggle(button|Hint|Open)": r'class="[^"]*\b(toggle|dropdown)\b',
    r"sphinx-design": r'class="[^"]*\bsd-',
    r"design-tabs": r'class="[^"]*\bsd-tab-',
    r"exercise\.css": r'class="[^"]*\b(exercise|solution)\b',
    r"mystnb\.": r'class="[^"]*\bcell\b',
    r"clipboard|copybutton": r'class="highlight',
}


def setup(app: Sphinx) -> None:
    """Filters the lists after all other extensions have filled them."""
    app.connect("config-inited", use_own_files)
    app.connect("html-page-context", drop_unused, priority=900)


def use_own_files(app: Sphinx, config: Config) -> None:
    """Puts the folder `templates` before the theme's own, and names the logo."""
    config.templates_path.insert(0, str(HERE / "templates"))
    config["html_logo"] = config["html_favicon"] = str(HERE / "logo.svg")


def drop_unused(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Takes away what this page has no use for, and what is listed twice."""
    body = context.get("body", "")
    for files in (context["script_files"], context["css_files"]):
        # In place: the theme holds the same list.
        files[:] = [f for f in dict.fromkeys(files) if is_used(f, body)]


def is_used(file: Any, body: str) -> bool:
    """Whether a page of that text needs a script or a style."""
    name = " ".join([str(file.filename or ""), *map(str, file.attributes.values())])
    return all(
        re.search(text, body)
        for pattern, text in USES.items()
        if re.search(pattern, name)
    )
