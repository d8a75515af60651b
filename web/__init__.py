"""The Sphinx extension behind the published pages."""

from typing import Any

from sphinx.application import Sphinx

from web import (
    address,
    assets,
    bertviz,
    bibliography,
    corrections,
    execution,
    formulas,
    icons,
    outputs,
    repository,
    widgets,
)

PARTS = (
    execution,
    repository,
    address,
    formulas,
    bibliography,
    widgets,
    bertviz,
    icons,
    outputs,
    assets,
    corrections,
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connects each part of the extension to the build."""
    for part in PARTS:
        part.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
