"""What a page tells search engines and previews; addresses only where the site has one.

`BOOK_URL` is the address that the book will be read at, for example
`https://reader.github.io/book/`. With it, pages name their own address, previews get a
picture, and `sitemap.xml` lists the pages.
"""

import html
import os
import textwrap
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

LENGTH = 200


def setup(app: Sphinx) -> None:
    """Describes every page; loads what needs an address only where there is one."""
    app.connect("html-page-context", describe)
    if os.environ.get("BOOK_URL"):
        app.connect("config-inited", set_address, priority=100)
        app.setup_extension("sphinx_sitemap")
        app.setup_extension("sphinxext.opengraph")


def set_address(app: Sphinx, config: Config) -> None:
    """Hands the site's address to Sphinx and to both extensions."""
    address = os.environ["BOOK_URL"].rstrip("/") + "/"
    config["html_baseurl"] = config["ogp_site_url"] = address
    config["ogp_site_name"] = config.html_title
    config["ogp_enable_meta_description"] = False
    picture = str(Path(__file__).with_name("logo.png"))
    config["ogp_social_cards"] = {"image": picture, "image_mini": picture}
    config["sitemap_url_scheme"] = "{link}"
    config["sitemap_excludes"] = ["search.html", "genindex.html"]


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Gives a page its first paragraph as description."""
    if doctree is not None and (text := first_paragraph(doctree)):
        content = html.escape(textwrap.shorten(text, LENGTH, placeholder=" …"))
        context["metatags"] += f'\n<meta name="description" content="{content}" />'


def first_paragraph(doctree: nodes.document) -> str:
    """The text of a page's first paragraph, formulas and code as they were typed."""
    return next((p.astext() for p in doctree.findall(nodes.paragraph)), "")
