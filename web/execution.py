"""Outputs that are never stale: chapters execute again when the code they import changes.

The execution cache knows a notebook by its own cells only. Here its folder carries a
hash of the package and the pinned versions, and the same hash is a setting whose change
makes Sphinx read every page again. What only readers' browsers run has a hash of its own:
pages are written again when it changes, but nothing is executed.
"""

import hashlib
import os
import platform
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = (".js", ".css")
SHOWN = ("model.js", "sampling.js")  # scripts of which a chapter shows the source


def setup(app: Sphinx) -> None:
    """Names the cache after the code, ends each executed page with the time it took, and
    makes a short table of these times.
    """
    app.add_config_value("code_digest", code_digest(ROOT), "env")
    app.add_config_value("page_digest", page_digest(ROOT), "html")
    app.connect("config-inited", name_cache)
    app.connect("doctree-resolved", add_execution_time)
    app.connect("doctree-resolved", tell_names_and_times)


def code_digest(root: Path) -> str:
    """A hash of everything beside its own cells that a chapter's outputs depend on."""
    files = (root / "llmlib").rglob("*")
    package = [f for f in files if f.suffix not in BROWSERS or f.name in SHOWN]
    # Pages draw from its results, and train with its recipes.
    measured = [*(root / "benchmarks").glob("*.py")]
    measured += (root / "benchmarks" / "results").rglob("*.json")
    return digest(root, [*package, *measured, root / "constraints.txt"])


def page_digest(root: Path) -> str:
    """A hash of what makes pages of outputs: this extension, and the widgets' scripts."""
    scripts = [f for f in (root / "llmlib").rglob("*") if f.suffix in BROWSERS]
    return digest(root, [*scripts, *(root / "web").rglob("*")])


def digest(root: Path, files: list[Path]) -> str:
    """A hash of the names and contents of files."""
    state = hashlib.sha256()
    for file in sorted(f for f in files if f.is_file() and f.suffix != ".pyc"):
        name = file.relative_to(root).as_posix()
        state.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return state.hexdigest()[:16]


def name_cache(app: Sphinx, config: Config) -> None:
    """Gives each state of the code an execution cache of its own."""
    folder = Path(app.outdir).parent / f".jupyter_cache-{config.code_digest}"
    config["nb_execution_cache_path"] = str(folder)


def add_execution_time(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Says at the end of an executed page how long its code ran."""
    data = app.env.nb_metadata[docname].get("exec_data")  # type: ignore[attr-defined]
    if data and data["runtime"]:
        seconds = f"{data['runtime']:.0f} seconds"
        sentence = f"The code of this page ran in {seconds} when the book was built."
        doctree.append(nodes.paragraph("", sentence, classes=["execution-time"]))


def tell_names_and_times(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Makes of the table of all executions one of the pages' titles and their times in
    seconds, the longest first and their sum last, and says on how many cores.
    """
    metadata = app.env.nb_metadata  # type: ignore[attr-defined]
    if "has_exec_table" not in metadata[docname]:
        return
    for table in doctree.findall(nodes.table):
        # Its columns: the page, when it ran, by which method, for how long, how it ended.
        keep_columns(table, 0, 3)
        body = table.next_node(nodes.tbody)
        runs = {row: metadata[row[0].astext()]["exec_data"] for row in body}
        seconds = {row: runs[row]["runtime"] or 0 for row in runs}
        body[:] = sorted(runs, key=lambda row: -seconds[row])
        for row in body:
            page, time = (next(entry.findall(nodes.Text)) for entry in row)
            page.parent.replace(page, nodes.Text(app.env.titles[page].astext()))
            time.parent.replace(time, nodes.Text(f"{seconds[row]:.0f}"))
        body += row_of("All pages", f"{sum(seconds.values()):.0f}")
        head = table.next_node(nodes.thead)
        head[:] = [row_of("Page", "Seconds")]
        machine = f"Built on {os.cpu_count()} cores of type {platform.machine()}."
        table.parent.insert(table.parent.index(table) + 1, nodes.paragraph("", machine))


def row_of(*texts: str) -> nodes.row:
    """A row of a table."""
    cells = [nodes.entry("", nodes.paragraph("", text)) for text in texts]
    return nodes.row("", *cells)


def keep_columns(table: nodes.table, *kept: int) -> None:
    """Leaves these columns; all of them would be too wide for a phone."""
    group = table.next_node(nodes.tgroup)
    group["cols"] = len(kept)
    columns = list(group.findall(nodes.colspec))
    for column in columns:
        if column not in [columns[i] for i in kept]:
            group.remove(column)
    for row in list(table.findall(nodes.row)):
        row[:] = [row[i] for i in kept]
