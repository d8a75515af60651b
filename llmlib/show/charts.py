"""Widgets that need no model in the page: a map of embeddings, and the curve of a loss.

Shapes: N tokens, C channels.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import traitlets as t
from jaxtyping import Float

from llmlib.inside.embeddings import principal_plane
from llmlib.model.gpt import GPT
from llmlib.show.curves import default_unit, plot_losses
from llmlib.show.export import opened
from llmlib.show.live import Live, table
from llmlib.show.look import visible
from llmlib.show.plots import plot_embedding
from llmlib.text.tokenizers import Tokenizer

SHOWN = 160  # tokens on a map, unless they are named
NEIGHBOURS = 6
POINTS = 400  # of a curve: more than a screen can tell apart


class EmbeddingMap(Live):
    """Token embeddings in the plane of their first two principal components, and the
    nearest neighbours of each: by cosine, over all channels, among those on the map.

    `model` is a GPT with its `tokenizer`, or the name or folder of a saved one, or
    several of either by name, such as ``{"before": ..., "after": ...}``. `tokens` are
    the texts of single tokens; by default the first words of the vocabulary. Raises
    TypeError as Playground does, ValueError for fewer than three tokens and for a text
    that is not one token.
    """

    view = "embedding_map"
    labels: Any = t.List().tag(sync=True)
    stages: Any = t.List().tag(sync=True)  # {name, points, shares, neighbours}

    def __init__(
        self,
        model: GPT | str | Path | Mapping[str, GPT | str | Path] = "stories",
        tokenizer: Tokenizer | None = None,
        tokens: Sequence[str] | None = None,
        *,
        title: str = "",
    ) -> None:
        models = model if isinstance(model, Mapping) else {"": model}
        pairs = {name: opened(each, tokenizer) for name, each in models.items()}
        _, speller = list(pairs.values())[-1]
        ids = _choose(speller, tokens)
        labels = [visible(speller.decode([i])) for i in ids]
        vectors = {
            name: gpt.embed_tokens.weight.detach().float().cpu()[ids].numpy()
            for name, (gpt, _) in pairs.items()
        }
        stages = [{"name": name, **_stage(table)} for name, table in vectors.items()]
        alt = f"Map of {len(ids)} token embeddings: {', '.join(labels[:8])}, ..."
        picture = plot_embedding(list(vectors.values())[-1], labels, alt=alt)
        near = stages[-1]["neighbours"]
        rows = [
            [label, ", ".join(f"{labels[j]} {cosine:.2f}" for j, cosine in near[i][:3])]
            for i, label in enumerate(labels[:5])
        ]
        stored = picture.to_html() + table(["token", "nearest, by cosine"], rows)
        super().__init__(stored, title=title, labels=labels, stages=stages)


class LossCurve(Live):
    """Losses against steps over the exact floor, with the text of each moment.

    `curves` are lists of (x, value), or a run's `StepLog`s: of these it draws the
    training losses only, where `plot_losses` draws the validation losses too.
    `baselines` are level lines, `samples` what a run wrote at a step: (step, text) by
    the name of its curve, for the time machine under the picture. `unit` names the
    values, by default as in `plot_losses`; `scale` is "linear" or "log". Points that are
    not finite are left out. Raises ValueError where there is no curve.
    """

    view = "loss_curve"
    curves: Any = t.List().tag(sync=True)  # {name, points}
    floor = t.Float(None, allow_none=True).tag(sync=True)
    baselines = t.Dict().tag(sync=True)
    samples = t.Dict().tag(sync=True)
    scale = t.Unicode().tag(sync=True)
    x = t.Unicode().tag(sync=True)
    unit = t.Unicode().tag(sync=True)

    def __init__(
        self,
        curves: Mapping[str, Sequence[Any]],
        *,
        floor: float | None = None,
        baselines: Mapping[str, float] | None = None,
        samples: Mapping[str, Sequence[tuple[int, str]]] | None = None,
        x: str = "step",
        unit: str | None = None,
        scale: str = "linear",
        title: str = "",
    ) -> None:
        lines = {name: _line(curve) for name, curve in curves.items()}
        if not lines or not all(lines.values()):
            raise ValueError("LossCurve needs a curve, and a finite point in each")
        told = {name: sorted(texts) for name, texts in (samples or {}).items() if texts}
        if others := told.keys() - lines.keys():
            raise ValueError(f"samples of {sorted(others)}, curves of {sorted(lines)}")
        unit = unit or default_unit(curves)
        floor = None if floor is None else float(floor)
        levels = {name: float(y) for name, y in (baselines or {}).items()}
        picture = plot_losses(
            lines,
            alt=_describe(lines, unit),
            floor=floor,
            baselines=levels,
            x=x,
            unit=unit,
            scale=scale,
        )
        rows = [
            [f"{name}, {x} {step:g}", text]
            for name, texts in told.items()
            for step, text in texts[:: max(1, len(texts) - 1)]
        ]
        super().__init__(
            picture.to_html() + (table(["at", "what it wrote"], rows) if rows else ""),
            title=title,
            curves=[{"name": name, "points": points} for name, points in lines.items()],
            floor=floor,
            baselines=levels,
            samples={
                name: [[float(step), text] for step, text in texts]
                for name, texts in told.items()
            },
            scale=scale,
            x=x,
            unit=unit,
        )


def _stage(vectors: Float[Any, "N C"]) -> dict[str, Any]:
    """One map: places, shares of the variance, and of each token its neighbours."""
    plane, shares = principal_plane(vectors)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, 1e-30)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEIGHBOURS]
    return {
        "points": np.round(plane, 4).tolist(),
        "shares": [round(share, 3) for share in shares],
        "neighbours": [
            [[j, round(float(cosines[i, j]), 2) + 0.0] for j in row if j != i]
            for i, row in enumerate(nearest.tolist())
        ],
    }


def _choose(tokenizer: Tokenizer, tokens: Sequence[str] | None) -> list[int]:
    """The ids of the named tokens, or of the first words that are single tokens."""
    if tokens is None:
        texts = [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]
        words = [i for i, text in enumerate(texts) if _is_word(text)]
        letters = [i for i, text in enumerate(texts) if text.isprintable()]
        ids = (words if len(words) >= 20 else letters)[:SHOWN]
    else:
        each = [tokenizer.encode(token) for token in tokens]
        for token, encoded in zip(tokens, each, strict=True):
            if len(encoded) != 1:
                raise ValueError(f"{token!r} is {len(encoded)} tokens, not one")
        ids = [encoded[0] for encoded in each]
    if len(ids) < 3:
        raise ValueError(f"a map needs at least 3 tokens, not {len(ids)}")
    return ids


def _is_word(text: str) -> bool:
    return text[:1] == " " and len(text) > 3 and text[1:].isalpha()


def _line(curve: Sequence[Any]) -> list[list[float]]:
    """The finite points of a curve, at most POINTS of them, the last one kept."""
    points = [(p.step, p.loss) if hasattr(p, "loss") else p for p in curve]
    finite = [[float(x), float(y)] for x, y in points if math.isfinite(float(y))]
    step = -(-len(finite) // POINTS) or 1
    return finite[::-1][::step][::-1]


def _describe(lines: Mapping[str, Sequence[Sequence[float]]], unit: str) -> str:
    """A sentence for who does not see the picture."""
    parts = [
        f"{name} goes from {line[0][1]:.3g} to {line[-1][1]:.3g}"
        for name, line in lines.items()
    ]
    return f"Curves in {unit}: {'; '.join(parts)}."
