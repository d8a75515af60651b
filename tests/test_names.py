"""What `llmlib` itself offers, and what it says where the packages for it are missing."""

import subprocess
import sys

import pytest

import llmlib

WITHOUT_ANYWIDGET = """
import sys
sys.modules["anywidget"] = None
import llmlib
try:
    llmlib.Playground
except ModuleNotFoundError as error:
    print(error.name, "|", error)
"""


def test_dir_is_what_the_package_offers():
    assert dir(llmlib) == sorted(llmlib.__all__)
    assert set(llmlib.WIDGETS) <= set(dir(llmlib))
    assert all(hasattr(llmlib, name) for name in dir(llmlib))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        llmlib.Nothing  # noqa: B018


def test_a_missing_package_is_named_with_the_way_to_install_it():
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_ANYWIDGET], capture_output=True, text=True
    )
    told = 'anywidget | Playground needs anywidget: pip install "llmlib[show]"'
    assert run.stdout.strip() == told, run.stderr
