"""Code as it is shown: the code itself, where it stands, and what a page makes of it."""

import dataclasses
import functools
import json
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import torch

from llmlib.show import look, source
from llmlib.show.source import STYLE, Listing, Source, find_source, show


class Text(HTMLParser):
    """Reads a page as a reader does: the words, and the tags around them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.tags = "", []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def first_line(obj: object) -> str:
    return find_source(obj).code.splitlines()[0]


def test_a_function_a_class_a_method_and_a_module_are_found():
    assert first_line(look.visible) == "def visible(piece: str) -> str:"
    assert first_line(Source) == "@dataclass(frozen=True)"
    assert first_line(Source.to_html) == "def to_html(self) -> str:"
    assert first_line(Source("a", "b").to_html) == "def to_html(self) -> str:"
    assert first_line(source).startswith('"""Show the code')


def test_the_place_names_the_file_in_its_package_and_the_line():
    for obj in (show, Source, Source.to_html, look.spread):
        file, _, line = find_source(obj).place.partition(", line ")
        with open(sys.modules[obj.__module__].__file__, encoding="utf-8") as lines:
            text = lines.read().splitlines()
        assert file == obj.__module__.replace(".", "/") + ".py"
        assert text[int(line) - 1].strip() == first_line(obj)
    assert find_source(source).place == "llmlib/show/source.py, line 1"
    assert find_source(json).place == "json/__init__.py, line 1"
    assert find_source(dataclasses.replace).place.startswith("dataclasses.py, line ")


def test_decorated_functions_and_properties_are_shown_as_written():
    @functools.cache
    def cached() -> int:
        return 1

    class Thing:
        @property
        def size(self) -> int:
            return 2

        @classmethod
        @torch.no_grad()
        def make(cls) -> int:
            return 3

    assert "return 1" in find_source(cached).code
    assert first_line(Thing.size) == "@property"
    assert "return 3" in find_source(Thing.make).code
    assert "return 3" in find_source(Thing.__dict__["make"]).code


@pytest.mark.parametrize("thing", [len, dict, sys, torch.add])
def test_what_has_no_python_source_is_named(thing):
    with pytest.raises(TypeError, match=f"no Python source of {thing.__name__!r}"):
        show(thing)


@pytest.mark.parametrize("value", [3, "text", None, Source("a", "b"), [show]])
def test_a_value_is_not_code(value):
    kind = type(value).__name__
    with pytest.raises(
        TypeError, match=f"a class or a module, not a value of type {kind!r}"
    ):
        show(value)


def test_the_page_holds_the_code_and_its_docstring_under_a_caption():
    found = find_source(look.visible)
    page = Text(found.to_html())
    assert page.words == f"{found.place}{found.code}\n"
    assert "A token as a label" in page.words
    assert ("div", {"class": "highlight"}) in page.tags
    assert ("span", {"class": "nf"}) in page.tags
    assert ("pre", {"tabindex": "0"}) in page.tags


def test_code_and_place_cannot_break_out_of_the_page():
    evil = "</SCRIPT ><img src=x onerror=alert(1)>"
    page = Text(Source(f"# {evil}\nx = '{evil}'", evil).to_html())
    assert {tag for tag, _ in page.tags} == {
        "figure",
        "figcaption",
        "div",
        "pre",
        "span",
    }
    assert page.words.count(evil) == 3


def test_the_colours_yield_to_any_rule_of_the_page():
    rules = [rule for rule in STYLE.splitlines() if "{" in rule]
    assert rules
    assert all(rule.split("{")[0].replace(":where(", "").strip("., ") for rule in rules)
    assert all(rule.startswith(":where(.llmlib-source") for rule in rules)


def test_several_objects_are_one_listing():
    listing = Listing((find_source(show), find_source(look.visible)))
    bundle = listing._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"].count("# llmlib/show/") == 2
    assert Text(bundle["text/html"]).words.count("llmlib/show/") >= 2


def test_a_terminal_gets_plain_text(capsys):
    show(look.visible, look.spread)
    printed = capsys.readouterr().out
    assert printed.startswith("# llmlib/show/look.py, line ")
    assert "def visible" in printed
    assert "def spread" in printed
    assert "<" not in find_source(look.visible).code
    assert "class=" not in printed


def test_where_ipython_was_never_imported_the_text_is_printed(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    show(look.visible)
    assert "def visible" in capsys.readouterr().out


def test_a_notebook_gets_the_page(tmp_path):
    """An IPython shell, as a notebook's kernel has one, is given the HTML."""
    script = """
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
from llmlib.show.source import show
with capture_output() as captured:
    show(show)
(output,) = captured.outputs
print(sorted(output.data), "highlight" in output.data["text/html"], repr(captured.stdout))
"""
    env = {"PATH": "", "IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.stdout == "['text/html', 'text/plain'] True ''\n", done.stderr


def test_a_script_of_the_package_is_shown_by_its_name():
    source = find_source("sampling.js")
    assert source.place == "llmlib/show/js/sampling.js"
    assert "export function draw" in source.code
    assert '<span class="k' in source.to_html()
    with pytest.raises(TypeError, match="not a value of type 'str'"):
        find_source("no.js")


def test_one_function_of_a_script_is_shown_with_its_comment():
    code = find_source("sampling.js: draw").code
    assert code.startswith("/** The t-th number")
    assert code.endswith("2 ** 32;\n}")
    assert code.count("function") == 1
    with pytest.raises(TypeError, match="not a value of type 'str'"):
        find_source("sampling.js: no")
