"""The Sphinx extension behind the published pages."""

from typing import Any

from sphinx.application import Sphinx

from web import execution, repository


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects each part of the extension to the build."""
    execution.setup(app)
    repository.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
