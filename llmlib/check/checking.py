"""Compares a reader's function with the right one, and recognises the usual mistakes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch

CHAPTERS = (
    "stories",
    "words",
    "bpe",
    "counting",
    "embeddings",
    "attention",
    "multihead",
    "block",
    "gpt",
    "training",
    "bug_exercises",
    "speedrun",
    "sampling",
    "cache",
    "heads",
)
"""The modules of this package that hold checks, one a chapter, each in a list CHECKS."""


@dataclass(frozen=True)
class Check:
    """One exercise: what to write, what to try it on, and how people get it wrong.

    `cases` makes the arguments of each call anew, so that an answer may change them;
    each of `mistakes` is a sentence and a function that makes just this mistake.
    """

    name: str
    right: Callable[..., Any]
    cases: Callable[[], Sequence[tuple[Any, ...]]]
    mistakes: Sequence[tuple[str, Callable[..., Any]]]


def check(name: str, answer: Callable[..., Any]) -> None:
    """Prints whether the answer to the exercise of that name is right, else what is wrong
    with it.

    Raises ValueError where there is no exercise of that name, TypeError where the answer
    is not a function.
    """
    sentence = diagnosis(name, answer)
    print(f"Not yet. {sentence}" if sentence else "Right.")


def diagnosis(name: str, answer: Callable[..., Any]) -> str | None:
    """What is wrong with an answer, in a sentence, or None where it is right.

    Raises as `check`.
    """
    exercise = find(name)
    if not callable(answer):
        raise TypeError(f"an answer must be a function, got {type(answer).__name__}")
    given = outcomes(answer, exercise)
    wanted = outcomes(exercise.right, exercise)
    if all(map(same, given, wanted)):
        return None
    for sentence, mistake in exercise.mistakes:
        if all(map(same, given, outcomes(mistake, exercise))):
            return sentence
    return next(
        difference(one, other)
        for one, other in zip(given, wanted, strict=True)
        if not same(one, other)
    )


def every_check() -> list[Check]:
    """All exercises that have a check, in the book's order."""
    modules = (import_module(f"llmlib.check.{chapter}") for chapter in CHAPTERS)
    return [exercise for module in modules for exercise in module.CHECKS]


def find(name: str) -> Check:
    """The exercise of that name."""
    exercises = {exercise.name: exercise for exercise in every_check()}
    if name not in exercises:
        raise ValueError(
            f"no exercise is called {name!r}; there are {', '.join(exercises)}"
        )
    return exercises[name]


def outcomes(answer: Callable[..., Any], exercise: Check) -> list[Any]:
    """What an answer gives for each case; an error counts as what it gives."""
    given: list[Any] = []
    for arguments in exercise.cases():
        try:
            given.append(answer(*arguments))
        except Exception as error:
            given.append(error)
    return given


def same(given: Any, wanted: Any) -> bool:
    """Whether an outcome is the one that is wanted: numbers to a ten-thousandth, errors
    in their kind. In place of numbers and lists, a tensor or an array of them will do.
    """
    if isinstance(given, Exception) or isinstance(wanted, Exception):
        return type(given) is type(wanted)
    if isinstance(wanted, torch.Tensor):
        if not isinstance(given, torch.Tensor):
            return False
    elif isinstance(given, torch.Tensor | np.ndarray | np.generic):
        given = given.tolist()
    if isinstance(wanted, list | tuple) and isinstance(given, list | tuple):
        return len(given) == len(wanted) and all(map(same, given, wanted))
    if isinstance(wanted, dict) and isinstance(given, dict):
        return given.keys() == wanted.keys() and all(
            same(given[key], wanted[key]) for key in wanted
        )
    try:
        torch.testing.assert_close(
            given, wanted, rtol=1e-4, atol=1e-5, equal_nan=True, check_dtype=False
        )
    except AssertionError:
        return False
    except Exception:  # texts, truth values against numbers, and what is no number
        if isinstance(given, torch.Tensor):
            return False
        return isinstance(given, type(wanted)) and bool(given == wanted)
    return True


def difference(given: Any, wanted: Any) -> str:
    """Where an answer that makes none of the known mistakes first goes wrong."""
    if isinstance(given, Exception):
        return f"It raises {type(given).__name__}: {given}"
    if given is None:
        return "It gives nothing back: is there a return?"
    if isinstance(wanted, Exception):
        return f"It should raise {type(wanted).__name__} here: {wanted}"
    if not isinstance(wanted, torch.Tensor):
        return f"It gives {given!r} where {wanted!r} is wanted."
    if not isinstance(given, torch.Tensor):
        return f"It gives {type(given).__name__} where a tensor is wanted."
    if given.shape != wanted.shape:
        return (
            f"Its shape is {tuple(given.shape)} where {tuple(wanted.shape)} is wanted."
        )
    missing = int((given.isnan() & ~wanted.isnan()).sum())
    if missing:
        return (
            f"The shape is right, but {missing} of {given.numel()} numbers are nan: "
            "a division of zero by zero, or infinity less infinity?"
        )
    apart = given != wanted  # the rest may be infinite
    distance = (given.double() - wanted.double())[apart].abs().max().item()
    return f"The shape is right, but numbers differ by up to {distance:.3g}."
