"""The files of a training and of its models: read with care, and their folder held
against another process.
"""

import json
import os
import socket
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from llmlib.text.files import CannotWriteError

MAX_HEADER = 2**22
"""Bytes of the longest safetensors header that is read: some 30,000 tensors."""


class DamagedFileError(ValueError):
    """A file is not what was written: cut, changed, or never one of ours."""


class FolderInUseError(ValueError):
    """Another process trains into the folder."""


def check_writable(folder: str | Path, n_bytes: int = 0) -> None:
    """Takes room for n_bytes in the folder, made if it is not there, and gives it back.

    For the start of a training, so that a full disk or a missing permission is known
    then. Raises CannotWriteError naming the folder and the reason.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            if n_bytes and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, n_bytes)
            else:
                for _ in range(0, n_bytes, 2**20):
                    file.write(bytes(2**20))
    except OSError as error:
        raise CannotWriteError(
            f"cannot write into {folder}: {error.strerror}"
        ) from error


def read_json(text: bytes, origin: object) -> dict[str, Any]:
    """The JSON object that the text is; DamagedFileError, naming the origin, if it is
    none or names a key twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            raise ValueError("a key is there twice")
        return mapping

    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
        if not isinstance(value, dict):
            raise ValueError("it is no JSON object")
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{origin} is damaged: {error}") from None
    return value


def read_tensors(
    data: bytes, origin: object
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file, given its bytes.

    The header is checked here before the library sees it, so that a hostile one costs
    no more memory than the file has bytes. Nothing is ever executed. Raises
    DamagedFileError naming the origin.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise DamagedFileError(
            f"{origin} is damaged or no safetensors file: its header would be {length} bytes long, "
            f"and the whole file has {len(data)}"
        )
    if length > MAX_HEADER:
        raise DamagedFileError(
            f"{origin} has a header of {length} bytes, allowed are {MAX_HEADER}"
        )
    metadata = read_json(data[8 : 8 + length], origin).get("__metadata__") or {}
    try:
        return load(data), metadata
    except (SafetensorError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise DamagedFileError(f"{origin} is damaged: {error}") from None


_held: dict[Path, TextIO] = {}
if hasattr(os, "register_at_fork"):  # a child does not hold what its parent holds
    os.register_at_fork(after_in_child=_held.clear)


def hold_folder(folder: str | Path) -> None:
    """Makes this process the only one that trains into the folder, until it ends or
    lets go.

    The system drops the lock with the process, however that dies. Raises
    FolderInUseError naming the process that holds it, and CannotWriteError where there
    is no permission.
    """
    folder = Path(folder).resolve()
    if folder in _held:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise CannotWriteError(
            f"cannot write into {folder}: {error.strerror}"
        ) from error
    if not _lock(file):
        file.seek(0)
        owner = file.read() or "another process"
        file.close()
        raise FolderInUseError(
            f"{folder} is in use by {owner}: stop that, or choose another folder"
        )
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    _held[folder] = file


def release_folder(folder: str | Path) -> None:
    """Lets other processes train into the folder again."""
    file = _held.pop(Path(folder).resolve(), None)
    if file is not None:
        file.close()


def _lock(file: TextIO) -> bool:
    """Locks an open file for this process; False if another has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            # A byte beyond the text, which others must be able to read.
            file.seek(2**30)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks: train rather than refuse
        pass
    return True
