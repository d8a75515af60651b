"""The bibliography's entries carry the names and years by which the text cites them, in
the order of these, and a link to where each work can be read.
"""

import unicodedata
from collections.abc import Iterable, Iterator

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.sorting import BaseSortingStyle
from pybtex.style.template import Node, field, href
from sphinx.application import Sphinx
from sphinxcontrib.bibtex.style.referencing import PersonStyle

LONGEST = 50  # letters of an address


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


class Order(BaseSortingStyle):
    """By the first author's last name, without accents; then by year and title."""

    def sorting_key(self, entry: Entry) -> tuple[str, str, str]:
        """What entries are compared by."""
        name = " ".join(map(str, entry.persons["author"][0].rich_last_names))
        letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        return letters.lower(), entry.fields["year"], entry.fields["title"]


class AuthorYear(Style):
    """The style `plain` with such labels, in such an order."""

    default_label_style = Labels
    default_sorting_style = Order

    def format_url(self, entry: Entry) -> Node:
        """The address without its https://, which the theme would shorten else."""
        address = field("url", raw=True)
        return href(address)[field("url", raw=True, apply_func=bare)]


def bare(address: str) -> str:
    """An address as it is read: karpathy.github.io/2019/04/25/recipe; of one too long for
    a phone, the site alone.
    """
    short = address.removeprefix("https://").rstrip("/")
    return short if len(short) <= LONGEST else short.partition("/")[0] + "/…"
