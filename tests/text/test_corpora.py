"""Corpora: what is read, and what happens when it cannot be."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pyarrow
import pytest
from huggingface_hub import constants
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from llmlib.text import corpora
from llmlib.text.corpora import Corpus, CorpusUnavailableError, load_corpus

PLAY = (
    "First Citizen:\nBefore we proceed.\n\nAll:\nSpeak, speak.\n\nFirst:\nDone.\n" * 40
)
STORIES = ["One.\n\nTwo.\r\n\r\n\r\nThree.", "A fox.\n \nA hen.\n", "", None, "Last."]


# Corpora and their two parts


def test_text_is_the_documents_joined():
    corpus = Corpus("mine", ["a\n\n", "b\n\n", "c"])
    assert corpus.text == "a\n\nb\n\nc"
    with pytest.raises(AttributeError):
        corpus.name = "other"


def test_the_cut_moves_back_to_where_a_document_begins():
    corpus = Corpus("mine", ["a" * 30, "b" * 30, "c" * 30, "d" * 10])
    assert corpus.split() == ("a" * 30 + "b" * 30 + "c" * 30, "d" * 10)
    assert corpus.split(0.2)[0] == "a" * 30 + "b" * 30
    assert corpus.split(0.5)[0] == "a" * 30


def test_validation_is_never_more_than_twice_as_long_as_asked():
    title = Corpus("mine", ["A Title\n\n", "0123456789 xyz\n" * 1000])
    train, val = title.split()
    assert 0.1 <= len(val) / len(title.text) < 0.102
    assert train.endswith("\n")
    unequal = Corpus("mine", ["a" * 1000, "b" * 2000])
    assert unequal.split() == ("a" * 1000 + "b" * 1700, "b" * 300)
    assert unequal.split(0.3)[0] == "a" * 1000 + "b" * 1100
    assert unequal.split(0.4)[0] == "a" * 1000


def test_a_single_document_is_cut_inside():
    assert Corpus("mine", ["x" * 85 + "\n" + "y" * 14]).split()[1] == "y" * 14
    assert Corpus("mine", ["x" * 90 + "y" * 10]).split() == ("x" * 90, "y" * 10)
    assert Corpus("mine", ["x" * 95, "y" * 5]).split() == ("x" * 90, "xxxxxyyyyy")


@settings(deadline=None)
@given(
    st.lists(st.text("ab\n", max_size=30), min_size=1),
    st.floats(0.01, 0.99),
)
def test_the_parts_make_the_whole(documents, val):
    corpus = Corpus("mine", ["start", *documents])
    train, rest = corpus.split(val)
    assert train + rest == corpus.text
    cut = int(len(corpus.text) * (1 - val))
    starts = {sum(map(len, corpus.documents[:n])) for n in range(1, 2 + len(documents))}
    lines = {n + 1 for n, character in enumerate(corpus.text) if character == "\n"}
    asked = len(corpus.text) - cut
    near = [n for n in range(1, cut + 1) if len(corpus.text) - n <= 2 * asked]
    choices = [[n for n in near if n in ends] for ends in (starts, lines)]
    assert len(train) == next((max(found) for found in choices if found), cut)


@pytest.mark.parametrize("val", [0, 1, -0.1, 1.5, float("nan")])
def test_val_is_a_share(val):
    with pytest.raises(ValueError, match=f"val must lie between 0 and 1, got {val}"):
        Corpus("mine", ["abc"]).split(val)


# A text of the reader's own


@pytest.fixture
def write(tmp_path):
    def write(content):
        file = tmp_path / "mine.txt"
        file.write_bytes(content)
        return file

    return write


def test_a_file(write):
    corpus = load_corpus(write("One.\n\nTwo,\ntwo.\n\n\nÜmit 😀\n".encode()))
    assert corpus.name == "mine.txt"
    assert corpus.documents == ["One.\n\n", "Two,\ntwo.\n\n\n", "Ümit 😀\n"]
    assert load_corpus(str(write(b"a"))).text == "a"


def test_bom_and_crlf(write):
    plain = load_corpus(write("é.\n\nb\n".encode()))
    assert load_corpus(write("\ufeffé.\r\n\r\nb\r\n".encode())) == plain
    assert load_corpus(write("a\ufeffb\rc".encode())).text == "a\ufeffb\rc"


@settings(deadline=None, max_examples=200)
@given(text=st.text("ab \n\r\u2028", min_size=1).filter(str.strip))
def test_documents_are_all_of_the_text(text, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "any.txt"
    file.write_bytes(text.encode())
    corpus = load_corpus(file)
    text = text.replace("\r\n", "\n")
    assert corpus.text == text
    assert all(document.endswith("\n\n") for document in corpus.documents[:-1])
    assert not any("\n\n" in d.strip("\n") for d in corpus.documents)


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", "é\r\n".encode()])
@pytest.mark.parametrize("bad", [b"\xe9t\xe9", b"\xff\xfeh\x00i\x00", b"\xc3"])
def test_bad_bytes_are_named_by_offset(write, before, bad):
    offset = len(before)
    message = rf"mine\.txt is not UTF-8: byte {bad[0]:#04x} at offset {offset}$"
    with pytest.raises(ValueError, match=message):
        load_corpus(write(before + bad))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\n \r\n"])
def test_an_empty_file(write, content):
    with pytest.raises(ValueError, match=r"'mine\.txt' is empty"):
        load_corpus(write(content))


def test_utf8_is_read_whatever_the_machines_default_is(write):
    file = write("naïve 日本\n".encode())
    code = (
        f"from llmlib.text.corpora import *; print(ascii(load_corpus({str(file)!r})))"
    )
    latin = os.environ | {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    strict = ["-X", "warn_default_encoding", "-W"]
    strict += ["error::EncodingWarning:llmlib.text.corpora"]
    run = [sys.executable, *strict, "-c", code]
    out = subprocess.run(run, env=latin, capture_output=True, text=True, check=True)
    assert "na\\xefve \\u65e5\\u672c" in out.stdout


def test_a_name_that_is_unknown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("shakespear", tmp_path, "./stories"):
        with pytest.raises(ValueError, match="stories, shakespeare, simplestories"):
            load_corpus(name)
    with pytest.raises(ValueError, match="fallback 'storys' is none of stories, "):
        load_corpus("stories", fallback="storys")
    with pytest.raises(TypeError):
        load_corpus(3)
    (tmp_path / "stories").write_bytes(b"a file")
    assert load_corpus("./stories").text == "a file"


# The stories


def test_stories():
    corpus = load_corpus("stories")
    assert corpus.name == "stories"
    assert len(corpus.documents) == corpora.N_STORIES
    assert 6_000_000 < len(corpus.text) < 10_000_000
    for story in corpus.documents:
        assert story.endswith("\n\n")
        assert story.count("\n\n") == 1
    train, val = corpus.split()
    assert train.endswith("\n\n")
    assert 0.099 < len(val) / len(corpus.text) < 0.101


def test_stories_are_written_once_and_cannot_be_spoilt():
    load_corpus("stories").documents.clear()
    before = corpora._write_stories.cache_info().misses
    assert len(load_corpus("stories").documents) == corpora.N_STORIES
    assert corpora._write_stories.cache_info().misses == before


# Shakespeare, from a server that does what it is told


class Server(ThreadingHTTPServer):
    """Answers each GET with the next of `answers`, the last one over and over.

    An answer is (content, how much of it is sent before the line is cut).
    """

    answers: list[tuple[bytes, int | None]]
    gets = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        answers, n = self.server.answers, self.server.gets
        self.server.gets += 1
        content, sent = answers[min(n, len(answers) - 1)]
        start = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
        self.head(content, start)
        self.wfile.write(content[start:sent])

    def do_HEAD(self):
        self.head(self.server.answers[-1][0])

    def head(self, content, start=0):
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", corpora.SIMPLESTORIES_REVISION)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("LLMLIB_DATA", raising=False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # before another try
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(server, tmp_path, monkeypatch):
    """The reader's cache folder, empty, with `PLAY` for the real Shakespeare."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(pooch, "os_cache", lambda project: folder / project)
    url = f"http://127.0.0.1:{server.server_port}/input.txt"
    monkeypatch.setattr(corpora, "SHAKESPEARE_URL", url)
    sha256 = hashlib.sha256(PLAY.encode()).hexdigest()
    monkeypatch.setattr(corpora, "SHAKESPEARE_SHA256", sha256)
    return folder / "llmlib"


def files(folder):
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def test_shakespeare_is_downloaded_once(server, cache):
    server.answers = [(PLAY.encode(), None)]
    corpus = load_corpus("shakespeare")
    assert (corpus.name, corpus.text) == ("shakespeare", PLAY)
    assert corpus.documents[1] == "All:\nSpeak, speak.\n\n"
    assert files(cache) == ["tinyshakespeare.txt"]
    assert load_corpus("shakespeare") == corpus
    assert server.gets == 1


def test_a_download_cut_half_way_is_tried_again(server, cache):
    server.answers = [(PLAY.encode(), 1_000), (PLAY.encode(), 5), (PLAY.encode(), None)]
    assert load_corpus("shakespeare").text == PLAY
    assert server.gets == 3
    assert files(cache) == ["tinyshakespeare.txt"]


def test_a_download_always_cut_leaves_nothing(server, cache):
    server.answers = [(PLAY.encode(), 1_000)]
    with pytest.raises(CorpusUnavailableError, match="LLMLIB_DATA"):
        load_corpus("shakespeare")
    assert server.gets == 3
    assert files(cache) == []


def test_a_login_page_shows_both_hashes(server, cache):
    page = b"<html>Please log in to use this network</html>"
    server.answers = [(page, None)]
    with pytest.raises(ValueError, match="LLMLIB_DATA") as caught:
        load_corpus("shakespeare")
    assert corpora.SHAKESPEARE_SHA256 in str(caught.value)
    assert hashlib.sha256(page).hexdigest() in str(caught.value)
    assert files(cache) == []


def test_a_spoilt_file_in_the_cache_is_downloaded_again(server, cache):
    server.answers = [(PLAY.encode(), None)]
    cache.mkdir(parents=True)
    (cache / "tinyshakespeare.txt").write_bytes(b"To be or not")
    assert load_corpus("shakespeare").text == PLAY


@pytest.fixture
def no_network(server, monkeypatch):
    """The server's address, but nobody there."""

    def unplug():
        server.shutdown()
        server.server_close()

    return unplug


def test_without_a_network_the_cache_is_enough(server, cache, no_network):
    server.answers = [(PLAY.encode(), None)]
    load_corpus("shakespeare")
    no_network()
    assert load_corpus("shakespeare").text == PLAY


def test_without_network_and_cache_a_sentence_names_the_way_out(cache, no_network):
    no_network()
    message = r"input\.txt could not be .* put tinyshakespeare\.txt into .* LLMLIB_DATA"
    with pytest.raises(CorpusUnavailableError, match=message):
        load_corpus("shakespeare")


def test_the_fallback_is_taken_visibly(cache, no_network):
    no_network()
    with pytest.warns(
        UserWarning, match=r"LLMLIB_DATA\. Taking 'stories' instead"
    ) as seen:
        corpus = load_corpus("shakespeare", fallback="stories")
    assert corpus.name == "stories"
    assert seen[0].filename == __file__


def test_the_fallback_is_not_for_faults_of_the_readers_own(tmp_path):
    with pytest.raises(ValueError, match="neither a file nor"):
        load_corpus(tmp_path / "missing.txt", fallback="stories")


# The folder that LLMLIB_DATA names


def test_the_folder_is_searched_first(server, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMLIB_DATA", str(tmp_path))
    (tmp_path / "tinyshakespeare.txt").write_bytes(PLAY.encode())
    assert load_corpus("shakespeare").text == PLAY
    assert server.gets == 0


def test_another_file_in_the_folder_shows_both_hashes(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMLIB_DATA", str(tmp_path))
    (tmp_path / "tinyshakespeare.txt").write_bytes(b"To be")
    with pytest.raises(
        ValueError, match=r"tinyshakespeare\.txt has the SHA-256"
    ) as caught:
        load_corpus("shakespeare", fallback="stories")
    assert hashlib.sha256(b"To be").hexdigest() in str(caught.value)
    assert corpora.SHAKESPEARE_SHA256 in str(caught.value)


# SimpleStories


def write_parquet(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)
    return path


SIMPLE = "test-00000-of-00001.parquet"
READ = ["One.\nTwo.\nThree.\n\n", "A fox.\nA hen.\n\n", "Last.\n\n"]


def test_simplestories_from_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMLIB_DATA", str(tmp_path))
    file = tmp_path / "simplestories" / SIMPLE
    write_parquet(file, story=STORIES, topic=["any"] * len(STORIES))
    corpus = load_corpus("simplestories")
    assert corpus.name == "simplestories"
    assert corpus.documents == READ


def test_a_damaged_file_of_stories_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMLIB_DATA", str(tmp_path))
    file = write_parquet(tmp_path / SIMPLE, text=["no column of that name"])
    with pytest.raises(ValueError, match=rf"{SIMPLE} holds no column 'story'"):
        load_corpus("simplestories")
    file.write_bytes(b"PAR1, or not")
    with pytest.raises(ValueError, match=rf"{SIMPLE} holds no column 'story'"):
        load_corpus("simplestories")


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """The Hub's download code, pointed at the server and an empty cache."""
    file = write_parquet(tmp_path / "served.parquet", story=STORIES)
    server.answers = [(file.read_bytes(), None)]
    url = f"http://127.0.0.1:{server.server_port}"
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return server


def test_simplestories_from_the_hub(hub, no_network):
    assert load_corpus("simplestories").documents == READ
    no_network()
    assert load_corpus("simplestories").documents == READ  # now cached


def test_another_table_in_the_folder_is_not_taken_for_it(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMLIB_DATA", str(tmp_path / "data"))
    write_parquet(tmp_path / "data" / "mine.parquet", story=["Not one of them."])
    assert load_corpus("simplestories").documents == READ


def test_a_download_from_the_hub_that_is_cut(hub, tmp_path):
    whole, _ = hub.answers[0]
    hub.answers = [(whole, len(whole) // 2), (whole, None)]
    assert load_corpus("simplestories").documents == READ
    assert hub.gets == 2


def test_the_hub_without_a_network(hub, no_network):
    no_network()
    with pytest.raises(CorpusUnavailableError, match=r"SimpleStories .* LLMLIB_DATA"):
        load_corpus("simplestories")
    with pytest.warns(UserWarning, match="Taking 'stories' instead"):
        assert load_corpus("simplestories", fallback="stories").name == "stories"


@pytest.mark.parametrize("package", ["huggingface_hub", "pyarrow"])
def test_a_package_that_is_missing_is_named(hub, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    told = rf"needs {package}: pip install {package}\."
    with pytest.raises(CorpusUnavailableError, match=told):
        load_corpus("simplestories")


if (Path(os.environ.get("LLMLIB_DATA", ".")) / "tinyshakespeare.txt").is_file():

    def test_tiny_shakespeare_itself():
        corpus = load_corpus("shakespeare")
        assert len(corpus.text) == 1_115_394
        assert len(set(corpus.text)) == 65
        assert corpus.split()[1].startswith("BAPTISTA:\nWas ever gentleman")
