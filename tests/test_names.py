"""What `llmlib` itself offers and sets, and what it says where packages are missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import llmlib

WITHOUT_ANYWIDGET = """
import sys
sys.modules["anywidget"] = None
from llmlib import *
import llmlib
try:
    llmlib.Playground
except ModuleNotFoundError as error:
    print(error.name, "|", error)
"""


def test_dir_is_what_the_package_offers():
    assert dir(llmlib) == sorted([*llmlib.__all__, *llmlib.WIDGETS])
    assert all(hasattr(llmlib, name) for name in dir(llmlib))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        llmlib.Nothing  # noqa: B018


def test_a_missing_package_is_named_with_the_way_to_install_it():
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_ANYWIDGET], capture_output=True, text=True
    )
    told = "anywidget | Playground needs anywidget: pip install anywidget"
    assert run.stdout.strip() == told, run.stderr


def test_no_message_names_the_package_on_pypi_that_is_somebody_elses():
    package = Path(llmlib.__file__).parent
    assert not [f for f in package.rglob("*.py") if "llmlib[" in f.read_text("utf-8")]


@pytest.mark.parametrize(
    ("given", "kept"), [({}, "4000"), ({"GOMP_SPINCOUNT": "7"}, "7")]
)
def test_threads_wait_briefly_unless_told_otherwise(given, kept):
    inherited = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
    code = "import sys, llmlib, os; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [kept, "True"]
