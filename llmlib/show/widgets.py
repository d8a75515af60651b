"""The book's widgets: alive in a notebook, on a published page, and readable without
either.

Each computes its stored result here, from the very numbers that its view gets.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import traitlets as t

from llmlib.generation.sampling import Sampling
from llmlib.generation.streams import stop_strings
from llmlib.inside.heads import check_head
from llmlib.model.gpt import GPT
from llmlib.show.charts import EmbeddingMap, LossCurve
from llmlib.show.export import export, page_model
from llmlib.show.live import Live, escape, table
from llmlib.show.look import visible
from llmlib.show.picture import TintedText
from llmlib.show.written import most_attended, write_tokens
from llmlib.text.tokenizers import Tokenizer

__all__ = [
    "AttentionExplorer",
    "EmbeddingMap",
    "LossCurve",
    "Playground",
    "TokenizerExplorer",
]

SAMPLING = Sampling(temperature=0.8, seed=1)
MOST_BITS = 8.0  # a token of so many bits has the full tint
SMALL = 20_000  # bytes of a tokenizer's file that may lie in the page itself


class Playground(Live):
    """A model that writes on from a prompt while the reader moves the sliders.

    Each token is tinted by its surprisal, and bars show what could have come instead.
    `model` is a GPT with its `tokenizer`, or the name or folder of a saved model. What
    is stored is the text for the given `sampling`; a seed of None draws one. Writing
    ends at a `stop` string.

    Raises TypeError for another model than a GPT and where a tokenizer is missing, or
    there is one too many; ValueError as load_model and `write` do.
    """

    view = "playground"
    model_name = t.Unicode().tag(sync=True)
    prompt = t.Unicode().tag(sync=True)
    sampling = t.Dict().tag(sync=True)
    max_new_tokens = t.Int().tag(sync=True)
    stop: Any = t.List().tag(sync=True)
    written: Any = t.List().tag(sync=True)  # [id, text, bits] of each token

    def __init__(
        self,
        model: GPT | str | Path = "stories",
        tokenizer: Tokenizer | None = None,
        *,
        prompt: str = "",
        sampling: Sampling = SAMPLING,
        max_new_tokens: int = 120,
        stop: str | Sequence[str] = (),
        title: str = "",
    ) -> None:
        stops = stop_strings(stop)
        self._page = page = page_model(model, tokenizer)
        sampling = sampling.seeded()
        tokens = write_tokens(
            page.model, page.tokenizer, prompt, max_new_tokens, sampling, stops
        )
        text = TintedText(
            (prompt, *(token.text for token in tokens)),
            (0.0, *(token.bits for token in tokens)),
            f"A text that the model wrote after {prompt!r}",
            MOST_BITS,
        )
        super().__init__(
            text.to_html(),
            title=title,
            model_name=page.name,
            prompt=prompt,
            sampling=asdict(sampling) | {"seed": (sampling.seed or 0) % 2**32},
            max_new_tokens=max_new_tokens,
            stop=list(stops),
            written=[[i, piece, round(bits, 3)] for i, piece, bits in tokens],
        )

    def files(self, name: str) -> tuple[dict[str, Any], list[bytes]]:
        return self._page.message()


class AttentionExplorer(Live):
    """Where each head of a model looks, token by token, on a text the reader may change.

    `model` and `tokenizer` are as for Playground; `head` is the one that is enlarged at
    first, given as (layer, head). Follows the text of a Playground that stands on the
    same page. Raises ValueError for a head that the model does not have.
    """

    view = "attention_explorer"
    model_name = t.Unicode().tag(sync=True)
    text = t.Unicode().tag(sync=True)
    head: Any = t.List().tag(sync=True)

    def __init__(
        self,
        model: GPT | str | Path = "stories",
        tokenizer: Tokenizer | None = None,
        text: str = "Tom had a red ball. He lost it.",
        *,
        head: tuple[int, int] = (0, 0),
        title: str = "",
    ) -> None:
        self._page = page = page_model(model, tokenizer)
        check_head(page.model.config, *head)
        pieces, heads = most_attended(page.model, page.tokenizer, text)
        rows = [
            [head, *(f"{visible(piece)} {weight:.0%}" for piece, weight in best)]
            for head, best in heads.items()
        ]
        columns = ["head", "most", "second", "third"][: len(rows[0])]
        last = escape(visible(pieces[-1]))
        stored = (
            f"<p>{escape(text)}</p>{table(columns, rows)}"
            f"<p>Where each head looks from the last token, “{last}”.</p>"
        )
        at_first = {"text": text, "head": list(head)}
        super().__init__(stored, title=title, model_name=page.name, **at_first)

    def files(self, name: str) -> tuple[dict[str, Any], list[bytes]]:
        return self._page.message()


class TokenizerExplorer(Live):
    """A text, which the reader may change, as each of several tokenizers cuts it up.

    `tokenizers` are shown in their order under their names; a BPE tokenizer's merges can
    be gone through one by one. A tokenizer that cannot write the text says why.
    """

    view = "tokenizer_explorer"
    # {name, json} or, for larger ones, {name, folder}
    tokenizers: Any = t.List().tag(sync=True)
    text = t.Unicode().tag(sync=True)

    def __init__(
        self,
        tokenizers: Mapping[str, Tokenizer],
        text: str = "The fox hid the ball.",
        *,
        title: str = "",
    ) -> None:
        if not tokenizers:
            raise ValueError("TokenizerExplorer needs at least one tokenizer")
        self._files: dict[str, bytes] = {}
        rows = [_cut(name, each, text) for name, each in tokenizers.items()]
        super().__init__(
            table(["tokenizer", "tokens", "pieces"], rows),
            title=title,
            text=text,
            tokenizers=[self._add(name, each) for name, each in tokenizers.items()],
        )

    def _add(self, name: str, tokenizer: Tokenizer) -> dict[str, Any]:
        data = tokenizer.to_bytes()
        if len(data) <= SMALL:
            return {"name": name, "json": json.loads(data)}
        folder = export("tokenizer", {"tokenizer.json": data})
        self._files[folder] = data
        return {"name": name, "folder": folder}

    def files(self, name: str) -> tuple[dict[str, Any], list[bytes]] | None:
        if name not in self._files:
            return None
        tokenizer = json.loads(self._files[name])
        return {"type": "model", "name": name, "tokenizer": tokenizer}, []


def _cut(name: str, tokenizer: Tokenizer, text: str) -> list[str]:
    """A row of the stored table: name, number of tokens, the pieces between bars."""
    try:
        pieces = tokenizer.pieces(text)
    except ValueError as error:
        return [name, "", str(error)]
    return [name, str(len(pieces)), " | ".join(map(visible, pieces))]
