"""Options, as they are typed."""

import argparse
from typing import Any

METAVARS: dict[type, str] = {int: "INT", float: "FLOAT", str: "TEXT"}


def option(name: str) -> str:
    """A config's name as an option: ``--n-layer`` for ``n_layer``."""
    return f"--{name.replace('_', '-')}"


def add_option(
    parser: argparse.ArgumentParser, name: str, kind: type, meaning: str, **more: Any
) -> None:
    """Add the option of a config's name, whose value is of that kind."""
    metavar = METAVARS[kind]
    parser.add_argument(option(name), type=kind, metavar=metavar, help=meaning, **more)


def check_least(arguments: argparse.Namespace, **least: int) -> None:
    """ValueError, naming the option, unless each that was given is at least so much."""
    for name, bound in least.items():
        value = getattr(arguments, name)
        if value is not None and value < bound:
            raise ValueError(f"{option(name)} must be at least {bound}, got {value}")
