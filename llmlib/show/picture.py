"""A figure, or a tinted text, that belongs to the page it stands on.

A picture is inline SVG. What matplotlib draws black takes the colour of the page's text,
and nothing is painted behind it: so one picture reads on a light page and on a dark one,
and follows when the reader switches.
"""

import hashlib
import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from llmlib.show.narrow import SWITCH, has_room, narrowed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Text stays text (a search finds it, the page's font draws it), `$` is a dollar, and ids
# do not depend on the moment.
RENDERING: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "llmlib",
    "text.parse_math": False,
}
PIXELS_PER_POINT = 96 / 72
INK = "rgba(213, 94, 0, 0.42)"
PARAGRAPH = "white-space:pre-wrap; overflow-wrap:anywhere; line-height:1.9; margin:0"
CAPTION = "font-size:0.85em; margin:0.5em 0 1em"


@dataclass(frozen=True, repr=False)
class Picture:
    """A matplotlib figure, and `alt`: what it shows, for a reader who does not see it.

    On a phone the page shows `narrow` instead; without it, the figure laid out anew as
    wide as a phone, panels of one row in several where they need it, if all words stay
    whole.
    The figure is taken over: pyplot forgets it, so that a notebook shows it once.
    Raises ValueError where `alt` is empty.
    """

    figure: "Figure"
    alt: str
    narrow: "Figure | None" = None

    def __post_init__(self) -> None:
        _check_alt(self.alt)
        from matplotlib import pyplot

        pyplot.close(self.figure)

    def __repr__(self) -> str:
        return f"Picture: {self.alt}"

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.to_html()}

    def to_html(self) -> str:
        """The picture as an ``<svg>`` element, never wider than its column; where a
        phone gets another drawing, as two of which the page shows one.
        """
        wide = _render(self.figure, self.alt)
        with drawing(RENDERING):
            small = self.narrow or narrowed(self.figure)
            if small is None or (self.narrow and not has_room(small)):
                return wide
        return SWITCH.format(wide=wide, narrow=_render(small, self.alt))

    def save(self, path: str | Path) -> None:
        """Write the picture, on white, as a file: ``.png`` or ``.svg``."""
        path = Path(path)
        if path.suffix not in (".png", ".svg"):
            raise ValueError(
                f"a picture is saved as .png or .svg, not as {path.name!r}"
            )
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        with drawing(RENDERING):
            self.figure.savefig(path, dpi=150, facecolor="white", metadata=metadata)


@dataclass(frozen=True, repr=False)
class TintedText:
    """A text whose pieces stand in ink as deep as their bits; `most` bits is full height.
    `what` names other numbers than bits.

    The ink is see-through, so the words keep the page's colour; pointing at a piece reads
    its bits. Raises ValueError where pieces and bits differ in number.
    """

    pieces: tuple[str, ...]
    bits: tuple[float, ...]
    alt: str
    most: float
    what: str = "bits"

    def __post_init__(self) -> None:
        _check_alt(self.alt)
        if len(self.pieces) != len(self.bits):
            raise ValueError(
                f"one surprisal for each piece of text, "
                f"not {len(self.bits)} surprisals for {len(self.pieces)} pieces"
            )

    def __repr__(self) -> str:
        return f"Text: {self.alt}"

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.to_html()}

    def to_html(self) -> str:
        """The pieces as one paragraph, and under it what the depth of the ink means."""
        what = html.escape(self.what)
        words = "".join(
            f'<span style="{self._ink(bits)}" title="{bits:.2f} {what}">{_show(piece)}</span>'
            for piece, bits in zip(self.pieces, self.bits, strict=True)
        )
        marks = [0, self.most / 4, self.most / 2, self.most * 3 / 4, self.most]
        legend = " ".join(
            f'<span style="{self._ink(bits)}; padding:0 0.6em">{bits:g}</span>'
            for bits in marks
        )
        more = " or more" if max(self.bits, default=0) > self.most else ""
        return (
            f'<figure aria-label="{html.escape(self.alt)}" style="margin:0">'
            f'<p style="{PARAGRAPH}">{words}</p>'
            f'<figcaption style="{CAPTION}">{self._caption()}: {legend}{more}</figcaption>'
            "</figure>"
        )

    def _caption(self) -> str:
        return "surprisal in bits" if self.what == "bits" else html.escape(self.what)

    def _ink(self, bits: float) -> str:
        depth = 100 * min(max(bits, 0.0), self.most) / self.most
        return f"background:linear-gradient(to top, {INK} {depth:.0f}%, transparent {depth:.0f}%)"


def _show(piece: str) -> str:
    """The piece as HTML; a line's end is marked, so that it has a place to be tinted."""
    marked = piece.replace("\r", "␍").replace("\n", "⏎\n").replace("\0", "␀")
    return html.escape(marked.encode("utf-8", "replace").decode())


def _check_alt(alt: str) -> None:
    if not isinstance(alt, str):
        raise TypeError(
            f"alt must be a sentence (str) that says what is shown, not {alt!r}"
        )
    if not alt.strip():
        raise ValueError(
            "alt must be a sentence that says what is shown, not an empty text"
        )


@contextmanager
def drawing(settings: dict[Any, Any]) -> Iterator[None]:
    """Draw or render under these settings of matplotlib's, and leave its own alone."""
    import matplotlib

    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A letter that matplotlib's own font lacks is drawn all the same: by the page's font.
        warnings.filterwarnings("ignore", message=r"(?s).*Glyph.*missing from")
        yield


def _render(figure: "Figure", alt: str) -> str:
    """The figure as an ``<svg>`` element of a page."""
    file, metadata = io.StringIO(), {"Date": None}
    with drawing(RENDERING):
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    return _embed(file.getvalue(), alt)


def _embed(svg: str, alt: str) -> str:
    """Matplotlib's SVG file as an element of a page, in the page's font and colour."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        # The style speaks of `*`, which in a page is everything: the root's own replaces it.
        for child in list(element):
            if _local(child.tag) in ("metadata", "style"):
                element.remove(child)
    digest = hashlib.sha256(f"{alt}\n{svg}".encode("utf-8", "replace")).hexdigest()
    _rename_ids(root, prefix=f"p{digest[:10]}")
    width, height = (
        float(size) * PIXELS_PER_POINT for size in root.attrib["viewBox"].split()[2:]
    )
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": f"{width:.0f}",
        "height": f"{height:.0f}",
        "role": "img",
        "aria-label": alt,
        "fill": "currentColor",
        "style": "max-width:100%; height:auto; stroke-linejoin:round; stroke-linecap:butt",
    }
    text = ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)
    text = re.sub(r">\s+<", "><", text)
    text = re.sub(r"font-family: [^;\"]*monospace", "font-family: monospace", text)
    text = re.sub(r"font-family: '[^;\"]*(; )?", "", text)
    return text.replace("#000000", "currentColor")


def _rename_ids(root: ElementTree.Element, prefix: str) -> None:
    """Put `prefix` before the ids that something refers to, and drop the others."""
    reference = re.compile(r"(?<=url\(#)[^)]+|(?<=^#).+")
    used = {
        name
        for element in root.iter()
        for value in element.attrib.values()
        for name in reference.findall(value)
    }
    for element in root.iter():
        if element.attrib.get("id") not in used:
            element.attrib.pop("id", None)
        for key, value in element.attrib.items():
            renamed = (
                f"{prefix}-{value}"
                if key == "id"
                else reference.sub(lambda name: f"{prefix}-{name[0]}", value)
            )
            element.attrib[key] = renamed


def _local(name: str) -> str:
    """The name without its namespace, as HTML writes it."""
    return name.rpartition("}")[2]
