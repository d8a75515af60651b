"""How a training was begun: its folder keeps the options, so that ``--resume`` needs the
folder alone.
"""

import argparse
import json
from pathlib import Path

from llmlib.text.corpora import CORPORA
from llmlib.text.files import write_files
from llmlib.training.files import read_json
from llmlib.training.saving import PRETRAINED

OPTIONS = "options.json"
NOT_KEPT = ("command", "run", "out", "resume")  # what every start says for itself
PLACES = {"corpus": CORPORA, "origin": PRETRAINED}  # a name of these, or else a path


def keep_options(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the options that were given into the folder, with paths that are the same
    from everywhere.
    """
    given = {
        name: value
        for name, value in vars(arguments).items()
        if name not in NOT_KEPT and value is not None
    }
    for name, names in PLACES.items():
        if name in given and given[name] not in names:
            given[name] = str(Path(given[name]).resolve())
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
