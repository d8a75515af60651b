"""Tables of shares as maps: the darker, the more."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from llmlib.show import look
from llmlib.show.look import GREY, styled
from llmlib.show.narrow import FITS
from llmlib.show.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTER = 0.6 / 72  # inches that a letter of monospace is wide, a point of its size

# The ink goes up to 2 and the numbers to 1: on half of the ink, letters in the colour of
# a light page's text and of a dark page's both stand out.
FULL = 2


@styled
def plot_grid(
    shares: Float[Any, "R C"],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    alt: str,
    x: str = "",
    y: str = "",
) -> Picture:
    """Draw a table of numbers from 0 to 1, each in its field in hundredths; of a table of
    True and False, a cross where it is True.

    Raises ValueError where the names do not fit the table.
    """
    table = np.asarray(shares)
    if table.shape != (len(rows), len(columns)):
        raise ValueError(
            f"a table of shape {table.shape} has no {len(rows)} rows "
            f"and {len(columns)} columns"
        )
    figure, axes = look.start(1 + 0.33 * len(rows))
    axes.imshow(
        table.astype(float),
        look.ink(),
        vmin=0,
        vmax=FULL,
        interpolation="none",
        aspect="auto",
    )
    room = max(1, 40 // len(columns))  # letters that a phone has for a column's name
    names = [textwrap.fill(name, room, break_long_words=False) for name in columns]
    axes.set_xticks(range(len(columns)), names)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for r, c in np.ndindex(*table.shape):
        number = f"{100 * table[r, c]:.0f}"
        mark = number if table.dtype != bool else "×" if table[r, c] else "·"
        axes.text(c, r, mark, ha="center", va="center")
    return Picture(figure, alt)


def draw_maps(
    maps: Float[Any, "H T T"],
    labels: Sequence[str],
    names: tuple[str, str, str],
    width: float,
) -> "Figure":
    """The figure of `plot_attention`, at most `width` inches wide; `names` are those of
    rows, columns and numbers.
    """
    (H, T, _), phone = maps.shape, width < FITS
    words = min(10 * LETTER * max(map(len, labels)), 2.0)  # inches
    columns = min(H, 3 if T <= 6 and not phone else 2 if T <= 20 else 1)
    rows, margin = -(-H // columns), words + (0.6 if phone else 1.5)
    cell = min(max(0.4, words + 0.1), 0.7)  # what a token would like
    side = min((width - margin) / columns - 0.1, T * cell, 4.2 if T <= 20 else 5.0)
    height = rows * (side + 0.35) + 0.5 + words + 0.7 * phone
    full = max(columns * (side + 0.1) + margin, 3.4)
    shape = {"sharex": True, "sharey": True, "squeeze": False, "width": full}
    figure, grid = look.start(max(height, 2.4), rows, columns, **shape)
    for axes in grid.flat[H:]:
        axes.set_axis_off()
    for head, axes in enumerate(grid.flat[:H]):
        image = axes.imshow(
            maps[head], look.ink(), vmin=0, vmax=1, interpolation="none"
        )
        _name_tokens(axes, labels, side)
        if H > 1:
            axes.set_title(f"head {head}")
    if H > 1:
        figure.supylabel(names[0], fontsize=11)
        figure.supxlabel(names[1], fontsize=11)
    else:
        axes.set(ylabel=names[0], xlabel=names[1])
    place: dict[str, Any] = {"location": "top" if phone else "right", "aspect": 30}
    scale = figure.colorbar(image, ax=grid, label=names[2], shrink=0.8, **place)
    scale.outline.set_visible(False)
    return figure


def _name_tokens(axes: "Axes", labels: Sequence[str], side: float) -> None:
    """Frame a map of `side` inches, and write the tokens at its rows and columns: those
    that are too long for a column upright, or all where that is more than a few.
    """
    room = side / len(labels)  # inches for one label; below 6 points, some are left out
    long = [10 * LETTER * len(label) + 0.04 > room for label in labels]
    few = sum(long) <= len(long) / 4
    places = range(0, len(labels), 1 + int(6 / (72 * room)))
    shown = [labels[place] for place in places]
    axes.set_xticks(places, shown, family="monospace")
    axes.set_yticks(places, shown, family="monospace")
    # Inside a grid of maps the axes are shared, and have no labels.
    for place, text in zip(places, axes.get_xticklabels(), strict=False):
        text.set_rotation(90 if long[place] or not few else 0)
    axes.tick_params(length=0, labelsize=min(10, max(6, 0.85 * 72 * room)))
    axes.spines[:].set(visible=True, color=GREY, linewidth=0.5)
