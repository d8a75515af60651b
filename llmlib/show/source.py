"""Show the code: the source of any part of the package, highlighted, with the place it comes from.

The published page colours the words itself, for light and for dark readers. The rules in
`STYLE` are the weakest possible (`:where`), so that they speak only where no page does.
"""

import html
import inspect
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

# What the words are coloured as, by Pygments' short names for their kinds. JupyterLab's
# themes set the variables; elsewhere the colours of medium lightness stand.
KINDS = {
    "keyword": (".k, .kn, .kc, .ow", "#2a7fbf"),
    "def": (".nc, .nf, .fm", "#9a6fd0"),
    "string": (".s1, .s2, .sa, .sd, .sf, .si", "#b8722c"),
    "number": (".mi, .mf", "#2f8f5b"),
    "comment": (".c1", "#808080"),
}
STYLE = "\n".join(
    [
        "<style>",
        ":where(.llmlib-source) { margin: 0 0 1em; }",
        ":where(.llmlib-source figcaption) { font-size: 0.85em; opacity: 0.8; }",
        ":where(.llmlib-source pre) { margin: 0.25em 0; overflow-x: auto; }",
        *(
            f":where(.llmlib-source) :where({classes}) "
            f"{{ color: var(--jp-mirror-editor-{kind}-color, {colour}); }}"
            for kind, (classes, colour) in KINDS.items()
        ),
        "</style>",
    ]
)


SCRIPTS = Path(__file__).parent / "js"


@dataclass(frozen=True)
class Source:
    """The code of one object, and its place: ``llmlib/model/attention.py, line 40``."""

    code: str
    place: str
    language: str = "python"

    def __str__(self) -> str:
        return f"# {self.place}\n{self.code}"

    def to_html(self) -> str:
        """The code in Pygments' class names, under a caption that names its place."""
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import get_lexer_by_name

        lexer = get_lexer_by_name(self.language, stripnl=False)
        words = highlight(self.code, lexer, HtmlFormatter(nowrap=True))
        caption = f"<figcaption>{html.escape(self.place)}</figcaption>"
        # A block that scrolls must be reachable from the keyboard: hence the tabindex.
        block = f'<div class="highlight"><pre tabindex="0">{words}</pre></div>'
        return f'<figure class="llmlib-source">{caption}{block}</figure>'


@dataclass(frozen=True)
class Listing:
    """Several sources, one below the other, as a notebook and a terminal show them."""

    sources: tuple[Source, ...]

    def __repr__(self) -> str:
        return "\n\n".join(map(str, self.sources))

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> dict[str, str]:
        figures = "\n".join(source.to_html() for source in self.sources)
        return {"text/plain": repr(self), "text/html": f"{STYLE}\n{figures}"}


def find_source(obj: Any) -> Source:
    """The source of a function, method, property, class or module; or of one of the
    package's scripts, by its name, "model.js", or of one function in it, "model.js: f".

    Raises TypeError for an object that has no Python source: a value, a built-in.
    """
    if isinstance(obj, str) and (script := _find_script(obj)):
        return script
    while isinstance(obj, property | classmethod | staticmethod):
        obj = obj.fget if isinstance(obj, property) else obj.__func__
    try:
        # A decorated function is shown as it was written, not as the wrapper around it.
        obj = inspect.unwrap(obj)
        lines, first = inspect.getsourcelines(obj)
        path = Path(inspect.getsourcefile(obj) or "")
    except (TypeError, OSError) as error:
        raise TypeError(_no_source(obj)) from error
    code = textwrap.dedent("".join(lines)).strip("\n")
    return Source(code, f"{_name_file(obj, path)}, line {max(first, 1)}")


def _find_script(name: str) -> Source | None:
    """A script, or the function of it that is named behind a colon, with its comment."""
    file, _, function = name.partition(": ")
    if file not in {script.name for script in SCRIPTS.glob("*.js")}:
        return None
    code = (SCRIPTS / file).read_text("utf-8").strip("\n")
    if function:
        comment, head = r"(?:/\*\*(?:(?!\*/).)*\*/\n)?", r"(?:export )?function "
        whole = rf"^{comment}{head}{re.escape(function)}\(.*?^}}"
        found = re.search(whole, code, re.MULTILINE | re.DOTALL)
        if not found:
            return None
        code = found[0]
    return Source(code, f"llmlib/show/js/{file}", "javascript")


def _no_source(obj: Any) -> str:
    if inspect.isroutine(obj) or inspect.isclass(obj) or inspect.ismodule(obj):
        return f"there is no Python source of {obj.__name__!r} to show"
    kind = type(obj).__name__
    return (
        f"show a function, a method, a class or a module, not a value of type {kind!r}"
    )


def _name_file(obj: Any, path: Path) -> str:
    """The file's name from the folder its package lies in: ``llmlib/model/gpt.py``."""
    name = obj.__name__ if isinstance(obj, ModuleType) else obj.__module__
    if "ipykernel" in path.parent.name:
        return "this notebook"
    root = Path(
        getattr(sys.modules.get(name.partition(".")[0]), "__file__", None) or path
    )
    folder = root.parent.parent if root.name == "__init__.py" else root.parent
    inside = path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if inside else path.name


def show(obj: Any, *more: Any) -> None:
    """Show the source of `obj`, and of each in `more`, docstrings and all.

    In a notebook it is highlighted, in a terminal it is plain text. Takes functions,
    methods, properties, classes and modules, and the names of the package's scripts;
    raises TypeError for what has no source.
    """
    listing = Listing(tuple(map(find_source, (obj, *more))))
    if _in_notebook():
        from IPython.display import display

        display(listing)
    else:
        print(listing)


def _in_notebook() -> bool:
    """Whether an IPython shell runs this code; one that does has imported IPython."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
