"""The Sphinx extension: outputs that follow the code, and buttons that follow the repository."""

import re
from textwrap import fill

import nbformat
import pytest
from docutils import nodes
from docutils.utils import new_document
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pybtex.database import parse_string

from web.bibliography import AuthorYear, bare
from web.corrections import correct
from web.execution import ROOT, SHOWN, code_digest, page_digest
from web.outputs import join_streams, unfill_prose, unfilled
from web.repository import web_address

BOOK = ROOT / "book"


def test_digest_changes_with_the_package_and_the_pins(tmp_path):
    module = tmp_path / "llmlib" / "model" / "gpt.py"
    module.parent.mkdir(parents=True)
    module.write_text("x = 1")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0")
    first = code_digest(tmp_path)
    assert code_digest(tmp_path) == first
    module.write_text("x = 2")
    second = code_digest(tmp_path)
    (tmp_path / "constraints.txt").write_text("torch==2.14.0")
    third = code_digest(tmp_path)
    assert len({first, second, third}) == 3


def test_a_script_for_browsers_changes_pages_but_no_output(tmp_path):
    script = tmp_path / "llmlib" / "show" / "js" / "dom.js"
    script.parent.mkdir(parents=True)
    script.write_text("let x = 1;")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0")
    before = code_digest(tmp_path), page_digest(tmp_path)
    script.write_text("let x = 2;")
    assert code_digest(tmp_path) == before[0]
    assert page_digest(tmp_path) != before[1]


def test_what_a_chapter_shows_or_runs_beside_the_package_changes_outputs(tmp_path):
    chapters = "".join(path.read_text("utf-8") for path in BOOK.rglob("*.ipynb"))
    assert set(re.findall(r"\\\"(\w+\.js)\b", chapters)) == set(SHOWN)
    (tmp_path / "constraints.txt").write_text("torch==2.13.0")
    digests = [code_digest(tmp_path)]
    for name in (
        *(f"llmlib/show/js/{name}" for name in SHOWN),
        "benchmarks/village.py",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("one")
        digests.append(code_digest(tmp_path))
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("https://github.com/reader/book.git", "https://github.com/reader/book"),
        ("git@github.com:reader/book.git\n", "https://github.com/reader/book"),
        ("ssh://git@github.com/reader/book", "https://github.com/reader/book"),
        ("/home/reader/book.git", ""),
        ("", ""),
    ],
)
def test_remotes_become_web_addresses(remote, page):
    assert web_address(remote) == page


def write(folder, code, title="A page", name="index"):
    """A book with a page that runs the code."""
    cells = [new_markdown_cell(f"# {title}"), new_code_cell(code)]
    nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
    return folder


def test_a_page_that_raises_fails_the_build_and_is_named(build, tmp_path):
    run = build(write(tmp_path, "raise RuntimeError('broken on purpose')"))
    assert run.returncode != 0
    assert "index.ipynb" in run.stdout + run.stderr
    assert "broken on purpose" in run.stdout + run.stderr


def test_a_page_that_runs_is_built_with_its_output_and_its_time(build, tmp_path):
    (tmp_path / "times.md").write_text("# Times\n\n```{nb-exec-table}\n```\n")
    write(tmp_path, "import time\ntime.sleep(2)", title="A long page", name="long")
    run = build(write(tmp_path, "print(6 * 7)"))
    assert run.returncode == 0, run.stdout + run.stderr
    page = (tmp_path / "_build" / "html" / "index.html").read_text("utf-8")
    assert "42" in page
    assert "The code of this page ran in" in page
    times = (tmp_path / "_build" / "html" / "times.html").read_text("utf-8")
    columns = re.findall(r"<th\b[^>]*>(.*?)</th>", times)
    assert [re.sub("<.*?>", "", c) for c in columns] == ["Page", "Seconds"]
    cells = [re.sub("<.*?>", "", c) for c in re.findall(r"<td>.*?</td>", times)]
    assert cells[::2] == ["A long page", "A page", "All pages"]
    long, short, both = map(int, cells[1::2])
    assert long > short
    assert abs(both - long - short) <= 1  # each is rounded
    assert "Built on" in times


def test_what_is_printed_in_pieces_is_shown_as_it_was_printed(build, tmp_path):
    code = "for piece in ('a', 'b  ', 'c\\n\\n', 'd'):\n    print(piece, end='', flush=True)"
    run = build(write(tmp_path, code))
    assert run.returncode == 0, run.stdout + run.stderr
    page = (tmp_path / "_build" / "html" / "index.html").read_text("utf-8")
    assert "ab  c\n\nd\n</pre>" in re.sub("<span></span>", "", page)


def test_streams_are_joined_each_with_its_own_and_results_stay_where_they_are():
    def printed(text, name="stdout"):
        return new_output("stream", name=name, text=text)

    result = new_output("display_data", data={"text/plain": "x"})
    outputs = [printed("w", "stderr"), printed("1%\r2"), result, printed("%\r3%\n")]
    joined = join_streams(outputs)
    assert [o.get("text", "") for o in joined] == ["3%\n", "w\n", ""]
    assert outputs[1].text == "1%\r2"  # kept in the cache as it came


@pytest.mark.parametrize("width", [30, 40, 76])
def test_a_filled_text_is_unfilled(width):
    story = "Otto the timid mole hid when somebody knocked, and so did his sister. " * 4
    printed = (
        f"3 of 4 {width}\n  12 %\n\n{fill(story, width)}\n\n{fill(story, width)}\n"
    )
    expected = f"3 of 4 {width}\n  12 %\n\n{story.strip()}\n\n{story.strip()}\n"
    assert unfilled(printed) == expected


def test_only_cells_of_prose_are_unfilled():
    text = fill("a word or two " * 9, 30)
    page = new_document("page")
    for tag in ("tag_prose", "tag_other"):
        output = nodes.literal_block(text, text, classes=["output", "stream"])
        page += nodes.container("", output, classes=["cell", tag])
    unfill_prose(None, page)
    prose, other = page.findall(nodes.literal_block)
    assert prose.astext() == prose.rawsource == ("a word or two " * 9).strip()
    assert other.astext() == text


def test_entries_are_labelled_as_the_text_cites_them():
    authors = [
        r"Lebr{\'o}n, F.",
        "Li, A. and de Jong, B.",
        "Su, J. and Lu, Y. and Bo, W.",
    ]
    entries = [
        f"@misc{{k{i}, author = {{{names}}}, title = {{T}}, year = {{2021}}}}"
        for i, names in enumerate(authors)
    ]
    bibliography = parse_string("\n".join(entries), "bibtex")
    labels = AuthorYear().format_labels(list(bibliography.entries.values()))
    assert list(labels) == ["Lebrón, 2021", "Li and de Jong, 2021", "Su et al., 2021"]


def test_entries_stand_in_the_order_of_their_names_and_years_and_link_to_the_work():
    works = {"a": ("Holt, A.", 2020), "b": (r"H{\"a}gele, A.", 2024)}
    works |= {"c": (r"Mik{\'a}, T. and B, B.", 2011), "d": ("Mika, T. and A, A.", 2010)}
    address = "https://www.site.org/page/"
    entries = [
        f"@misc{{{key}, author = {{{who}}}, title = {{T}}, year = {{{year}}}, "
        f"url = {{{address}}}, eprint = {{1301.3781}}}}"
        for key, (who, year) in works.items()
    ]
    bibliography = parse_string("\n".join(entries), "bibtex")
    formatted = list(AuthorYear().format_bibliography(bibliography))
    assert [entry.key for entry in formatted] == ["b", "a", "d", "c"]
    page = formatted[0].text.render_as("html")
    assert f'<a href="{address}">www.site.org/page</a>' in page
    assert '<a href="https://arxiv.org/abs/1301.3781">arXiv:1301.3781</a>' in page


def test_a_long_address_is_shown_by_its_site():
    assert bare("https://a.org/b/") == "a.org/b"
    assert bare("https://a.org/" + 80 * "b") == "a.org/…"


def test_a_name_in_a_table_breaks_between_its_words():
    name = '<code><span class="pre">assert_apart</span></code>'
    context = {"body": f"{name}<td class='a_b'><p>a_b\n{name}</p></td>{name}"}
    correct(None, "page", "page.html", context, None)
    broken = name.replace("_", "_<wbr>")
    assert context["body"] == f"{name}<td class='a_b'><p>a_b\n{broken}</p></td>{name}"


def test_no_space_is_part_of_a_link_in_a_title():
    title = '<p class="admonition-title">Solution to{}<a href="#x">{}Exercise 1</a></p>'
    context = {"body": title.format("", " ")}
    correct(None, "page", "page.html", context, None)
    assert context["body"] == title.format(" ", "")
