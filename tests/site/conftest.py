"""The built book behind a local web server, and a browser that reaches nothing else."""

import functools
import gzip
import os
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BOOK = Path(os.environ.get("BOOK_HTML") or ROOT / "_build" / "html")


def pytest_generate_tests(metafunc):
    """A test with an `address` runs once for each page of the built book."""
    if "address" in metafunc.fixturenames:
        files = (f.relative_to(BOOK).as_posix() for f in BOOK.rglob("*.html"))
        pages = sorted(f for f in files if not f.startswith("_static/"))
        metafunc.parametrize("address", pages or ["index.html"], scope="module")


@pytest.fixture(scope="session")
def book():
    """The folder of the built book."""
    if not (BOOK / "index.html").exists():
        pytest.fail(f"no book in {BOOK}: run 'make book' first", pytrace=False)
    return BOOK


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a line on the terminal for each."""

    def log_message(self, *arguments):
        """Says nothing."""


@contextmanager
def served(folder: Path):
    """The address of a web server for a folder, without a slash at its end."""
    handler = functools.partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def serve():
    """A function that serves a folder, as a context."""
    return served


@pytest.fixture(scope="session")
def site(book):
    """The address of the built book."""
    with served(book) as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """Chromium: $CHROMIUM, else the one on the path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, names)), ""
    )
    if not path:
        pytest.fail("no chromium: install it, or name it in $CHROMIUM", pytrace=False)
    with sync_playwright() as playwright:
        # A container's root may not start Chromium's sandbox; the pages are our own.
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@dataclass
class Visit:
    """One page in a browser, with all that it asked for and said."""

    page: Page
    site: str
    requested: set[str] = field(default_factory=set)  # paths of the book's own files
    elsewhere: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def route(self, route) -> None:
        """Lets a request to the book pass; any other is noted, and goes nowhere."""
        url = route.request.url
        if url.startswith(self.site + "/"):
            self.requested.add(unquote(urlsplit(url).path).lstrip("/"))
        elif not url.startswith(("blob:", "data:")):
            self.elsewhere.append(url)
            return route.abort()
        return route.continue_()

    def hear(self, message) -> None:
        """Keeps the warnings and errors on the page's console."""
        if message.type in ("warning", "error"):
            self.said.append(f"{message.type}: {message.text}")

    def weight(self, book: Path, *, models: bool) -> int:
        """Bytes of the files that the page asked for, each gzipped."""
        paths = (p for p in self.requested if models or "_static/models/" not in p)
        files = (book / path for path in paths)
        return sum(len(gzip.compress(f.read_bytes())) for f in files if f.is_file())


@pytest.fixture(scope="session")
def visit(browser, request):
    """A context in which a page is open, on a screen of some width."""

    @contextmanager
    def opened(address: str, *, width=1280, scheme="light", script=True, site=None):
        site = site or request.getfixturevalue("site")
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=script,
        )
        seen = Visit(context.new_page(), site)
        context.route("**/*", seen.route)
        seen.page.on("console", seen.hear)
        seen.page.on("pageerror", lambda error: seen.said.append(f"uncaught: {error}"))
        seen.page.goto(f"{site}/{address}", wait_until="networkidle")
        yield seen
        context.close()

    return opened
