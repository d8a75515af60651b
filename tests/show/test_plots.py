"""What the figures say: read back from the SVG that a page gets."""

import itertools
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text

from llmlib.show import look, plots
from llmlib.show.curves import plot_losses
from llmlib.show.grids import plot_grid
from llmlib.show.narrow import narrowed
from llmlib.show.picture import Picture

EVIL = "</SCRIPT ><img src=x onerror=alert(1)>"
SQUARE = np.array([[0.0, 0.0], [9.0, 8.0], [9.0, 0.0], [0.0, 8.0]])
CAUSAL = torch.tril(torch.ones(4, 4)) / torch.arange(1, 5)[:, None]


def wide(picture: Picture) -> ElementTree.Element:
    """The drawing for a page that is not a phone's."""
    return next(ElementTree.fromstring(picture.to_html()).iter("svg"))


def words(picture: Picture) -> list[str]:
    return [e.text for e in wide(picture).iter("text")]


def every_plot() -> dict[str, Picture]:
    tokens = ["a", " $x$", "\n", EVIL]
    return {
        "losses": plot_losses(
            {EVIL: [(0, 3), (9, 1)], "b": [(0, 3.0), (9, 1.01)]},
            floor=0.5,
            baselines={"2-gram": 2.0},
            alt=EVIL,
        ),
        "attention": plots.plot_attention(CAUSAL, tokens, alt=EVIL),
        "next tokens": plots.plot_next_tokens([0.1, 0.2, 0.3, 0.4], tokens, alt=EVIL),
        "embedding": plots.plot_embedding(SQUARE, tokens, alt=EVIL),
        "bars": plots.plot_bars({EVIL: 1.0, "b": [2.0, 3.0]}, unit="bits", alt=EVIL),
    }


@pytest.mark.parametrize("name", every_plot())
def test_every_plot_is_well_formed_labelled_escaped_and_repeatable(name):
    picture = every_plot()[name]
    html = picture.to_html()
    root = wide(picture)
    assert root.get("aria-label") == EVIL
    assert html == every_plot()[name].to_html()
    assert "http" not in html
    assert any(word in (EVIL, look.visible(EVIL)) for word in words(picture))
    for text in root.iter("text"):
        assert "fill" not in (text.get("style") + str(text.attrib))


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    every_plot()
    assert dict(matplotlib.rcParams) == before


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("colour", [*look.COLOURS, look.GREY])
@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
def test_colours_stand_out_from_light_and_dark_pages(colour, page):
    light, dark = sorted((luminance(colour), luminance(page)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3  # WCAG 2.2, 1.4.11


def test_lines_differ_in_more_than_colour():
    assert len(set(map(str, look.DASHES))) == len(look.COLOURS)


@pytest.mark.parametrize(
    ("piece", "label"),
    [
        (" the", "·the"),
        ("\n\n", "⏎⏎"),
        ("\t\r", "⇥␍"),
        ("\0", "\\x00"),
        ("\ud800", "\\ud800"),
        ("é日", "é日"),
    ],
)
def test_every_piece_has_a_visible_label(piece, label):
    assert look.visible(piece) == label


@given(st.text())
def test_labels_can_stand_in_any_svg(piece):
    label = look.visible(piece)
    assert label.isprintable()
    assert ElementTree.fromstring(f"<a>{re.sub('[<&]', '', label)}</a>").tag == "a"


@given(
    st.lists(st.floats(-10, 10), max_size=12),
    st.floats(0.01, 2),
)
def test_labels_never_overlap_and_keep_their_order(values, gap):
    moved = look.spread(values, gap)
    pairs = itertools.pairwise(moved[i] for i in np.argsort(values, kind="stable"))
    assert all(b - a >= gap * (1 - 1e-9) - 1e-12 for a, b in pairs)
    assert sum(moved) == pytest.approx(sum(values), abs=1e-6)
    far_apart = all(b - a > gap for a, b in itertools.pairwise(sorted(values)))
    assert not far_apart or moved == pytest.approx(values)


@given(st.lists(st.floats(-3, 4), max_size=12), st.floats(0.01, 0.09))
def test_labels_stay_beside_the_axes(values, gap):
    apart = look.spread(values, gap)
    moved = look.inside(apart, gap)
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in moved)
    pairs = itertools.pairwise(moved[i] for i in np.argsort(apart, kind="stable"))
    assert all(b - a >= gap * (1 - 1e-9) - 1e-9 for a, b in pairs)
    within = all(0 <= value <= 1 for value in apart)
    assert not within or moved == pytest.approx(apart)


def test_names_of_curves_that_end_at_the_bottom_fit_a_phone():
    ends = {
        "elder": 0.01,
        "name": 0.01,
        "object": 0.35,
        "pronoun": 0.0,
        "quotation": 0.0,
    }
    curves = {name: [(50, 5.0), (1500, end)] for name, end in ends.items()}
    figure = plot_losses(curves, alt="x").figure
    figure.draw_without_rendering()
    assert narrowed(figure) is not None


def test_lines_to_names_cross_no_other_name():
    """Four curves that end at one point: the names stand above each other beside it."""
    curves = {
        name: [(0, i), (9, 5)]
        for i, name in enumerate(["name", "pronoun", "elder", "quotation"])
    }
    figure = plot_losses(curves, alt="x").figure
    figure.draw_without_rendering()
    named = figure.axes[0].texts
    left = min(Text.get_window_extent(name).x0 for name in named)  # without its line
    assert all(name.arrow_patch.get_window_extent().x1 < left for name in named)
    assert len(named) == 4


def test_losses_name_their_lines_baselines_and_floor():
    shown = words(every_plot()["losses"])
    expected = {EVIL, "b", "2-gram", "the floor", "step", "bits per character"}
    assert expected <= set(shown)


def test_a_run_is_drawn_with_its_validation_losses():
    logs = [
        SimpleNamespace(step=i, loss=9 - i, val_loss=9.5 - i if i % 2 else None)
        for i in range(1, 6)
    ]
    picture = plot_losses({"run": logs}, unit="nats", x="steps", alt="a run")
    assert {"run, training", "run, validation", "nats", "steps"} <= set(words(picture))
    train, val = picture.figure.axes[0].lines
    assert train.get_ydata().tolist() == [8, 7, 6, 5, 4]
    assert val.get_xdata().tolist() == [1, 3, 5]
    only = plot_losses({"run": logs[1::2]}, alt="no validation")
    assert {"run", "nats per token"} <= set(words(only))
    beside = plot_losses({"points": [(1, 2.0)], "run": logs}, alt="mixed")
    assert "nats per token" in words(beside)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_nothing_of_the_ground_below_the_floor_is_free(scale):
    picture = plot_losses({"a": [(0, 6), (9, 0.6)]}, floor=0.5, scale=scale, alt="a")
    (axes,) = picture.figure.axes
    bottom, top = axes.get_ylim()
    assert 0 <= bottom < 0.5 < top
    (ground,) = axes.patches
    assert ground.get_extents().y0 == pytest.approx(
        axes.transData.transform((0, bottom))[1]
    )


def test_a_curve_of_one_point_is_drawn():
    assert "a" in words(plot_losses({"a": [(3, 2.0)]}, alt="a point"))


def test_points_that_are_not_finite_are_left_out():
    curve = [(0, 5.0), (3, float("inf")), (5, 4.0), (9, float("nan"))]
    picture = plot_losses({"a": curve}, alt="diverges")
    (line,) = picture.figure.axes[0].lines
    assert line.get_xydata().tolist() == [[0, 5], [5, 4]]
    assert "a" in words(picture)
    with pytest.raises(ValueError, match="'a' has no points that are finite"):
        plot_losses({"a": [(9, float("nan"))]}, alt="nothing")


def test_a_logarithmic_axis_has_plain_numbers():
    curve = [(0, 6), (9, 0.4)]
    shown = words(plot_losses({"a": curve}, scale="log", alt="falls"))
    assert {"0.5", "1", "2", "5"} <= set(shown)
    with pytest.raises(ValueError, match="'linear' or 'log', not 'cubic'"):
        plot_losses({"a": curve}, scale="cubic", alt="falls")
    with pytest.raises(ValueError, match=r"a floor of 0\.0 has no place"):
        plot_losses({"a": curve}, floor=0.0, scale="log", alt="falls")


def test_attention_names_each_token_on_both_axes():
    shown = words(every_plot()["attention"])
    for label in ("a", "·$x$", "⏎", look.visible(EVIL)):
        assert shown.count(label) == 2
    assert {"token that is read (key)", "token that reads (query)", "weight"} <= set(
        shown
    )


def test_attention_of_several_heads_has_a_map_each():
    picture = plots.plot_attention(CAUSAL.expand(3, 4, 4), list("abcd"), alt="heads")
    assert {"head 0", "head 1", "head 2"} <= set(words(picture))
    images = [axes.images[0] for axes in picture.figure.axes if axes.images]
    np.testing.assert_allclose(images[2].get_array(), CAUSAL)
    assert {image.get_clim() for image in images} == {(0, 1)}


def test_a_weight_of_zero_lets_the_page_through():
    assert look.ink()(0.0)[3] == 0
    assert look.ink()(1.0)[3] == 1


def test_attention_turns_only_names_that_do_not_fit():
    def angles(tokens: list[str]) -> list[float]:
        weights = np.eye(len(tokens))
        (axes, _) = plots.plot_attention(weights, tokens, alt="m").figure.axes
        return [label.get_rotation() for label in axes.get_xticklabels()]

    assert angles(["the", "fox", "saw"]) == [0, 0, 0]
    assert angles([*"abcdefghijk", "a long one"]) == [0] * 11 + [90]
    assert angles(["a long one", "another one"] * 6) == [90] * 12


def test_a_map_of_few_tokens_is_small_and_framed():
    few, many = (
        plots.plot_attention(np.eye(n), ["a"] * n, alt="m").figure for n in (3, 12)
    )
    assert few.get_figwidth() < many.get_figwidth()
    assert few.get_figheight() < many.get_figheight() / 1.5
    assert all(spine.get_visible() for spine in few.axes[0].spines.values())


@pytest.mark.parametrize("shape", [(4,), (4, 3), (2, 2, 4, 4), (5, 5)])
def test_attention_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"do not fit 4 tokens; allowed: \(4, 4\)"):
        plots.plot_attention(np.ones(shape), list("abcd"), alt="maps")


@pytest.mark.parametrize(
    ("page", "text"), [("#ffffff", "#222832"), ("#14181e", "#ced6dd")]
)
def test_numbers_of_a_grid_stand_out_from_every_strength_of_ink(page, text):
    picture = plot_grid(np.ones((1, 1)), ["a"], ["b"], alt="one")
    (image,) = picture.figure.axes[0].images
    assert image.norm([0.0, 1.0]).tolist() == [0, 0.5]
    for share in np.linspace(0, 1, 21):
        ink = np.array(image.cmap(image.norm(share)))
        behind = ink[3] * ink[:3] + (1 - ink[3]) * np.array(to_rgb(page))
        light, dark = sorted((luminance(to_hex(behind)), luminance(text)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_a_table_of_truths_has_crosses():
    found = words(plot_grid(np.eye(2, dtype=bool), ["a", "b"], ["c", "d"], alt="two"))
    assert [word for word in found if word in "×·"] == ["×", "·", "·", "×"]
    shares = words(plot_grid(np.eye(2), ["a", "b"], ["c", "d"], alt="two"))
    assert [word for word in shares if word.isdigit()] == ["100", "0", "0", "100"]


def test_next_tokens_are_the_likeliest_and_the_rest_is_counted():
    class Letters:
        def decode(self, ids: list[int]) -> str:
            return "".join("a bcd"[i] for i in ids)

    chances = torch.tensor([0.1, 0.5, 0.05, 0.3, 0.05])
    shown = words(plots.plot_next_tokens(chances, Letters(), top=2, alt="bars"))
    assert {"·", "c", "50.0%", "30.0%", "3 others", "20.0%"} <= set(shown)
    assert {"probability", "next token"} <= set(shown)
    every = words(plots.plot_next_tokens(chances, list("abcde"), alt="bars"))
    assert not any("others" in word for word in every)
    with pytest.raises(ValueError, match="top 0"):
        plots.plot_next_tokens(chances, list("abcde"), top=0, alt="bars")


def test_bars_show_means_and_each_run():
    picture = plots.plot_bars(
        {"b": [2.0, 3.0], "c": 1}, unit="bits", floor=0.5, alt="bars"
    )
    assert {"b", "c", "mean 2.500", "1.000", "bits"} <= set(words(picture))
    assert any("the floor" in word for word in words(picture))
    dots = [line for line in picture.figure.axes[0].lines if line.get_marker() == "o"]
    assert [dot.get_xdata().tolist() for dot in dots] == [[2.0, 3.0]]


def test_bars_of_losses_and_gains_have_room_on_both_sides():
    picture = plots.plot_bars({"gain": 2.0, "loss": -1.0}, unit="bits", alt="bars")
    low, high = picture.figure.axes[0].get_xlim()
    assert low < -1
    assert high > 2
    low, _ = plots.plot_bars({"a": 2.0}, unit="bits", alt="a").figure.axes[0].get_xlim()
    assert low == 0


def test_the_embedding_is_its_principal_components():
    """Against the eigenvectors of the covariance, and in any run the same sign."""
    vectors = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    names = [str(i) for i in range(30)]
    picture = plots.plot_embedding(vectors, names, alt="plane")
    (axes,) = picture.figure.axes
    drawn = np.stack(axes.lines[0].get_data(), axis=1)
    centred = vectors.double().numpy() - vectors.double().numpy().mean(0)
    values, basis = np.linalg.eigh(centred.T @ centred)
    expected = centred @ basis[:, [-1, -2]]
    np.testing.assert_allclose(np.abs(drawn), np.abs(expected), atol=1e-6)
    share = values[-1] / values.sum()
    assert f"first component ({share:.0%} of the variance)" in words(picture)
    mirrored = plots.plot_embedding(vectors * 1.0, names, alt="plane")
    assert mirrored.to_html() == picture.to_html()


def test_labels_of_the_embedding_do_not_lie_on_one_another():
    vectors = np.array([[0.0, 0.0], *[[1e-6, 0.0]] * 9, [5.0, 5.0], [9.0, 1.0]])
    names = ["one", *["two"] * 8, "last", "tre", "for"]
    shown = words(plots.plot_embedding(vectors, names, alt="x"))
    assert {"one", "two", "tre", "for"} <= set(shown)
    assert "last" not in shown


def test_labels_of_the_embedding_avoid_points():
    """The second point lies where the first one's label would stand."""
    points = np.array([[0.0, 0.0], [0.3, 0.12], [9.0, 6.0], [-9.0, -6.0]])
    figure, axes = look.start(4)
    axes.plot(*points.T, "o", markersize=4)
    look.label_points(figure, axes, points, ["first"] + ["b"] * 3)
    dots = axes.transData.transform(points)
    for text in axes.texts:
        assert not text.get_window_extent().count_contains(dots)
        assert axes.bbox.containsx(text.get_window_extent().x0)
    assert len(axes.texts) == 4


@pytest.mark.parametrize("shape", [(4,), (3, 2), (4, 1)])
def test_an_embedding_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="4 labels do not fit"):
        plots.plot_embedding(np.ones(shape), list("abcd"), alt="plane")


def test_losses_and_bars_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one curve"):
        plot_losses({}, alt="none")
    with pytest.raises(ValueError, match="the curve 'a' has no points"):
        plot_losses({"a": []}, alt="none")
    with pytest.raises(ValueError, match="at least one value"):
        plots.plot_bars({}, unit="bits", alt="none")


def test_surprisal_takes_tensors_and_names_the_bits():
    page = plots.plot_surprisal(
        ["a", EVIL], torch.tensor([1.0, 2.5]), alt="t"
    ).to_html()
    assert 'title="2.50 bits"' in page
    assert "<img" not in page
