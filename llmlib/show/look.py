"""How every figure of the book looks: colours, thin axes, labels instead of legends.

The colours are of medium lightness, after Okabe and Ito (2008): they read on white and
on near-black and for colour-blind eyes. A colour never speaks alone: lines differ in
their dashes too, and are labelled where they end.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from llmlib.show.picture import RENDERING, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

BLUE, VERMILION, GREEN = "#2a86c8", "#d55e00", "#009e73"
PURPLE, OCHRE, GREY = "#b565a7", "#b07d00", "#808080"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, OCHRE)
DASHES = (
    "-",
    (0, (5, 2)),
    (0, (1.5, 1.5)),
    (0, (6, 2, 1.5, 2)),
    (0, (9, 2, 1.5, 2, 1.5, 2)),
)
GAP = 0.07  # of the axes' height, from one name beside them to the next
LOOK: dict[Any, Any] = RENDERING | {
    "font.size": 11,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "ytick.minor.width": 0.5,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "lines.linewidth": 1.8,
    "hatch.linewidth": 0.5,
}
HATCH: dict[str, Any] = {"facecolor": "none", "edgecolor": GREY, "hatch": "////"}
WIDTH = 7.0  # inches: the width of the book's column
# Where a label may stand beside its point, in points: where it is read best first.
BESIDE: tuple[dict[str, Any], ...] = (
    {"position": (4, 4), "ha": "left", "va": "baseline"},
    {"position": (4, -4), "ha": "left", "va": "top"},
    {"position": (-4, 4), "ha": "right", "va": "baseline"},
    {"position": (-4, -4), "ha": "right", "va": "top"},
    {"position": (0, 6), "ha": "center", "va": "baseline"},
    {"position": (0, -6), "ha": "center", "va": "top"},
)
SIGNS = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"}


def visible(piece: str) -> str:
    """A token as a label: a space as ·, a newline as ⏎, other invisible signs escaped."""

    def sign(c: str) -> str:
        return c if c.isprintable() else c.encode("unicode_escape").decode()

    return "".join(SIGNS.get(c) or sign(c) for c in piece)


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function under the book's look; matplotlib's settings stay."""

    @functools.wraps(draw)
    def draw_styled(*args: P.args, **kwargs: P.kwargs) -> R:
        with drawing(LOOK):
            return draw(*args, **kwargs)

    return draw_styled


def start(
    height: float, *shape: int, width: float = WIDTH, **options: Any
) -> tuple["Figure", Any]:
    """A figure as wide as the column and `height` inches high, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(*shape, **options)
    for axes in figure.axes:
        axes.xaxis.label.set_wrap(True)
    return figure, grid


def ink() -> "Colormap":
    """From nothing at all to full blue: what is near zero lets the page through."""
    from matplotlib.colors import ListedColormap, to_rgb

    alphas = np.linspace(0, 1, 256) ** 0.7
    return ListedColormap([(*to_rgb(BLUE), alpha) for alpha in alphas.tolist()])


def scale_log(axes: "Axes", scale: str) -> None:
    """Make the values' axis logarithmic, ticked at 1, 2 and 5, in plain numbers."""
    from matplotlib.ticker import LogLocator

    if scale != "log":
        raise ValueError(f"scale must be 'linear' or 'log', not {scale!r}")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def shade_below(axes: "Axes", floor: float) -> None:
    """Hatch the ground below `floor`: no model can be there."""
    lowest, top = axes.get_ylim()
    if axes.get_yscale() == "log":
        if floor <= 0:
            raise ValueError(f"a floor of {floor} has no place on a logarithmic axis")
        bottom = floor * (floor / top) ** 0.12
    else:
        bottom = max(0.0, floor - 0.12 * (top - floor))
    bottom = min(bottom, lowest)  # an estimate may fall below the floor by chance
    axes.set_ylim(bottom, top)
    axes.axhspan(bottom, floor, linewidth=0, **HATCH)
    axes.axhline(floor, color=GREY, linewidth=1)


def lay_bars(axes: "Axes", names: Sequence[str], **text: Any) -> None:
    """Name horizontal bars from the top down, and leave room for the values after them."""
    axes.set_yticks(range(len(names)), names, **text)
    axes.set_ylim(len(names) - 0.4, -0.6)
    left, right = axes.get_xlim()
    axes.set_xlim(1.1 * min(0, left), 1.1 * right)
    axes.tick_params(axis="y", length=0)


def label_ends(axes: "Axes", ends: Sequence[tuple[str, float, float, str]]) -> None:
    """Write names right of the axes, apart, each tied to its end by a line in its
    colour.

    The name of a curve that ends well inside the axes stands where it ends. `ends`
    holds (name, x, y, colour) each; call it when the limits are set.
    """
    left, right = axes.get_xlim()
    early = [end for end in ends if end[1] < right - 0.1 * (right - left)]
    beside: Any = {"textcoords": "offset points", "va": "center"}
    for name, x, y, colour in early:
        axes.annotate(name, (x, y), (8, 0), color=colour, **beside)
    ends = [end for end in ends if end not in early]
    to_axes = axes.transData + axes.transAxes.inverted()
    heights = [to_axes.transform((x, y))[1] for _, x, y, _ in ends]
    places = inside(spread(heights, GAP), GAP)
    for (name, x, y, colour), height in zip(ends, places, strict=True):
        axes.annotate(
            name,
            xy=(x, y),
            xytext=(1.05, height),
            textcoords="axes fraction",
            verticalalignment="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1,
                "relpos": (0, 0.5),  # to the name's left edge, past no other name
                "shrinkA": 2,
                "shrinkB": 0,
            },
        )


def inside(values: Sequence[float], gap: float) -> list[float]:
    """Values that are `gap` apart, moved into [0, 1] where they leave it and fit: beyond
    the axes a name would come to lie on other words.
    """
    order, last = np.argsort(values, kind="stable"), len(values) - 1
    moved = np.array(values, dtype=float)
    for rank, i in enumerate(order):
        moved[i] = min(max(moved[i], rank * gap), 1 - (last - rank) * gap)
    return moved.tolist()


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Move values apart, in their order, until neighbours are at least `gap` apart.

    Values that get in each other's way form a cluster, and each cluster keeps its mean.
    """
    order = np.argsort(values, kind="stable")
    clusters: list[list[float]] = []
    for i in order:
        clusters.append([values[i]])
        while len(clusters) > 1 and (
            _reach(clusters[-1], gap)[0] - _reach(clusters[-2], gap)[1] < gap
        ):
            last = clusters.pop()
            clusters[-1] += last
    moved = np.empty(len(order))
    moved[order] = [x for c in clusters for x in np.linspace(*_reach(c, gap), len(c))]
    return moved.tolist()


def _reach(cluster: Sequence[float], gap: float) -> tuple[float, float]:
    """Where a cluster begins and ends when its members stand `gap` apart."""
    centre, half = sum(cluster) / len(cluster), (len(cluster) - 1) * gap / 2
    return centre - half, centre + half


def label_points(
    figure: "Figure", axes: "Axes", points: Iterable[Any], labels: Sequence[str]
) -> None:
    """Write a label beside each point, where it lies on no other label and, if it can,
    on no point and inside the axes. Where all places are taken, it is left out.
    """
    figure.draw_without_rendering()  # from here on, places in the figure are known
    points = np.asarray(list(points), dtype=float)
    dots = axes.transData.transform(points)
    taken: list[Any] = []
    for point, label in zip(points.tolist(), labels, strict=True):
        text = axes.annotate(
            visible(label),
            point,
            (0, 0),
            textcoords="offset points",
            family="monospace",
            fontsize=10,
        )
        free = []
        for i, place in enumerate(BESIDE):
            text.set(**place)
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken):
                outside = not all(map(axes.bbox.contains, *box.corners().T))
                free.append((box.padded(2).count_contains(dots) + outside, i, box))
        if free:
            _, i, box = min(free, key=lambda found: found[:2])
            text.set(**BESIDE[i])
            taken.append(box)
        else:
            text.remove()
