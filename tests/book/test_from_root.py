"""The build runs chapters in their own folders; a reader may start them in the root."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "book").rglob("*.ipynb"))
QUICK = {"index", "stories", "words", "bpe", "cache", "heads"}
TO_RUN = [p for p in NOTEBOOKS if p.stem in QUICK or "EVERY_CHAPTER" in os.environ]


def minds_its_folder(notebook):
    """Cells after the first, which every notebook has, that ask where they run."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"][1:]
    signs = ("cwd", "../", "'./", '"./', "__file__", "chdir")
    found = [source for source in code if any(sign in source for sign in signs)]
    return [source for source in found if "llmlib.__file__" not in source]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_chapter_minds_its_folder(path):
    assert minds_its_folder(nbformat.read(path, as_version=4)) == []


def test_the_rule_sees_a_path_that_depends_on_the_folder():
    cells = [new_code_cell("import llmlib"), new_code_cell('open("../data.txt")')]
    assert minds_its_folder(new_notebook(cells=cells))
    assert not minds_its_folder(new_notebook(cells=cells[:1]))


@pytest.mark.site
@pytest.mark.parametrize("path", TO_RUN, ids=lambda path: path.stem)
def test_a_chapter_runs_from_the_root(path):
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=600, resources=where).execute()
