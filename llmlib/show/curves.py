"""The curve of a loss as a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmlib.show import look
from llmlib.show.look import COLOURS, DASHES, GREY, styled
from llmlib.show.picture import Picture


@styled
def plot_losses(
    curves: Mapping[str, Sequence[Any]],
    *,
    alt: str,
    floor: float | None = None,
    baselines: Mapping[str, float] | None = None,
    x: str = "step",
    unit: str | None = None,
    scale: str = "linear",
) -> Picture:
    """Draw losses against steps (or seconds: say so in `x`), labelled where they end.

    A curve is a list of (x, value) pairs, or a run's `StepLog`s: then its training losses
    and, with a dot at each, its validation losses. `baselines` are level lines (n-grams,
    say); below `floor`, the exact entropy, nothing can be. `unit` names the values, which
    are drawn as they are (by default "nats per token" of StepLogs, "bits per character"
    of pairs); `scale` is "linear" or "log". Points that are not finite are left out.
    Raises ValueError where there is no curve.
    """
    lines = [line for name, curve in curves.items() for line in _lines(name, curve)]
    if not lines:
        raise ValueError("plot_losses needs at least one curve, got none")
    figure, axes = look.start(4.0)
    axes.set(xlabel=x, ylabel=unit or default_unit(curves))
    if scale != "linear":
        look.scale_log(axes, scale)
    ends = []
    for i, (name, points, marker) in enumerate(lines):
        colour, dashes = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        line = {"color": colour, "linestyle": dashes, "marker": marker, "markersize": 4}
        axes.plot(*points.T, **line, clip_on=False)
        ends.append((name, *points[-1], colour))
    right = _frame(axes, [points for _, points, _ in lines])
    for name, value in (baselines or {}).items():
        axes.axhline(value, color=GREY, linewidth=1, linestyle=(0, (2, 3)))
        ends.append((name, right, value, GREY))
    if floor is not None:
        look.shade_below(axes, floor)
        ends.append(("the floor", right, floor, GREY))
    look.label_ends(axes, ends)
    return Picture(figure, alt)


def default_unit(curves: Mapping[str, Sequence[Any]]) -> str:
    """What losses are most likely measured in: those of a run's logs surely are."""
    runs = any(hasattr(curve[0], "val_loss") for curve in curves.values())
    return "nats per token" if runs else "bits per character"


def _lines(name: str, curve: Sequence[Any]) -> list[tuple[str, np.ndarray, str | None]]:
    """The lines that one entry of `curves` stands for: name, points (n, 2), marker."""
    if not len(curve):
        raise ValueError(f"the curve {name!r} has no points")
    if not hasattr(curve[0], "val_loss"):
        return [(name, _finite(name, curve), None)]
    train = [(log.step, log.loss) for log in curve]
    val = [(log.step, log.val_loss) for log in curve if log.val_loss is not None]
    if not val:
        return [(name, _finite(name, train), None)]
    return [
        (f"{name}, training", _finite(name, train), None),
        (f"{name}, validation", _finite(name, val), "o"),
    ]


def _finite(name: str, curve: Sequence[Any]) -> np.ndarray:
    """The points (n, 2) that can be drawn, as in a LossCurve."""
    points = np.asarray(curve, dtype=float).reshape(-1, 2)
    finite = points[np.isfinite(points).all(axis=1)]
    if not len(finite):
        raise ValueError(f"the curve {name!r} has no points that are finite")
    return finite


def _frame(axes: Any, curves: list[np.ndarray]) -> float:
    """Let the axes begin and end with the curves; returns where that is on the right."""
    places = np.concatenate([points[:, 0] for points in curves])
    axes.locator_params(axis="x", integer=(places % 1 == 0).all())
    if places.min() < places.max():
        axes.set_xlim(places.min(), places.max())
    return places.max()
