"""Widgets without a kernel: their HTML, one script that makes it live, and the models.

A widget's output holds its stored result and its values as HTML (`llmlib.show.widgets`).
The page shows that, loads the script that mounts it, and never Jupyter's widget manager.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

from web.pages import written

logger = logging.getLogger(__name__)
WIDGET = re.compile(r'class="llmlib-widget"')
# The folders that a widget's values name, a model's or a tokenizer's.
FOLDER = re.compile(r'"(?:model_name|folder)":\s*"([\w.-]+)"')


def setup(app: Sphinx) -> None:
    """Chooses the HTML of widgets, and brings what their pages load."""
    app.connect("config-inited", choose_html)
    app.connect("config-inited", name_exports)
    app.connect("html-page-context", add_script)
    app.connect("build-finished", copy_models)


def choose_html(app: Sphinx, config: Config) -> None:
    """Lets every output that has HTML be shown as HTML, also where it is a widget."""
    view = "application/vnd.jupyter.widget-view+json"
    config["nb_mime_priority_overrides"] = [("html", view, None)]
    config["nb_ipywidgets_js"] = {}


def name_exports(app: Sphinx, config: Config) -> None:
    """Tells the notebooks' kernels where, beside the cache of their outputs."""
    os.environ["LLMLIB_EXPORT"] = str(Path(app.outdir).parent / "exports")


def add_script(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Loads the script and the style of widgets on a page that has one."""
    if WIDGET.search(context.get("body", "")):
        write_script(Path(app.outdir) / "_static" / "llmlib")
        app.add_css_file("llmlib/widgets.css")
        app.add_js_file("llmlib/widgets.js", defer="defer")


def write_script(folder: Path) -> None:
    """Writes both from the package; Sphinx adds a hash of their text to the address."""
    from llmlib.show.bundle import page_script, page_style

    folder.mkdir(exist_ok=True)
    (folder / "widgets.js").write_text(page_script(), "utf-8")
    (folder / "widgets.css").write_text(page_style(), "utf-8")


def copy_models(app: Sphinx, exception: Exception | None) -> None:
    """Brings the folders that the pages name, and no others, to `_static/models`."""
    source = Path(os.environ["LLMLIB_EXPORT"])
    target = Path(app.outdir) / "_static" / "models"
    shutil.rmtree(target, ignore_errors=True)
    for page, text in written(app, exception).items():
        for name in sorted(set(FOLDER.findall(text))) if WIDGET.search(text) else ():
            if (source / name).is_dir():
                shutil.copytree(source / name, target / name, dirs_exist_ok=True)
            else:
                message = "%s needs %s, which is not in %s"
                logger.warning(message, page, name, source)
