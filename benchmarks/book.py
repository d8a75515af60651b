"""How long the book takes to build, and the code of each of its pages to run.

    python -m benchmarks.book [--quick]

A clean clone of this repository, as last committed, is built in a temporary folder as
`make book` does it: once cold, so that every chapter executes, and once more with nothing
changed. The environment is that of the running interpreter; neither it nor the fetching of
the packages from npm is measured. A page's seconds are those of its execution, as the
book's own table of times has them. Chapters take as many threads as they find. Takes about
twelve minutes on two cores; with --quick seconds, for a book of a single page, and no
results are written.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from jupyter_cache import get_cache

from benchmarks.machine import aligned, describe, report, seconds

ROOT = Path(__file__).resolve().parent.parent
SINGLE_PAGE = {
    "_config.yml": "execute: {execute_notebooks: cache}\n",
    "_toc.yml": "format: jb-book\nroot: index\n",
    "book/index.md": """\
---
file_format: mystnb
kernelspec: {name: python3}
---
# A page

```{code-cell}
1 + 1
```
""",
}


def measure(quick: bool = False) -> dict[str, Any]:
    """Seconds of both builds, and of each page in the cold one."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve() / "clone"
        made = write_single_page(folder) if quick else clone(folder)
        cold = seconds(lambda: build(folder))
        pages = execution_seconds(folder)
        unchanged = seconds(lambda: build(folder))
        if execution_seconds(folder) != pages:
            raise RuntimeError("the second build executed pages again")
    return {
        "machine": describe("jupyter-book", "myst-nb", "sphinx"),
        "book": made,
        "seconds": {"cold": round(cold, 1), "unchanged": round(unchanged, 1)},
        "pages": {page: round(taken, 2) for page, taken in pages.items()},
    }


def clone(folder: Path) -> str:
    """Clones this repository and fetches what its pages take from npm; the commit."""
    _run("git", "clone", "--quiet", str(ROOT), str(folder))
    fetch = "from web.npm import node_modules; node_modules()"
    _run(sys.executable, "-c", fetch, cwd=folder)
    return "commit " + _run("git", "rev-parse", "--short", "HEAD", cwd=folder).strip()


def write_single_page(folder: Path) -> str:
    """Writes a book of a single page, whether or not there is a repository."""
    for name, text in SINGLE_PAGE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return "a single page"


def build(folder: Path) -> None:
    """What the Makefile's `book` does."""
    _run(
        str(Path(sys.executable).with_name("jupyter-book")),
        *("build", "book", "--config", "_config.yml"),
        *("--toc", str(folder / "_toc.yml"), "--path-output", "."),
        *("-W", "-n", "--keep-going"),
        cwd=folder,
        # Chapters import the clone's package, not the one that is installed.
        env=os.environ | {"PYTHONPATH": str(folder)},
    )


def _run(*command: str, **options: Any) -> str:
    """What a command prints; where it fails, all it said is in the error."""
    run = subprocess.run(command, capture_output=True, text=True, **options)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{run.stdout}{run.stderr}")
    return run.stdout


def execution_seconds(folder: Path) -> dict[str, float]:
    """How long the code of each page ran when it last did, as the cache has it."""
    (path,) = (folder / "_build").glob(".jupyter_cache*")
    cache = get_cache(path)
    seconds = {
        _page(Path(record.uri), folder): record.data["execution_seconds"]
        for record in cache.list_cache_records()
    }
    cache.db.dispose()  # closes its database
    return seconds


def _page(path: Path, folder: Path) -> str:
    return path.relative_to(folder / "book").with_suffix("").as_posix()


def table(record: dict[str, Any]) -> str:
    """Both builds, and the pages with their share of the cold one."""
    cold, pages = record["seconds"]["cold"], record["pages"]
    rows = [
        (page, f"{taken:.1f}", f"{100 * taken / cold:.0f}")
        for page, taken in {"all pages": sum(pages.values()), **pages}.items()
    ]
    built = [(f"{how} build", f"{s:.1f}", "") for how, s in record["seconds"].items()]
    heading = ("", "seconds", "% of the cold build")
    return f"{record['book']}\n{aligned(heading, *built, *rows)}"


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("book", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
