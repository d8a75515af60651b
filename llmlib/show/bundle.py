"""The widgets' scripts and styles, joined into one text each.

In ``js/`` every file is an ES module, so that Node can test it alone. A widget's script
runs from a blob, where relative imports find nothing; so here each module becomes a
function's result, after the modules that it imports:

    import { draw } from "./sampling.js";       const $generation = (() => {
    export function write() { ... }         →   const { draw } = $sampling;
                                                function write() { ... }
                                                return { write };
                                                })();
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "js"
IMPORT = re.compile(r'^import \{([\w\s,]+)\} from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT = re.compile(
    r"^export ((?:async )?(?:function\*? |class |const )(\w+))", re.MULTILINE
)
UNKNOWN = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
WORKER_SOURCE = 'const WORKER_SOURCE = "";'


def widget_module(view: str, folder: Path = FOLDER) -> str:
    """The ES module that anywidget loads for one widget: it exports the `render` of the
    view's file. Raises ValueError as `join` does.
    """
    render = f"const {{ render }} = ${view};\nexport default {{ render }};\n"
    return join([view], folder) + render


def page_script(folder: Path = FOLDER) -> str:
    """The script of a static page: all views, mounted wherever the page has a place for
    one. It runs as a module, and as a classic deferred script, which browsers run from
    a file too. Raises ValueError as `join` does.
    """
    views = [
        path.stem
        for path in sorted(folder.glob("*.js"))
        if "render" in exports(path.read_text("utf-8"))
    ]
    renders = ", ".join(f"{view}: ${view}.render" for view in views)
    modules = join([*views, "mount"], folder)
    return f"{{\n{modules}$mount.mountAll({{ {renders} }});\n}}\n"


def page_style(folder: Path = FOLDER) -> str:
    """The CSS of all widgets."""
    return "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("*.css")))


def join(names: Sequence[str], folder: Path = FOLDER) -> str:
    """The modules and all that they import, each after those that it needs.

    In `client.js` the constant WORKER_SOURCE becomes the source of `worker.js`. Raises
    ValueError, naming the file, for an import or export of another form than above, for
    a name that is not there or exported twice, and for modules that import each other.
    """
    return "".join(_wrapped(name, folder) for name in _in_order(names, folder))


def exports(source: str) -> list[str]:
    """The names that a module exports."""
    return [name for _, name in EXPORT.findall(source)]


def _in_order(names: Sequence[str], folder: Path) -> Iterator[str]:
    """The modules, each once, and after those that it imports."""
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            raise ValueError(f"modules import each other: {' → '.join((*path, name))}")
        if name in done:
            return
        for _, imported in IMPORT.findall(_read(name, folder)):
            yield from visit(imported, (*path, name))
        done.add(name)
        yield name

    for name in names:
        yield from visit(name, ())


def _wrapped(name: str, folder: Path) -> str:
    source = _read(name, folder)
    names = exports(source)
    if twice := {each for each in names if names.count(each) > 1}:
        raise ValueError(f"{name}.js exports {', '.join(sorted(twice))} twice")
    source = IMPORT.sub(lambda found: _destructured(name, found, folder), source)
    source = EXPORT.sub(r"\1", source)
    if other := UNKNOWN.search(source):
        raise ValueError(f"{name}.js has {other[0]!r}, which is not of the known form")
    if WORKER_SOURCE in source:
        worker = json.dumps('"use strict";\n' + join(["worker"], folder))
        source = source.replace(
            WORKER_SOURCE, WORKER_SOURCE.replace('""', worker.replace("<", "\\u003c"))
        )
    returned = f"return {{ {', '.join(names)} }};"
    return f'const ${name} = (() => {{\n"use strict";\n{source}\n{returned}\n}})();\n\n'


def _destructured(name: str, found: re.Match[str], folder: Path) -> str:
    wanted, module = found.groups()
    names = [each for each in re.split(r"[\s,]+", wanted) if each]
    for each in set(names) - set(exports(_read(module, folder))):
        raise ValueError(f"{name}.js imports {each}, which {module}.js does not export")
    return f"const {{ {', '.join(names)} }} = ${module};"


def _read(name: str, folder: Path) -> str:
    try:
        return (folder / f"{name}.js").read_text("utf-8")
    except FileNotFoundError:
        raise ValueError(f"there is no {name}.js in {folder}") from None
