"""The pages of a finished build."""

from pathlib import Path

from sphinx.application import Sphinx


def written(app: Sphinx, exception: Exception | None) -> dict[str, str]:
    """The HTML of every page by its path; none of a build that failed, or makes no HTML."""
    if exception or app.builder.name != "html":
        return {}
    root = Path(app.outdir)
    files = sorted(root.rglob("*.html"))
    texts = {f.relative_to(root).as_posix(): f.read_text("utf-8") for f in files}
    return {path: text for path, text in texts.items() if path[:8] != "_static/"}
