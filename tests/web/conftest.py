"""A small book, built with the project's own settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def build():
    """A function that builds a folder of pages; the process as it ended."""

    def run(folder: Path, **environment: str) -> subprocess.CompletedProcess:
        (folder / "references.bib").write_text("")
        names = sorted(p.stem for p in [*folder.glob("*.md"), *folder.glob("*.ipynb")])
        chapters = "".join(f"  - file: {name}\n" for name in names if name != "index")
        toc = "format: jb-book\nroot: index\n" + ("chapters:\n" + chapters) * bool(
            chapters
        )
        (folder / "_toc.yml").write_text(toc)
        tool = Path(sys.executable).parent / "jupyter-book"
        command = [tool, "build", folder, "--config", ROOT / "_config.yml"]
        options = ["--toc", folder / "_toc.yml", "--path-output", folder, "-W", "-n"]
        return subprocess.run(
            [*command, *options, "--keep-going"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environment},
        )

    return run
