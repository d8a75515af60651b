"""Drawings of a model, made from its config, so that they cannot differ from what runs."""

from typing import TYPE_CHECKING

from llmlib.model.config import GPTConfig
from llmlib.model.size import size_report
from llmlib.show import look
from llmlib.show.look import BLUE, GREY, VERMILION, styled
from llmlib.show.narrow import NARROW
from llmlib.show.picture import Picture, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STREAM, PARTS, SHAPE, COUNT = 0.22, 0.48, 0.8, 1.0  # columns across the drawing
BOX = {"boxstyle": "round,pad=0.4", "facecolor": "none", "linewidth": 1.2}


@styled
def plot_model(config: GPTConfig, *, alt: str) -> Picture:
    """Draw the path from ids to logits: the residual stream, and the parts beside it.

    Each part is followed by the shape of what it gives for T tokens, and by how many
    parameters it has; the parts of a block by those of one block, their norms' first.
    """
    wide = _draw_model(config, look.WIDTH)
    with drawing({"font.size": 9}):
        return Picture(wide, alt, _draw_model(config, NARROW))


def _draw_model(config: GPTConfig, width: float) -> "Figure":
    """The figure of `plot_model`, `width` inches wide."""
    sizes = {part.part: part.parameters for part in size_report(config).parts}
    layers, extra = config.n_layer, int(config.embedding_norm)
    norm = sizes.get("norms", 0) // (2 * layers + 1 + extra)
    embedding = sizes["token embedding"] + extra * norm
    for part in ("n-gram embedding", "position embedding", "smear"):
        embedding += sizes.get(part, 0)
    head = sizes.get("output head") or "shared"
    shape, logits = f"T × {config.n_embd}", f"T × {config.vocab_size}"
    figure, axes = look.start(5.2, width=width)
    axes.set(xlim=(0, 1), ylim=(0, 11.4))
    axes.set_axis_off()
    stops: list[tuple[float, str, str, int | str]] = [
        (0.5, "token ids", "T", ""),
        (1.9, "embedding", shape, embedding),
        (7.9, "norm", shape, norm),
        (9.2, "output head", logits, head),
        (10.5, "logits", logits, ""),
    ]
    for (y, name, form, count), below in zip(stops, [None, *stops], strict=False):
        axes.text(
            STREAM, y, name, ha="center", va="center", bbox={**BOX, "edgecolor": BLUE}
        )
        _note(axes, y, form, count)
        if below is not None:
            _arrow(axes, (STREAM, below[0] + 0.42), (STREAM, y - 0.42), BLUE, 2.5)
    for y, part in ((3.3, "attention"), (5.4, "feed-forward")):
        counts = f"{norm:,} +\n{sizes[part] // layers:,}"
        _branch(axes, y, f"norm → {part}", shape, counts)
    _frame(axes, 2.75, 7.15, f"{layers} ×")
    _note(axes, 11.2, "shape", "parameters")
    return figure


def _branch(axes: "Axes", y: float, name: str, shape: str, counts: str) -> None:
    """A part that reads the stream at y and adds to it, above, what it makes."""
    axes.text(
        PARTS,
        y + 0.7,
        name,
        ha="center",
        va="center",
        bbox={**BOX, "edgecolor": VERMILION},
    )
    axes.plot([STREAM, PARTS], [y, y], color=VERMILION, linewidth=1.2)
    _arrow(axes, (PARTS, y), (PARTS, y + 0.3), VERMILION, 1.2)
    axes.plot([PARTS, PARTS], [y + 1.1, y + 1.4], color=VERMILION, linewidth=1.2)
    _arrow(axes, (PARTS, y + 1.4), (STREAM, y + 1.4), VERMILION, 1.2)
    axes.text(STREAM - 0.03, y + 1.4, "+", ha="center", va="center", fontsize=15)
    _note(axes, y + 0.7, shape, counts)


def _arrow(
    axes: "Axes",
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    width: float,
) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": width}
    axes.annotate("", end, start, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def _frame(axes: "Axes", bottom: float, top: float, name: str) -> None:
    """A dashed frame around what is repeated."""
    from matplotlib.patches import Rectangle

    place, size = (0.11, bottom), (0.55, top - bottom)
    axes.add_patch(Rectangle(place, *size, fill=False, edgecolor=GREY, linestyle="--"))
    axes.text(0.09, (bottom + top) / 2, name, ha="right", va="center", fontsize=14)


def _note(axes: "Axes", y: float, shape: str, count: int | str) -> None:
    """Right of a part: the shape of what it gives, and how many parameters it has."""
    axes.text(SHAPE, y, shape, ha="right", va="center")
    text = f"{count:,}" if isinstance(count, int) else count
    axes.text(COUNT, y, text, ha="right", va="center")
