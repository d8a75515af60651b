"""Storey 9: the command line, ``llmlib train | generate | chat | info | export``.

Each command is a module of its own. Whatever goes wrong is one line on stderr, and an exit
code: 2 for arguments and inputs that cannot be used, 1 for what fails on the way, 130 for
Ctrl-C.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NoReturn

from llmlib.cli import chat, generate, models, train
from llmlib.text.files import CannotWriteError
from llmlib.training.steps import TrainingDivergedError

COMMANDS = (train, generate, chat, models)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2, naming the mistake and where to read on."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, except that a command itself refuses what it does not know, so
        that the error names its --help and not that of ``llmlib``.
        """
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown


def build_parser() -> Parser:
    """The parser of the whole command line; each command sets ``run``."""
    parser = Parser(prog="llmlib", description="Train, ask and measure small GPTs.")
    parser.add_argument("--version", action="version", version=f"llmlib {installed()}")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    for module in COMMANDS:
        module.add_commands(commands)
    return parser


def installed() -> str:
    """The version that is installed, if it is."""
    try:
        return version("llmlib")
    except PackageNotFoundError:  # run from a folder of sources
        return "of unknown version"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command (by default that of ``sys.argv``) and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal may not know every character
            stream.reconfigure(errors="replace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda notice, *_: say(notice)
            return run(build_parser().parse_args(argv))
    except SystemExit as leave:  # argparse's: --help, or a mistake that it has named
        return int(leave.code or 0)
    except KeyboardInterrupt:
        return fail("stopped", 130)
    except BrokenPipeError:  # the reader of our output has left, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (CannotWriteError, TrainingDivergedError) as error:
        return fail(error, 1)
    except (ValueError, OSError) as error:
        return fail(error, 2)
    except Exception as error:  # never a traceback: the sentence names what to report
        return fail(f"{type(error).__name__}: {error}", 1)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; a value that it refuses is named together with its --help."""
    try:
        code: int = arguments.run(arguments)
    except ValueError as error:
        if type(error) is not ValueError:  # of files, the network, a divergence
            raise
        return fail(f"{error} (see llmlib {arguments.command} --help)", 2)
    return code


def fail(reason: object, code: int) -> int:
    """Say why the command ends; returns the exit code."""
    say(reason)
    return code


def say(notice: object) -> None:
    """Write one line to stderr."""
    print("llmlib:", " ".join(str(notice).split()), file=sys.stderr)
