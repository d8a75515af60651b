"""A table of shares as a map: the darker, the more."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from llmlib.show import look
from llmlib.show.look import styled
from llmlib.show.picture import Picture


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
    """Draw a table of numbers from 0 to 1, each in its field in hundredths.

    Raises ValueError where the names do not fit the table.
    """
    table = np.asarray(shares, dtype=float)
    if table.shape != (len(rows), len(columns)):
        raise ValueError(
            f"a table of shape {table.shape} has no {len(rows)} rows "
            f"and {len(columns)} columns"
        )
    figure, axes = look.start(1 + 0.33 * len(rows))
    axes.imshow(table, look.ink(), vmin=0, vmax=1, interpolation="none", aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for r, c in np.ndindex(*table.shape):
        axes.text(c, r, f"{100 * table[r, c]:.0f}", ha="center", va="center")
    return Picture(figure, alt)
