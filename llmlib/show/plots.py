"""The book's figures: each function draws one kind and returns it as a `Picture`.

`alt` says in words what the picture shows, for a reader who does not see it.
Shapes: T time, H heads, N vectors, C channels, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from llmlib.inside.embeddings import principal_plane
from llmlib.show import look
from llmlib.show.grids import draw_maps
from llmlib.show.look import BLUE, DASHES, GREY, styled, visible
from llmlib.show.narrow import FITS, NARROW
from llmlib.show.picture import Picture, TintedText

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def plot_bars(
    values: Mapping[str, float | Sequence[float]],
    *,
    alt: str,
    unit: str,
    floor: float | None = None,
    digits: int = 3,
) -> Picture:
    """Draw one bar an entry; of a list (runs over seeds) the mean, with a dot each run.

    `unit` names the values and `digits` are their decimals; `floor`, if any, is a line
    that they cannot cross.
    """
    if not values:
        raise ValueError("plot_bars needs at least one value, got none")
    runs = [np.atleast_1d(np.asarray(value, dtype=float)) for value in values.values()]
    means = [run.mean() for run in runs]
    figure, axes = look.start(0.8 + 0.42 * len(runs))
    axes.barh(range(len(runs)), means, height=0.6, color=BLUE, alpha=0.55)
    for row, (run, mean) in enumerate(zip(runs, means, strict=True)):
        if len(run) > 1:
            axes.plot(run, np.full(len(run), row), "o", color=BLUE, markersize=4.5)
        end, beside = (max(run.max(), 0), row), {"textcoords": "offset points"}
        # Beside a dot, a bare number would be taken for that dot's.
        what = "mean " if len(run) > 1 else ""
        axes.annotate(f"{what}{mean:.{digits}f}", end, (8, 0), va="center", **beside)
    if floor is not None:
        axes.axvline(floor, color=GREY, linewidth=1, linestyle=DASHES[1])
        text = f" the floor, {floor:.{digits}f}"
        axes.text(floor, 1, text, transform=axes.get_xaxis_transform())
    axes.set_xlabel(unit)
    look.lay_bars(axes, list(values))
    return Picture(figure, alt)


@styled
def plot_next_tokens(
    probabilities: Float[Any, " V"],
    tokens: Any,
    top: int = 12,
    *,
    alt: str,
    what: str = "next token",
) -> Picture:
    """Draw the `top` likeliest next tokens, and what all the others have together.

    `probabilities` sum to one; `tokens` is the tokenizer, or the V pieces of text;
    `what` names them.
    """
    chances = np.asarray(probabilities, dtype=float)
    if chances.ndim != 1 or top < 1:
        raise ValueError(
            f"needs probabilities of shape (V,) and top >= 1, "
            f"got shape {chances.shape} and top {top}"
        )
    best = np.argsort(-chances, kind="stable")[:top]
    decoded = hasattr(tokens, "decode")
    names = [
        visible(tokens.decode([i]) if decoded else tokens[i]) for i in best.tolist()
    ]
    lengths = chances[best].tolist()
    rest = len(chances) - len(best)
    if rest:
        names.append(f"{rest:,} others")
        lengths.append(max(0.0, 1 - sum(lengths)))
    figure, axes = look.start(0.7 + 0.28 * len(names))
    bars = axes.barh(range(len(names)), lengths, height=0.72, color=BLUE)
    if rest:
        bars[-1].set(linewidth=0.7, **look.HATCH)
    shares = [f"{length:.1%}" for length in lengths]
    axes.bar_label(bars, shares, padding=4, fontsize=10)
    axes.set(xlabel="probability", ylabel=what)
    look.lay_bars(axes, names, family="monospace")
    return Picture(figure, alt)


@styled
def plot_attention(
    weights: Float[Any, "*H T T"],
    tokens: Sequence[str],
    *,
    alt: str,
    reads: str = "token that reads (query)",
    is_read: str = "token that is read (key)",
    unit: str = "weight",
) -> Picture:
    """Draw attention weights, one map a head: row q, column k is what q takes from k.

    `weights` is (T, T) or (H, T, T), numbers from 0 to 1; `tokens` are T texts. `reads`,
    `is_read` and `unit` name axes and numbers, for other tables of tokens by tokens.
    """
    maps, T = np.asarray(weights, dtype=float), len(tokens)
    if maps.ndim not in (2, 3) or maps.shape[-2:] != (T, T):
        raise ValueError(
            f"weights of shape {maps.shape} do not fit {T} tokens; "
            f"allowed: ({T}, {T}) or (H, {T}, {T})"
        )
    drawing = maps.reshape(-1, T, T), [visible(token) for token in tokens]
    wide, narrow = (
        draw_maps(*drawing, (reads, is_read, unit), width)
        for width in (look.WIDTH, NARROW)
    )
    return Picture(wide, alt, narrow if wide.get_figwidth() > FITS else None)


@styled
def plot_embedding(
    vectors: Float[Any, "N C"], labels: Sequence[str], *, alt: str
) -> Picture:
    """Draw vectors in the plane of their first two principal components (Pearson, 1901).

    Labels that would lie on another are left out; their dots stay. Needs N, C >= 2.
    """
    points = np.asarray(vectors, dtype=float)
    if points.ndim != 2 or min(points.shape) < 2 or len(points) != len(labels):
        raise ValueError(
            f"{len(labels)} labels do not fit vectors of shape {points.shape}; "
            f"allowed: (N, C) with N labels, both at least 2"
        )
    plane, (first, second) = principal_plane(points)
    names = (
        f"first component ({first:.0%} of the variance)",
        f"second component ({second:.0%} of the variance)",
    )
    drawing = plane, labels, names
    wide, narrow = (_draw_points(*drawing, width) for width in (look.WIDTH, NARROW))
    return Picture(wide, alt, narrow)


def _draw_points(
    plane: Float[Any, "N 2"],
    labels: Sequence[str],
    names: tuple[str, str],
    width: float,
) -> "Figure":
    """The figure of `plot_embedding`, `width` inches wide."""
    figure, axes = look.start(5.6, width=width)
    axes.plot(*plane.T, "o", color=BLUE, markersize=4, alpha=0.7)
    axes.set(xlabel=names[0], ylabel=names[1])
    axes.margins(0.8 / width, 0.08)  # room for a word at either side
    look.label_points(figure, axes, plane, labels)
    return figure


def plot_surprisal(
    pieces: Sequence[str],
    bits: Sequence[float],
    *,
    alt: str,
    most: float = 8.0,
    what: str = "bits",
) -> TintedText:
    """Show a text, each piece in ink as deep as the bits it cost, `most` being full.

    Point at a piece to read its bits. There are as many `bits` as `pieces`; `what` names
    them where they are something else.
    """
    return TintedText(tuple(pieces), tuple(map(float, bits)), alt, most, what)
