"""``llmlib chat``: you begin a story, the model goes on."""

import argparse
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from llmlib.cli.generate import add_model, add_sampling, chosen_model, read_sampling
from llmlib.cli.options import check_least
from llmlib.cli.prompts import is_known, known_text
from llmlib.generation.decoding import write
from llmlib.generation.sampling import Sampling
from llmlib.generation.streams import until
from llmlib.model.gpt import GPT
from llmlib.text.tokenizers import Tokenizer

END = "\n\n"  # a blank line ends a story
TEMPERATURE = 0.8
HELP = """Write how a text begins, and the model goes on until a blank line.
With nothing but Enter it goes on where it stopped, or begins a story of its own.
  /again             the latest turn once more, drawn anew
  /temperature 0.5   more careful (0 to 1) or more daring (above 1)
  /help              this
  /quit              or Ctrl-D
Ctrl-C stops the model in mid-sentence."""


def add_commands(commands: Any) -> None:
    """Add ``chat`` to the command line."""
    parser = commands.add_parser("chat", help="write a story together, turn by turn")
    add_model(parser)
    add_sampling(parser, max_new_tokens=400, temperature=TEMPERATURE)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Take turns until /quit or Ctrl-D."""
    with suppress(ImportError):  # not on Windows
        import readline  # noqa: F401 (arrow keys edit a line and bring back earlier ones)
    sampling = read_sampling(arguments, temperature=TEMPERATURE)
    check_least(arguments, max_new_tokens=1)
    model, tokenizer = chosen_model(arguments)
    chat = Chat(model, tokenizer, sampling, arguments.max_new_tokens)
    print(HELP)
    while True:
        try:
            line = input("\n> ")
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            print("\n(/quit or Ctrl-D ends the chat)")
            continue
        if line.strip() == "/quit":
            return 0
        try:
            chat.take(line.rstrip())
        except ValueError as error:  # a mistake is no reason to lose the story
            print(f"({error})")


@dataclass
class Chat:
    """The story so far, and how it goes on.

    `before` is the story as it was when the latest turn began, `text` as it is now.
    """

    model: GPT
    tokenizer: Tokenizer
    sampling: Sampling
    max_new_tokens: int
    before: str = ""
    beginning: str = ""
    text: str = ""
    turn: int = 0

    def take(self, line: str) -> None:
        """One turn: a command, or the beginning of what the model shall go on with."""
        command, _, value = line.partition(" ")
        if command == "/help":
            print(HELP)
        elif command == "/temperature":
            self.set_temperature(value)
        elif command == "/again":
            self.text = self.before
            self.reply(self.beginning)
        elif line.startswith("/"):
            raise ValueError(
                f"there is no {command}; allowed: /again, /temperature, /help, /quit"
            )
        else:
            self.reply(self.known(self.joined(line)))

    def joined(self, line: str) -> str:
        """The line, after a space where it would be glued to the story so far."""
        if not self.text or not line or not is_known(self.tokenizer, " "):
            return line
        fits = self.text[-1].isspace() or line[0].isspace() or line[0] in ".,;:!?'"
        return line if fits else f" {line}"

    def known(self, text: str) -> str:
        """What the model knows of a text, if the user agrees; Ctrl-C is an answer of no."""
        try:
            return known_text(self.tokenizer, text, ask=True)
        except KeyboardInterrupt:
            print()
            return known_text(self.tokenizer, text, ask=False)

    def set_temperature(self, value: str) -> None:
        """Change how daring the model is; ValueError for what is no temperature."""
        try:
            temperature = float(value)
        except ValueError:
            raise ValueError(
                f"/temperature takes a number, as in /temperature 0.5, got {value!r}"
            ) from None
        self.sampling = replace(self.sampling, temperature=temperature)
        print(f"(temperature {temperature:g})")

    def reply(self, beginning: str) -> None:
        """Write `beginning` and what the model adds; a blank line or Ctrl-C ends it.

        The blank line is not printed, but part of the story: the next one follows it.
        """
        self.before, self.beginning = self.text, beginning
        self.text += beginning
        # Every turn draws anew, also where a seed makes the chat repeatable.
        rules = self.sampling.seeded(self.turn)
        self.turn += 1
        print(beginning, end="", flush=True)
        try:
            with warnings.catch_warnings(action="ignore"):
                # Every chat outgrows the context in time: no news, and no mistake.
                pieces = write(
                    self.model, self.tokenizer, self.text, self.max_new_tokens, rules
                )
            heard: list[str] = []
            for piece in until((END,), remembered(pieces, heard)):
                print(piece, end="", flush=True)
                self.text += piece
            if END in "".join(heard):
                self.text += END
        except KeyboardInterrupt:
            print(" ...", end="")
        print()


def remembered(pieces: Iterator[str], heard: list[str]) -> Iterator[str]:
    """The pieces, each of which is added to what was heard."""
    for piece in pieces:
        heard.append(piece)
        yield piece
