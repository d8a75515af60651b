"""Every notebook starts where there is no llmlib yet: in Colab, Binder, a bare kernel."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import venv
import zipfile
from ast import Import, ImportFrom, parse, walk
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from urllib.parse import quote

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "book").rglob("*.ipynb"))
EXTRAS = {"show", "bertviz"}
MAGIC = """
import subprocess, sys

class get_ipython:
    def run_line_magic(self, name, line):
        line = line.format(**globals())  # as IPython fills in braces
        subprocess.run(f"{sys.executable} -m {name} {line}", shell=True, check=True)
"""
TELL = """
class get_ipython:
    def run_line_magic(self, name, line):
        print(name, line.format(**globals()))
"""


def first_cell(path):
    cells = nbformat.read(path, as_version=4).cells
    return next(cell for cell in cells if cell.cell_type == "code")


CELL = TransformerManager().transform_cell(first_cell(NOTEBOOKS[0]).source)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_begins_alike_and_no_page_shows_it(path):
    cell = first_cell(path)
    assert cell.source == first_cell(NOTEBOOKS[0]).source
    assert cell.metadata["tags"] == ["remove-cell"]


def needed(name, extras=frozenset()):
    """The distributions that pip brings with one, by their canonical names."""
    found = {canonicalize_name(name)}
    for line in distribution(name).requires or []:
        wanted = Requirement(line)
        if not wanted.marker or any(
            wanted.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        ):
            found |= {canonicalize_name(wanted.name)}
            if canonicalize_name(name) == "llmlib" or wanted.extras:
                found |= needed(wanted.name, frozenset(wanted.extras))
    return found


def imports(source):
    """The top-level modules that a cell imports."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith("%")]
    for node in walk(parse("\n".join(lines))):
        if isinstance(node, Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ImportFrom):
            yield node.module.split(".")[0]


def test_binders_environment_has_what_the_chapters_import():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    pip = conda["dependencies"][-1]["pip"]
    assert pip[0] == f"-e .[{','.join(sorted(EXTRAS, reverse=True))}]"
    assert "pytorch-cpu" in conda["dependencies"]
    there = needed("llmlib", EXTRAS) | {"torch"}
    owners = packages_distributions()
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            for module in imports(cell.source) if cell.cell_type == "code" else ():
                if module not in sys.stdlib_module_names:
                    names = {canonicalize_name(name) for name in owners[module]}
                    assert names & there, f"{path.name} imports {module}"


def wheel(folder, name, version, files=None):
    """A wheel of that name: of an installed package, or else one with nothing in it."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    texts = files or {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as file:
        for path, text in texts.items():
            file.writestr(path, text)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """All that pip may install: this machine's setuptools, and stand-ins for the rest."""
    folder = tmp_path_factory.mktemp("wheels")
    tool = distribution("setuptools")
    files = {str(f): f.read_binary() for f in tool.files if f.locate().is_file()}
    files = {path: data for path, data in files.items() if ".." not in path}
    wheel(folder, "setuptools", tool.version, files)
    for line in distribution("llmlib").requires:
        name = Requirement(line).name
        if name not in ("llmlib", "setuptools"):
            wheel(folder, name, distribution(name).version.partition("+")[0])
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A fresh environment: its Python, its packages, and a copy of them."""
    root = tmp_path_factory.mktemp("bare")
    venv.create(root / "env", with_pip=True)
    paths = {"base": str(root / "env"), "platbase": str(root / "env")}
    packages = Path(sysconfig.get_path("purelib", vars=paths))
    shutil.copytree(packages, root / "fresh")
    return root / "env" / "bin" / "python", packages, root / "fresh"


@pytest.fixture
def bare(environment, wheels):
    """Runs the cell where there is nothing but pip and a torch of some version."""
    python, packages, fresh = environment
    shutil.rmtree(packages)
    shutil.copytree(fresh, packages)

    def run(folder, torch, magic=MAGIC, cell=CELL, **more):
        info = packages / f"torch-{torch}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: torch\nVersion: {torch}\n"
        )
        (info / "RECORD").write_text(
            "".join(f"{info.name}/{file},,\n" for file in ("METADATA", "RECORD"))
        )
        script = python.parent / "cell.py"
        script.write_text(magic + cell)
        own = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), **more}
        done = subprocess.run(
            [python, script],
            cwd=folder,
            env=os.environ | own,
            capture_output=True,
            text=True,
        )
        return done, sorted(path.name for path in packages.glob("*.dist-info"))

    return run


def clone(folder):
    """A clone of the book, as far as pip looks."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "llmlib").mkdir()
    (folder / "llmlib" / "__init__.py").write_text("")
    (folder / "book" / "model").mkdir(parents=True)
    return folder / "book" / "model"


def test_a_bare_kernel_gets_llmlib_and_keeps_its_torch(bare, tmp_path):
    done, there = bare(clone(tmp_path), "2.10.0+own")
    assert done.returncode == 0, done.stderr
    assert "torch-2.10.0+own.dist-info" in there
    assert sum(name.startswith("torch-") for name in there) == 1
    for name in ("llmlib", "safetensors", "matplotlib", "anywidget", "bertviz"):
        assert any(path.startswith(name) for path in there), name


def test_a_torch_that_is_too_old_is_refused_and_left_as_it_is(bare, tmp_path):
    done, there = bare(clone(tmp_path), "2.1.0+own")
    assert done.returncode != 0
    assert "torch==2.1.0+own" in done.stdout + done.stderr
    assert "torch-2.1.0+own.dist-info" in there


def test_without_its_last_word_the_cell_would_replace_that_torch(bare, tmp_path):
    assert "{kept}" in CELL
    done, there = bare(clone(tmp_path), "2.1.0+own", cell=CELL.replace("{kept}", ""))
    assert done.returncode == 0, done.stderr
    assert "torch-2.1.0+own.dist-info" not in there


def test_colab_installs_the_repository_that_its_page_came_from(bare, tmp_path):
    address = "https://github.com/a/reader/blob/old/ways/book/model/gpt.ipynb"
    page = f"fileId={quote(address, safe='')}"

    class Sessions(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/api/sessions" else 404)
            self.end_headers()
            self.wfile.write(json.dumps([{"path": page}]).encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Sessions) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = {
            "COLAB_JUPYTER_IP": "127.0.0.1",
            "KMP_TARGET_PORT": str(server.server_port),
        }
        done, _ = bare(tmp_path, "2.10.0+cu130", magic=TELL, **address)
        server.shutdown()
    assert done.stdout.split(maxsplit=3)[3].strip() == (
        '"llmlib[show,bertviz] @ https://github.com/a/reader/archive/old/ways.zip"'
        " torch==2.10.0+cu130"
    ), done.stderr


def test_where_llmlib_is_at_hand_nothing_happens():
    done = subprocess.run(
        [sys.executable, "-c", TELL + CELL], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
