"""The libraries that bertviz draws with, served by the book to the pages that name them."""

import shutil
from pathlib import Path

from sphinx.application import Sphinx

from web.npm import node_modules
from web.pages import written

FOLDER = "_static/bertviz/"
FILES = {
    "require.js": "requirejs/require.js",
    "d3.js": "d3/dist/d3.min.js",
    "jquery.js": "jquery/dist/jquery.min.js",
}


def setup(app: Sphinx) -> None:
    """Copies them once all pages are written."""
    app.connect("build-finished", copy_libraries)


def copy_libraries(app: Sphinx, exception: Exception | None) -> None:
    """Copies the libraries if a page asks for one."""
    if any(FOLDER in text for text in written(app, exception).values()):
        target = Path(app.outdir) / FOLDER
        target.mkdir(parents=True, exist_ok=True)
        for name, source in FILES.items():
            shutil.copy(node_modules() / source, target / name)
