"""Corpora: the texts that models learn from, each a list of documents.

"stories" is written by this package and needs no network. The other corpora are
downloaded once, checked, and kept in the user's cache folder. A folder named by the
environment variable LLMLIB_DATA is searched before the cache and the network.
"""

import hashlib
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path

N_STORIES = 12_500  # about 8 MB
STORIES_SEED = 0

# Karpathy 2015, "The Unreasonable Effectiveness of Recurrent Neural Networks".
SHAKESPEARE_FILE = "tinyshakespeare.txt"
SHAKESPEARE_URL = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/"
    "data/tinyshakespeare/input.txt"
)
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"

# Finke et al. 2025, "Parameterized Synthetic Text Generation with SimpleStories".
SIMPLESTORIES_REPO = "SimpleStories/SimpleStories"
SIMPLESTORIES_REVISION = "e63b8adc3b1a1bdc7cac5b500d150b71346b0628"
SIMPLESTORIES_FILE = "data/test-00000-of-00001.parquet"


class CorpusUnavailableError(ValueError):
    """A corpus cannot be had: no network, or what came is not what was asked for."""


@dataclass(frozen=True)
class Corpus:
    """A text in documents, each with the blank line that ends it.

    Raises ValueError if there is no text.
    """

    name: str
    documents: list[str]

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError(f"the corpus {self.name!r} is empty")

    @cached_property
    def text(self) -> str:
        """All documents, one after the other."""
        return "".join(self.documents)

    def split(self, val: float = 0.1) -> tuple[str, str]:
        """The text in two: all but the last `val` of it, and that for validation.

        The cut is at int(len(text) * (1 - val)), moved back to where a document begins,
        or else a line; never so far that validation is more than twice as long as asked.

        Raises ValueError unless `val` lies between 0 and 1.
        """
        if not 0 < val < 1:
            raise ValueError(f"val must lie between 0 and 1, got {val}")
        cut = int(len(self.text) * (1 - val))
        # Farther back, a title line or a long document would take the training text.
        first = max(1, 2 * cut - len(self.text))
        ends = accumulate(map(len, self.documents))
        line = self.text.rfind("\n", first - 1, cut) + 1
        cut = max((end for end in ends if first <= end <= cut), default=line or cut)
        return self.text[:cut], self.text[cut:]


def load_corpus(
    name_or_path: str | os.PathLike[str], *, fallback: str | None = None
) -> Corpus:
    """A corpus by its name, or a text of the reader's own by its path.

    - "stories": 12,500 stories of the story grammar, about 8 MB, always the same
    - "shakespeare": Tiny Shakespeare, 1.1 MB, a document a speech
    - "simplestories": the test split of SimpleStories, about 21,000 stories; blank
      lines inside a story are left out
    - a path: a UTF-8 file; a byte-order mark is dropped, CRLF becomes LF, and documents
      end at blank lines

    If the corpus cannot be had, `fallback` names the one that is taken, with a warning.

    Raises CorpusUnavailableError, a ValueError, if the corpus cannot be had and there
    is no `fallback`; ValueError if there is no such name or file, if it is empty or not
    UTF-8, or if a file in LLMLIB_DATA is not the one expected.
    """
    if fallback is not None and fallback not in CORPORA:
        raise ValueError(f"fallback {fallback!r} is none of {', '.join(CORPORA)}")
    try:
        return _load(name_or_path)
    except CorpusUnavailableError as error:
        if fallback is None:
            raise
        warnings.warn(f"{error} Taking {fallback!r} instead.", stacklevel=2)
        return _load(fallback)


def _load(name_or_path: str | os.PathLike[str]) -> Corpus:
    if isinstance(name_or_path, str) and name_or_path in CORPORA:
        return Corpus(name_or_path, CORPORA[name_or_path]())
    path = Path(name_or_path)
    if not path.is_file():
        raise ValueError(
            f"{str(path)!r} is neither a file nor one of {', '.join(CORPORA)}"
        )
    return Corpus(path.name, _read_documents(path))


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte-order mark, and LF where it has CRLF.

    Raises ValueError naming the first byte that is no UTF-8, and its offset.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.object[error.start]:#04x} "
            f"at offset {error.start}"
        ) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _read_documents(path: Path) -> list[str]:
    return re.findall(r"(?s)\n*.+?(?:\n\n+|\Z)", read_text(path))


def _load_stories() -> list[str]:
    return list(_write_stories())


@lru_cache(maxsize=1)
def _write_stories() -> tuple[str, ...]:
    from llmlib.text.stories import StoryGrammar  # reads its rules when imported

    stories = StoryGrammar().sample(N_STORIES, STORIES_SEED).split("\n\n")
    return tuple(story + "\n\n" for story in stories[:-1])


def _load_shakespeare() -> list[str]:
    path = _find_local(SHAKESPEARE_FILE)
    if path is None:
        path = _download(SHAKESPEARE_URL, SHAKESPEARE_SHA256, SHAKESPEARE_FILE)
    elif (found := hashlib.sha256(path.read_bytes()).hexdigest()) != SHAKESPEARE_SHA256:
        raise ValueError(
            f"{path} has the SHA-256 {found}, but Tiny Shakespeare's is "
            f"{SHAKESPEARE_SHA256}"
        )
    return _read_documents(path)


def _load_simplestories() -> list[str]:
    path = _find_local(Path(SIMPLESTORIES_FILE).name) or _download_simplestories()
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise _missing_package(error) from error
    try:
        stories = parquet.read_table(path, columns=["story"])["story"].to_pylist()
    except (ArrowException, KeyError) as error:
        raise ValueError(f"{path} holds no column 'story': {error}") from error
    return [_without_blank_lines(story) + "\n\n" for story in stories if story]


def _without_blank_lines(text: str) -> str:
    return "\n".join(filter(str.strip, text.replace("\r\n", "\n").split("\n")))


def _find_local(name: str) -> Path | None:
    folder = os.environ.get("LLMLIB_DATA")
    return min(Path(folder).rglob(name), default=None) if folder else None


def _download(url: str, sha256: str, name: str) -> Path:
    """The file at `url`, from the user's cache if it is there.

    pooch writes under a temporary name, tries again after a failure, and moves the file
    to its name only if the hash is right.
    """
    import pooch

    cache = pooch.create(
        path=pooch.os_cache("llmlib"),
        base_url="",
        urls={name: url},
        registry={name: f"sha256:{sha256}"},
        retry_if_failed=2,
    )
    try:
        return Path(cache.fetch(name))
    except (OSError, ValueError) as error:  # the network's errors; a wrong hash
        raise _unavailable(url, name, error) from error


def _download_simplestories() -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise _missing_package(error) from error
    repo, file = SIMPLESTORIES_REPO, SIMPLESTORIES_FILE
    try:
        path = hf_hub_download(
            repo, file, repo_type="dataset", revision=SIMPLESTORIES_REVISION
        )
    except (OSError, ValueError) as error:
        raise _unavailable(f"{file} of the dataset {repo}", "it", error) from error
    return Path(path)


def _unavailable(what: str, name: str, error: Exception) -> CorpusUnavailableError:
    return CorpusUnavailableError(
        f"{what} could not be downloaded ({error}). Without a network, put {name} into "
        "a folder and name the folder in the environment variable LLMLIB_DATA."
    )


def _missing_package(error: ImportError) -> CorpusUnavailableError:
    return CorpusUnavailableError(
        f'"simplestories" needs {error.name}: pip install {error.name}.'
    )


CORPORA: dict[str, Callable[[], list[str]]] = {
    "stories": _load_stories,
    "shakespeare": _load_shakespeare,
    "simplestories": _load_simplestories,
}
