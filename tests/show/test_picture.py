"""Pictures as parts of a page: checked by reading the SVG, not by its look."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from llmlib.show.narrow import NARROW
from llmlib.show.picture import Picture, TintedText

EVIL = '</SCRIPT ><img src=x onerror="alert(1)">&'


def draw(title: str = "a title", alt: str = "a line that rises") -> Picture:
    figure = Figure((4.8, 3.6))
    axes = figure.subplots()
    axes.plot([0, 1], [2, 3], "o--", label="it")
    axes.set(title=title, xlabel="time", ylabel="$5 a piece")
    axes.fill_between([0, 1], [2, 2], hatch="//", facecolor="none")
    return Picture(figure, alt)


def parse(picture: Picture) -> ElementTree.Element:
    return ElementTree.fromstring(picture.to_html())


def words(root: ElementTree.Element) -> list[str]:
    return [element.text for element in root.iter("text")]


def test_a_picture_is_an_image_with_its_alternative_text():
    root = parse(draw(alt=f"say {EVIL}"))
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"say {EVIL}"


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_an_empty_alternative_text_is_refused(alt):
    with pytest.raises(ValueError, match="alt must be a sentence"):
        draw(alt=alt)
    with pytest.raises(ValueError, match="alt must be a sentence"):
        TintedText(("a",), (1.0,), alt, 8)


def test_an_alternative_text_of_another_type_is_refused():
    with pytest.raises(TypeError, match="not None"):
        draw(alt=None)


def test_text_stays_text_and_dollars_stay_dollars():
    shown = words(parse(draw(title="日本 é")))
    assert {"日本 é", "time", "$5 a piece"} <= set(shown)


def test_black_is_the_pages_colour_and_text_has_no_other():
    html = draw().to_html()
    root = ElementTree.fromstring(html)
    assert root.get("fill") == "currentColor"
    assert "#000" not in html
    for text in root.iter("text"):
        assert "fill" not in text.get("style")
        assert "fill" not in text.attrib
    strokes = [
        e.get("style")
        for e in root.iter()
        if "stroke: currentColor" in e.get("style", "")
    ]
    assert strokes  # the axes


def test_nothing_is_painted_behind_and_fonts_are_the_pages():
    html = draw().to_html()
    assert "#ffffff" not in html
    assert "DejaVu" not in html


def test_the_element_fits_its_column():
    root = parse(draw())
    assert "max-width:100%" in root.get("style")
    assert "height:auto" in root.get("style")
    assert float(root.get("width")) == pytest.approx(4.8 * 96, abs=1)


def test_no_prolog_no_style_sheet_nothing_from_elsewhere():
    html = draw().to_html()
    assert html.startswith("<svg ")
    assert not re.search(r"<\?xml|<!DOCTYPE|<style|<metadata|https?:|<script", html)


def panels(names: list[str]) -> Picture:
    """Panels side by side, as wide as the book's column."""
    figure = Figure((7, 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        axes.set_title(name)
    return Picture(figure, "panels")


def widths(picture: Picture) -> list[float]:
    root = parse(picture)
    return [float(svg.get("viewBox").split()[2]) / 72 for svg in root.iter("svg")]


def test_a_phone_gets_a_drawing_of_its_own_and_a_page_shows_one_of_both():
    picture = panels(["one", "two"])
    assert widths(picture) == pytest.approx([7, NARROW])
    wide, narrow = parse(picture).findall("div")
    assert "style" not in wide.attrib
    assert narrow.get("style") == "display:none"
    for part in (wide, narrow):
        (svg,) = part
        assert (svg.get("role"), svg.get("aria-label")) == ("img", "panels")
        assert {"one", "two"} <= set(words(svg))
    assert picture.figure.get_figwidth() == 7
    assert panels(["one", "two"]).to_html() == picture.to_html()


@pytest.mark.parametrize(
    ("n", "name", "rows"),
    [
        (4, "fourteen signs", 2),
        (3, "fourteen signs", 2),
        (3, "a name of twenty-six signs", 3),
        (2, "a name of twenty-six signs", 2),
    ],
)
def test_panels_without_room_side_by_side_are_laid_in_rows(n, name, rows):
    picture = panels([name] * n)
    first, *others = picture.figure.axes
    first.set_ylabel("height")
    first.set_yticks([0.5], ["middle"])
    for axes in others:
        axes.sharey(first)
        axes.tick_params(labelleft=False)
    assert widths(picture) == pytest.approx([7, NARROW])
    wide, narrow = parse(picture).iter("svg")
    heights = [float(svg.get("viewBox").split()[3]) for svg in (wide, narrow)]
    assert heights[1] == pytest.approx(rows * heights[0])
    for name in ("height", "middle"):
        assert words(wide).count(name) == 1
        assert words(narrow).count(name) == rows


def test_panels_that_lie_on_each_other_stay_so():
    picture = panels(["a name of twenty-eight signs"] * 2)
    picture.figure.axes[1].twinx()
    assert widths(picture) == [7]


def test_where_words_would_be_cut_a_phone_gets_the_wide_drawing():
    figure = Figure((7, 3))
    figure.text(0.4, 0.5, "a name that is as long as half of the width")
    assert widths(Picture(figure, "a name")) == [7]


def test_labels_of_ticks_outside_the_axes_do_not_count():
    picture = panels(["a", "b"])
    for axes in picture.figure.axes:
        axes.set_xticks([0, 1, 50, 51], ["first", "last", "far away", "further away"])
        axes.set_xlim(0, 1)
    assert widths(picture) == pytest.approx([7, NARROW])


@pytest.mark.parametrize("names", [("a" * 24, "b" * 24, ""), ("", "b" * 24, "c" * 24)])
def test_labels_where_the_axes_begin_and_end_may_not_lie_on_others(names):
    figure = Figure((7, 3), layout="constrained")
    axes = figure.subplots()
    axes.set_xticks([0, 1, 2], names)
    axes.set_xlim(0, 2)
    assert widths(Picture(figure, "three names")) == [7]


def test_a_drawing_for_a_phone_may_be_given():
    wide, narrow = Figure((7, 3)), Figure((3, 3))
    assert widths(Picture(wide, "both", narrow)) == [7, 3]


def test_the_same_picture_gives_the_same_bytes():
    assert draw().to_html() == draw().to_html()
    picture = draw()
    assert picture.to_html() == picture.to_html()


def test_no_two_pictures_of_a_page_share_an_id():
    pages = [draw().to_html(), draw(title="b").to_html(), draw(alt="c").to_html()]
    ids = [re.findall(r'\bid="([^"]+)"', page) for page in pages]
    assert all(ids)
    assert len({name for names in ids for name in names}) == sum(map(len, ids))
    for page, names in zip(pages, ids, strict=True):
        used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page)
        assert {a or b for a, b in used} == set(names)


def test_titles_cannot_break_out_of_the_page():
    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            assert tag not in ("img", "script")
            assert not any(name.startswith("on") for name, _ in attrs)

    picture = draw(title=EVIL, alt=EVIL)
    Tags().feed(picture.to_html())
    assert EVIL in words(parse(picture))


def test_a_notebook_shows_it_once():
    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    picture = Picture(figure, "a line")
    assert pyplot.get_fignums() == []
    bundle = picture._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == "Picture: a line"


def test_it_is_saved_as_a_file_on_white(tmp_path):
    draw(title="日本").save(tmp_path / "a.png")
    draw().save(tmp_path / "a.svg")
    pixels = pyplot.imread(tmp_path / "a.png")
    assert pixels[0, 0].tolist() == [1, 1, 1, 1]
    assert "<dc:date>" not in (tmp_path / "a.svg").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match=r"\.png or \.svg, not as 'a\.bmp'"):
        draw().save(tmp_path / "a.bmp")


class Spans(HTMLParser):
    """The spans of a tinted text: (title, style, text)."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.spans, self.tags = [], set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        if tag == "span":
            self.spans.append([dict(attrs).get("title"), dict(attrs)["style"], ""])

    def handle_data(self, data: str) -> None:
        if self.get_starttag_text().startswith("<span"):
            self.spans[-1][2] += data


def test_a_tinted_text_holds_every_piece_with_its_bits():
    text = TintedText((" Once", "\n", EVIL, "\0\ud800"), (0.5, 4.0, 99.0, 0.0), EVIL, 8)
    page = Spans(text.to_html())
    assert [title for title, _, _ in page.spans[:4]] == [
        "0.50 bits",
        "4.00 bits",
        "99.00 bits",
        "0.00 bits",
    ]
    assert [shown for _, _, shown in page.spans[:4]] == [" Once", "⏎\n", EVIL, "␀?"]
    legend = [shown.strip() for _, _, shown in page.spans[4:]]
    assert legend == ["0", "2", "4", "6", "8 or more"]
    assert page.tags == {"figure", "p", "span", "figcaption"}
    depths = [re.findall(r"([\d.]+)%", style)[0] for _, style, _ in page.spans[:4]]
    assert depths == ["6", "50", "100", "0"]
    assert all("rgba(" in style for _, style, _ in page.spans)


def test_only_a_tinted_text_with_more_than_full_ink_says_or_more():
    assert "or more" not in TintedText(("a",), (1.0,), "a share", 1, "share").to_html()
    assert "or more" in TintedText(("a",), (8.1,), "a letter", 8).to_html()


def test_a_tinted_text_has_one_surprisal_a_piece():
    with pytest.raises(ValueError, match="not 1 surprisals for 2 pieces"):
        TintedText(("a", "b"), (1.0,), "two letters", 8)


def test_what_bits_are_called_is_text_and_no_html():
    evil = '"><img src=x onerror=alert(1)>'
    shown = TintedText(("a",), (1.0,), "a", 8.0, evil).to_html()
    assert "<img" not in shown
