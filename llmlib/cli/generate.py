"""``llmlib generate``: what a model makes of one prompt or of many."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from llmlib.cli.options import add_option, check_least, option
from llmlib.cli.prompts import known_text
from llmlib.generation.decoding import (
    beam_search,
    generate,
    generate_batch,
    prompt_ids,
)
from llmlib.generation.packing import WEIGHTS, packed
from llmlib.generation.sampling import Sampling
from llmlib.generation.streams import until, whole_characters
from llmlib.model.gpt import GPT
from llmlib.text.corpora import read_text
from llmlib.text.tokenizers import Tokenizer
from llmlib.training.config import best_device, check_device
from llmlib.training.saving import load_model

TOGETHER = 16  # prompts that are written on side by side

RULES = {
    "temperature": (
        float,
        "below 1 is more careful, 0 always takes the likeliest; by default {temperature}",
    ),
    "top_k": (int, "only so many of the likeliest tokens; by default all"),
    "top_p": (
        float,
        "only the likeliest tokens that together reach this probability; by default all",
    ),
    "min_p": (
        float,
        "only tokens at least this share as likely as the likeliest; by default all",
    ),
    "repetition_penalty": (
        float,
        "above 1, what is in the text becomes less likely; by default 1",
    ),
    "seed": (int, "the same seed writes the same text; by default a new one each time"),
}


def add_commands(commands: Any) -> None:
    """Add ``generate`` to the command line."""
    parser = commands.add_parser("generate", help="let a model go on with a text")
    add_model(parser)
    many: dict[str, Any] = {"action": "append", "default": []}
    meaning = "how the text begins; may be repeated"
    add_option(parser, "prompt", str, meaning, **many)
    parser.add_argument(
        "--prompts-file",
        metavar="FILE",
        help="a UTF-8 file with one prompt a line; - is the standard input",
    )
    meaning = r"end at this text (\n is a new line); may be repeated"
    add_option(parser, "stop", str, meaning, **many)
    meaning = "beam search over so many texts instead of drawing"
    add_option(parser, "num_beams", int, meaning)
    add_sampling(parser, max_new_tokens=200, temperature=Sampling.temperature)
    parser.set_defaults(run=run)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which model writes."""
    parser.add_argument(
        "--model",
        default="stories",
        help="a folder, or a shipped model; by default %(default)s",
    )
    meaning = (
        "int8 is faster and hardly less exact where a model is large; "
        "by default %(default)s"
    )
    parser.add_argument("--weights", choices=WEIGHTS, default="float32", help=meaning)
    meaning = "what computes: auto, cpu, cuda or mps; by default %(default)s"
    add_option(parser, "device", str, meaning, default="cpu")


def chosen_model(arguments: argparse.Namespace) -> tuple[GPT, Tokenizer]:
    """The model that was chosen, on its device and there stored for writing, and its
    tokenizer.

    Raises ValueError for a device that is not to be had, and for int8 on another than
    the CPU.
    """
    check_device(arguments.device)
    device = best_device() if arguments.device == "auto" else arguments.device
    on_cpu = torch.device(device).type == "cpu"
    if not on_cpu and arguments.weights != "float32":
        raise ValueError(f"--weights {arguments.weights} is for the CPU, not {device}")
    model, tokenizer = load_model(arguments.model)
    model = packed(model, arguments.weights) if on_cpu else model.to(device)
    return model, tokenizer


def add_sampling(
    parser: argparse.ArgumentParser, *, max_new_tokens: int, temperature: float
) -> None:
    """Add the options that say how a text is drawn, and how long it is."""
    meaning = "the most tokens to write; by default %(default)s"
    add_option(parser, "max_new_tokens", int, meaning, default=max_new_tokens)
    for name, (kind, meaning) in RULES.items():
        add_option(parser, name, kind, meaning.format(temperature=f"{temperature:g}"))


def read_sampling(arguments: argparse.Namespace, **defaults: Any) -> Sampling:
    """The rules that were given, over `defaults`."""
    given = {name: getattr(arguments, name) for name in RULES}
    given = {name: value for name, value in given.items() if value is not None}
    return Sampling(**defaults | given)


def run(arguments: argparse.Namespace) -> int:
    """Write every prompt and what the model adds to it, an empty line in between."""
    check_least(arguments, max_new_tokens=0, num_beams=1)
    prompts = read_prompts(arguments)
    sampling = read_sampling(arguments)
    if arguments.num_beams is not None and sampling != Sampling():
        raise ValueError(
            f"--num-beams draws nothing: give it without {', '.join(map(option, RULES))}"
        )
    stop = tuple(text.replace("\\n", "\n") for text in arguments.stop)
    if "" in stop:
        raise ValueError("--stop must not be empty")
    model, tokenizer = chosen_model(arguments)
    ask = sys.stdin.isatty()
    prompts = [known_text(tokenizer, prompt, ask=ask) for prompt in prompts]
    rows = [prompt_ids(model, tokenizer, prompt) for prompt in prompts]
    written = continuations(
        model, rows, arguments.max_new_tokens, sampling, arguments.num_beams
    )
    for row, prompt in enumerate(prompts):
        print("\n" * bool(row) + prompt, end="", flush=True)
        for piece in until(stop, whole_characters(tokenizer, next(written))):
            print(piece, end="", flush=True)
        print()
    return 0


def continuations(
    model: GPT, rows: list[list[int]], n: int, sampling: Sampling, beams: int | None
) -> Iterator[Iterable[int]]:
    """What the model adds to each row: to a single one id by id, as they are chosen, to
    more of them TOGETHER rows at a time.
    """
    if beams is not None:
        yield from (beam_search(model, row, n, beams) for row in rows)
    elif len(rows) == 1:
        yield generate(model, rows[0], n, sampling)
    else:
        for first in range(0, len(rows), TOGETHER):
            some, rules = rows[first : first + TOGETHER], sampling.seeded(first)
            yield from generate_batch(model, some, n, rules)


def read_prompts(arguments: argparse.Namespace) -> list[str]:
    """The prompts of the command line and of the file; one empty prompt if there is none."""
    prompts = list(arguments.prompt)
    if arguments.prompts_file is not None:
        file = arguments.prompts_file
        text = sys.stdin.read() if file == "-" else read_text(Path(file))
        prompts += text.removesuffix("\n").split("\n") if text else []
    return prompts or [""]
