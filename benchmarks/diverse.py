"""Ten megabytes of diverse text from what every environment of the project holds.

Sphinx's messages in some seventy languages and a dozen scripts, Tiny Shakespeare,
stories, and the standard library's modules with their documentation. The same versions
of Python and Sphinx give the same text.
"""

import re
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from llmlib import load_corpus

N_BYTES = 10_000_000
STORIES = 1_000_000  # characters of them
NOT_EVERYWHERE = {"test", "idlelib", "tkinter", "site-packages", "dist-packages"}
TRANSLATED = re.compile(r'^msgstr(?:\[\d\])? ("(?:.*"\n")*.+")$', re.MULTILINE)


def diverse_text(n_bytes: int = N_BYTES) -> str:
    """The first `n_bytes` of it in UTF-8, less the part of a character at the end.

    Raises ValueError if there is not so much.
    """
    text = bytearray()
    for part in _parts():
        text += part.encode("utf-8") + b"\n"
        if len(text) >= n_bytes:
            return text[:n_bytes].decode("utf-8", "ignore")
    raise ValueError(f"there are {len(text):,} bytes of text, not {n_bytes:,}")


def _parts() -> Iterator[str]:
    spec = find_spec("sphinx")
    for folder in (spec and spec.submodule_search_locations) or []:
        for file in sorted(Path(folder).rglob("*.po")):
            messages = TRANSLATED.findall(file.read_text(encoding="utf-8"))
            yield "\n".join(message.replace('"\n"', "")[1:-1] for message in messages)
    yield load_corpus("shakespeare").text
    yield load_corpus("stories").text[:STORIES]
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(library.rglob("*.py")):
        if NOT_EVERYWHERE.isdisjoint(file.relative_to(library).parts):
            yield file.read_text(encoding="utf-8", errors="replace")
