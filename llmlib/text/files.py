"""Writing files that are whole or not there."""

import os
import sys
from contextlib import suppress
from pathlib import Path


class CannotWriteError(OSError, ValueError):
    """A folder that cannot be written: read-only, or the disk is full."""


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Writes files into a folder so that, whenever the process or the machine dies,
    each is the old or the new one and whole.

    All are first written beside their places and forced to disk, then moved there, one
    right after the other. Raises CannotWriteError, with nothing changed, if there is no
    room or no permission.
    """
    staged = {name: folder / f".{name}.tmp" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            with open(staged[name], "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for name, temporary in staged.items():
            os.replace(temporary, folder / name)
        sync_folder(folder)
    except OSError as error:
        raise CannotWriteError(
            f"cannot write {' and '.join(files)} into {folder}: {error.strerror}"
        ) from error
    finally:
        for temporary in staged.values():
            with suppress(OSError):
                temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Forces to disk which names a folder holds; Windows has no such call and does
    it by itself.
    """
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
