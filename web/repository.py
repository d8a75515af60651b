"""Launch buttons for the repository a book was built from: a fork's pages launch the fork."""

import os
import re
import subprocess

from sphinx.application import Sphinx
from sphinx.config import Config


def setup(app: Sphinx) -> None:
    """Sets the theme's repository before it is read."""
    app.connect("config-inited", set_repository)


def set_repository(app: Sphinx, config: Config) -> None:
    """Points the page buttons to the repository, or takes them away where none is known."""
    url = os.environ.get("BOOK_REPOSITORY_URL") or git("remote", "get-url", "origin")
    url = web_address(url)
    options = config.html_theme_options
    options["repository_url"] = url
    options["path_to_docs"] = "book"
    options["repository_branch"] = os.environ.get("BOOK_REPOSITORY_BRANCH") or "main"
    options["use_repository_button"] = bool(url)
    options["launch_buttons"] = (
        {
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        }
        if url
        else {}
    )


def web_address(remote: str) -> str:
    """The page of a git remote on the web (ssh forms become https), or nothing."""
    remote = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", remote.strip())
    return (
        remote.removesuffix("/").removesuffix(".git")
        if remote.startswith("https://")
        else ""
    )


def git(*arguments: str) -> str:
    """What git answers, or nothing where it cannot."""
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
