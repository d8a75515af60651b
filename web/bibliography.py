"""The bibliography's entries carry the names and years by which the text cites them."""

from collections.abc import Iterable, Iterator

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx
from sphinxcontrib.bibtex.style.referencing import PersonStyle


def setup(app: Sphinx) -> None:
    """Adds the style `author_year`, for the option of the directive `bibliography`."""
    register_plugin("pybtex.style.formatting", "author_year", AuthorYear)


class Labels(BaseLabelStyle):
    """Labels as the references within the text read: Vaswani et al., 2017."""

    person = PersonStyle()

    def format_labels(self, sorted_entries: Iterable[Entry]) -> Iterator[str]:
        """The label of each entry."""
        who = self.person.author_or_editor_or_title(full=False)
        for entry in sorted_entries:
            names = who.format_data({"entry": entry, "style": self})
            yield f"{names.render_as('text')}, {entry.fields['year']}"


class AuthorYear(Style):
    """The style `plain` with such labels."""

    default_label_style = Labels
