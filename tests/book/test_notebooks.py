"""The rules that every chapter keeps, each proved to catch what it is there for."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output

import llmlib

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "book").rglob("*.ipynb"))
LONGEST_CELL = 30


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def without_magics(source):
    """The cell as Python reads it, with nothing in place of IPython's own commands."""
    return re.sub(r"(?m)^(\s*)%.*", r"\1pass", source)


def outputs(notebook):
    """Cells that were saved with what they printed."""
    return [c.source for c in code_cells(notebook) if c.outputs or c.execution_count]


def long_cells(notebook):
    """Cells too long to read at a glance."""
    cells = [c.source for c in code_cells(notebook)]
    return [source for source in cells if len(source.splitlines()) > LONGEST_CELL]


def redefinitions(notebook):
    """Public names of the package that a chapter defines a second time."""
    names = set()
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(without_magics(cell.source))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
    return sorted(names & set(dir(llmlib)))


def crowds(notebook):
    """Places where more than two code cells follow each other without a word."""
    kinds = "".join("c" if c.cell_type == "code" else "m" for c in notebook.cells)
    return ["ccc"] if "ccc" in kinds else []


RULES = [outputs, long_cells, redefinitions, crowds]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_chapter_keeps_the_rule(path, rule):
    assert rule(nbformat.read(path, as_version=4)) == []


def test_there_are_chapters():
    assert NOTEBOOKS


@pytest.mark.parametrize(
    ("rule", "cells"),
    [
        (outputs, [new_code_cell("1", outputs=[new_output("stream", text="1")])]),
        (outputs, [new_code_cell("1", execution_count=3)]),
        (long_cells, [new_code_cell("x = 1\n" * (LONGEST_CELL + 1))]),
        (redefinitions, [new_code_cell("class GPT:\n    pass")]),
        (redefinitions, [new_code_cell("def generate(): ...")]),
        (redefinitions, [new_code_cell("%matplotlib inline\nBlock = 3")]),
        (redefinitions, [new_code_cell("if True:\n    %pip install x\nBlock = 3")]),
        (crowds, [new_code_cell("1") for _ in range(3)]),
    ],
)
def test_rule_catches_its_fault(rule, cells):
    assert rule(new_notebook(cells=cells))
    assert not rule(new_notebook(cells=[new_code_cell("x = 1")]))


def files(entry):
    """All pages below an entry of the table of contents."""
    here = [entry.get("root"), entry.get("file")]
    below = [entry.get(key, []) for key in ("parts", "chapters", "sections")]
    return [f for f in here if f] + [
        f for part in below for e in part for f in files(e)
    ]


def test_every_chapter_is_in_the_table_of_contents():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    pages = {str(p.relative_to(ROOT / "book").with_suffix("")) for p in NOTEBOOKS}
    assert pages <= set(files(contents))


def shown(notebook):
    """What a chapter lists with `show`; of a method, the class it belongs to."""
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(without_magics(cell.source))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "show":
                yield from {ast.unparse(arg).split(".")[0] for arg in node.args}


def public_parts():
    """The public functions and classes of the storeys that the book builds, by storey."""
    storeys = ("text", "evaluation", "model", "training", "generation")
    for name in dir(llmlib):
        module = getattr(getattr(llmlib, name), "__module__", "").split(".")
        if module[0] == "llmlib" and module[1] in storeys:
            yield name, module[1]


def in_order():
    """The chapters in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    notebooks = [ROOT / "book" / f"{file}.ipynb" for file in files]
    return [path for path in notebooks if path.exists()]


def test_each_public_part_is_shown_in_one_chapter():
    places = defaultdict(set)
    for path in in_order():
        for name in shown(nbformat.read(path, as_version=4)):
            places[name].add(path.stem)
    parts = dict(public_parts())
    assert len(parts) > 40
    assert {name: places[name] for name in parts if len(places[name]) != 1} == {}


def test_chapters_follow_the_storeys():
    """Text before evaluation before the model, and so on: by the folder of each chapter."""
    folders = [path.parent.name for path in in_order()]
    order = ["text", "evaluation", "model", "training", "generation", "inside"]
    assert [*dict.fromkeys(folders)] == order
    assert folders == sorted(folders, key=order.index)
