"""The same figure once more for a phone, where a drawing as wide as the book's column
would shrink to letters of six pixels.
"""

import warnings
from copy import deepcopy
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

NARROW = 4.2  # inches: little more than a phone is wide
FITS = 5.0  # inches: up to here one drawing does for all pages
# The page shows one of the two; where its style is lost, the wide one.
SWITCH = (
    '<div style="container-type:inline-size"><style>@container (max-width: 480px) {{'
    " .llmlib-wide {{ display: none !important }}"
    " .llmlib-narrow {{ display: block !important }} }}</style>"
    '<div class="llmlib-wide">{wide}</div>'
    '<div class="llmlib-narrow" style="display:none">{narrow}</div></div>'
)


def narrowed(figure: "Figure") -> "Figure | None":
    """A copy of a figure that has been drawn, as wide as a phone and laid out anew, with
    its panels side by side or, where there is no room for that, in more rows. None where
    it fits as it is, or where words would be cut or lie on one another.
    """
    if figure.get_figwidth() <= FITS:
        return None
    panels, allowed = _panels_in_a_row(figure), _faults(figure)
    for columns in sorted({panels, -(-panels // 2), 1}, reverse=True):
        copy = deepcopy(figure)
        copy.set_figwidth(NARROW)
        if columns < panels:
            _wrap(copy, columns)
        if has_room(copy) and _faults(copy) <= allowed:
            copy.set_layout_engine("none")  # it is laid out
            return copy
    return None


def _panels_in_a_row(figure: "Figure") -> int:
    """How many panels a figure has that is one row of them; any other counts as one."""
    places = [axes.get_subplotspec() for axes in figure.axes]
    shapes = {place.get_gridspec().get_geometry() for place in places if place}
    return len(places) if shapes == {(1, len(places))} else 1


def _wrap(figure: "Figure", columns: int) -> None:
    """Lay a row of panels in rows of so many columns. What stood left of the first panel
    stands left of each row.
    """
    from matplotlib.gridspec import GridSpec

    first, rows = figure.axes[0], -(-len(figure.axes) // columns)
    grid = GridSpec(rows, columns, figure)
    for i, axes in enumerate(figure.axes):
        axes.set_subplotspec(grid[divmod(i, columns)])
        if i % columns == 0:
            axes.tick_params(labelleft=True)
            axes.set_ylabel(axes.get_ylabel() or first.get_ylabel())
    figure.set_figheight(rows * figure.get_figheight())
    figure.set_layout_engine("constrained", hspace=0.1)  # a row's titles stand apart


def has_room(figure: "Figure") -> bool:
    """Lay the figure out; False where its names leave no room for what they name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="constrained_layout not applied")
        try:
            figure.draw_without_rendering()
        except UserWarning:
            return False
    return True


def _faults(figure: "Figure") -> int:
    """How many pairs of words lie on each other, and how many words are cut."""
    boxes = [
        (text.get_bbox_patch() or text).get_window_extent() for text in _texts(figure)
    ]
    page = figure.bbox.padded(2)
    cut = sum(
        box.x0 < page.x0 or box.x1 > page.x1 or box.y0 < page.y0 or box.y1 > page.y1
        for box in boxes
    )
    return cut + sum(a.overlaps(b) for a, b in combinations(boxes, 2))


def _texts(figure: "Figure") -> list["Text"]:
    """What is written in the figure; the labels of ticks outside the axes are not."""
    from matplotlib.axis import Tick
    from matplotlib.text import Text

    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.findobj(Tick):
                if not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
        if not axes.axison:
            hidden |= {*axes.xaxis.findobj(Text), *axes.yaxis.findobj(Text)}
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in hidden
    ]
