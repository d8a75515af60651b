"""How a training was begun: its folder keeps the options, so that ``--resume`` needs the
folder alone.
"""

import argparse
import json
from pathlib import Path

from llmlib.text.files import write_files
from llmlib.training.files import read_json

OPTIONS = "options.json"
NOT_KEPT = ("command", "run", "out", "resume")  # what every start says for itself


def keep_options(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the options that were given into the folder."""
    given = {
        name: value
        for name, value in vars(arguments).items()
        if name not in NOT_KEPT and value is not None
    }
    text = json.dumps(given, indent=2, ensure_ascii=False) + "\n"
    write_files(folder, {OPTIONS: text.encode()})


def recall_options(arguments: argparse.Namespace, folder: Path) -> None:
    """Give the options that are not given now the values that the folder keeps, if any.

    Raises DamagedFileError if what it keeps is no JSON object.
    """
    path = folder / OPTIONS
    kept = read_json(path.read_bytes(), path) if path.is_file() else {}
    for name, value in vars(arguments).items():
        if value is None:
            setattr(arguments, name, kept.get(name))
