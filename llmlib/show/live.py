"""What the book's widgets have in common: one object for a kernel and for a static page.

With a kernel a widget is an anywidget. On a published page there is no kernel: there it
is a piece of HTML that holds a stored result, readable as it is, and the widget's values
as JSON, from which the page's script makes the same view.
"""

import html
import json
from typing import Any, ClassVar

import anywidget
import traitlets

from llmlib.show.bundle import page_style, widget_module

NO_SCRIPT = (
    "<noscript><p>This is a stored result. With JavaScript switched on, "
    "it becomes something to try out.</p></noscript>"
)


class Live(anywidget.AnyWidget):
    """A widget with a stored result. `view` names the module in ``js/`` that draws it."""

    view: ClassVar[str]
    title = traitlets.Unicode().tag(sync=True)

    def __init_subclass__(cls, **options: Any) -> None:
        if "view" in vars(cls):  # anywidget derives a class from it for each instance
            cls._esm, cls._css = widget_module(cls.view), page_style()
        super().__init_subclass__(**options)

    def __init__(self, stored: str, **values: Any) -> None:
        super().__init__(**values)
        self.stored = stored
        self.on_msg(self._answer)

    def values(self) -> dict[str, Any]:
        """What the view is made from: the traits of this kind of widget, by name."""
        common = set(anywidget.AnyWidget.class_trait_names())
        names = sorted(set(self.trait_names(sync=True)) - common)
        return {name: getattr(self, name) for name in names if name[0] != "_"}

    def to_html(self) -> str:
        """The widget as a static page holds it."""
        title = f'<p class="title">{escape(self.title)}</p>' if self.title else ""
        return (
            f'<div class="llmlib-widget" data-view="{self.view}">'
            f'<div class="stored">{title}{self.stored}{NO_SCRIPT}</div>'
            f'<script type="application/json">{page_json(self.values())}</script></div>'
        )

    def files(self, name: str) -> tuple[dict[str, Any], list[bytes]] | None:
        """The model that the view asks for by this name: JSON, and the weights."""
        return None

    def _answer(self, _: Any, message: Any, buffers: Any) -> None:
        """Sends the view what it asks for, so that nothing of it stays in the notebook."""
        if not isinstance(message, dict) or message.get("type") != "model":
            return
        if files := self.files(str(message.get("name"))):
            self.send(files[0], buffers=files[1])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.title!r})"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is not None:
            bundle[0]["text/html"] = self.to_html()
        return bundle


def page_json(values: Any) -> str:
    """JSON that can stand inside a ``<script>``, whatever its texts hold."""
    return json.dumps(values, allow_nan=False).replace("<", "\\u003c")


def escape(text: str) -> str:
    """Any text as HTML that shows it; half a surrogate pair shows as a question mark."""
    return html.escape(text.encode("utf-8", "replace").decode())


def table(head: list[str], rows: list[list[str]]) -> str:
    """Texts as an HTML table; the first cell of a row is its heading."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
