"""Every check accepts what is right, and names each mistake that it knows."""

import ast
import math
import re
from contextlib import suppress
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from llmlib.check import check, diagnosis
from llmlib.check.checking import difference, every_check, outcomes, same

CHECKS = every_check()
MISTAKES = [(c, *mistake) for c in CHECKS for mistake in c.mistakes]
BOOK = Path(__file__).resolve().parents[2] / "book"


@pytest.mark.parametrize("exercise", CHECKS, ids=lambda c: c.name)
def test_the_right_answer_is_accepted(exercise, capsys):
    assert diagnosis(exercise.name, exercise.right) is None
    check(exercise.name, exercise.right)
    assert capsys.readouterr().out == "Right.\n"


def solutions(source):
    """What a chapter hands to `check`, by exercise; of it, only functions are run."""
    names, found = {}, {}
    for node in ast.parse(re.sub(r"(?m)^(\s*)%.*", r"\1pass", source)).body:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef):
            with suppress(NameError):  # a default that the chapter computes
                exec(compile(ast.Module([node], []), "chapter", "exec"), names)
        elif ast.unparse(node).startswith("check("):
            exercise, answer = node.value.args
            found[exercise.value] = names[answer.id]
    return found


def test_the_solutions_in_the_book_are_accepted():
    found = {}
    for path in BOOK.rglob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        source = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        if "\ncheck(" in source:
            found |= solutions(source)
    assert {name: diagnosis(name, answer) for name, answer in found.items()} == (
        {exercise.name: None for exercise in CHECKS}
    )


@pytest.mark.parametrize(("exercise", "sentence", "mistake"), MISTAKES)
def test_a_mistake_is_rejected_in_its_own_words(exercise, sentence, mistake):
    assert diagnosis(exercise.name, mistake) == sentence


def with_one_token_twice(ids, pair, token):
    starts = {i for i in range(len(ids)) if tuple(ids[i : i + 2]) == pair}
    left = [i for i in range(len(ids)) if i in starts or i - 1 not in starts]
    return [token if i in starts else ids[i] for i in left]


def from_the_left(piece, merges):
    i, word = 0, list(piece)
    while i + 1 < len(word):
        if (word[i], word[i + 1]) in merges:
            i, word = 0, [*word[:i], word[i] + word[i + 1], *word[i + 2 :]]
        else:
            i += 1
    return word


def by_root_mean_square(x, gain, bias):
    return F.rms_norm(x, x.shape[-1:], gain, 1e-5) + bias


def along_a_cosine(step):
    if step < 40:
        return min((step + 1) / 11, 1.0)
    return math.cos(math.pi * (step - 40) / 120) ** 2


def means_of_channels(x):
    return torch.stack([x[:, : i + 1].mean(1) for i in range(x.shape[1])], 1)


def size_of_gpt(V, T, C, L):
    return V * C + T * C + L * (12 * C * C + 2 * C) + C


@pytest.mark.parametrize(
    ("name", "part", "answer"),
    [
        ("merge a pair", "Two merges share a token", with_one_token_twice),
        ("encode with merges", "from left to right", from_the_left),
        ("cross-entropy", "are bits", lambda z, y: F.cross_entropy(z, y) / math.log(2)),
        ("running means", "along the channels", means_of_channels),
        ("sliding window", "no window", lambda query, key, window: query >= key),
        ("layer norm", "is RMSNorm", by_root_mean_square),
        ("count parameters", "T rows", lambda V, T, C, L: size_of_gpt(V, 0, C, L)),
        (
            "count parameters",
            "C too few",
            lambda V, T, C, L: size_of_gpt(V, T, C, L) - C,
        ),
        ("trapezoid", "a cosine", along_a_cosine),
        ("trapezoid", "99, has", lambda s: min((s + 1) / 11, 1.0, (99 - s) / 59)),
        ("top-p", "own probability", lambda p, top: kept(p, p >= top)),
    ],
)
def test_a_readers_mistake_is_recognised(name, part, answer):
    assert part in diagnosis(name, answer)


@pytest.mark.parametrize("exercise", CHECKS, ids=lambda c: c.name)
def test_nothing_and_an_error_are_no_known_mistakes(exercise):
    assert "is there a return" in diagnosis(exercise.name, lambda *_: None)
    assert "raises KeyError" in diagnosis(exercise.name, lambda *_: {}[0])


@pytest.mark.parametrize("exercise", CHECKS, ids=lambda c: c.name)
def test_three_mistakes_at_least_are_known_and_none_is_the_right_answer(exercise):
    wanted = outcomes(exercise.right, exercise)
    assert not any(isinstance(outcome, Exception) for outcome in wanted)
    assert len({sentence for sentence, _ in exercise.mistakes}) >= 3
    for _, mistake in exercise.mistakes:
        assert not all(map(same, outcomes(mistake, exercise), wanted))


def test_names_are_used_once():
    names = [exercise.name for exercise in CHECKS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (lambda q, k: None, "is there a return"),
        (lambda q, k: q @ k, "raises RuntimeError"),
        (lambda q: q, "raises TypeError"),
        (lambda q, k: (q @ k.mT)[0], r"shape is (5, 5) where (2, 5, 5)"),
        (lambda q, k: q @ k.mT + 1, "differ by up to"),
        (lambda q, k: 3.0, "gives float where a tensor"),
        (lambda q, k: (q @ k.mT).numpy(), "gives ndarray where a tensor"),
        (lambda q, k: q @ k.mT / 0 * 0, "50 of 50 numbers are nan"),
        (lambda q, k: q @ k.mT / 0, "differ by up to inf"),
    ],
)
def test_an_unknown_mistake_is_described(answer, part, capsys):
    assert part in diagnosis("attention scores", answer)
    check("attention scores", answer)
    assert capsys.readouterr().out.startswith("Not yet. ")


@pytest.mark.parametrize(
    ("name", "answer", "part"),
    [
        ("trapezoid", lambda step: step < 10, "gives True where 0.0909"),
        ("count parameters", lambda *sizes: True, "gives True where"),
        ("count parameters", lambda *sizes: 10**400, "where 869504 is wanted"),
        ("who sees the future", lambda moved: 3, "gives 3 where None"),
        ("who sees the future", lambda moved: moved.max(), "gives tensor("),
    ],
)
def test_an_answer_of_another_kind_is_described(name, answer, part):
    assert part in diagnosis(name, answer)


def test_unknown_names_and_answers_that_are_no_functions():
    with pytest.raises(ValueError, match="no exercise is called 'scores'"):
        check("scores", len)
    with pytest.raises(TypeError, match="an answer must be a function, got Tensor"):
        check("attention scores", torch.zeros(2))


def test_texts_lists_and_numbers_are_compared():
    assert same("ab", "ab")
    assert not same("ab", "ba")
    assert same([1, 2], [1, 2])
    assert not same([1, 2], [1, 2, 3])
    assert same(0.5, 0.500001)
    assert not same(torch.zeros(2), [0.0, 0.0, 0.0])
    assert same({"a": 1.0}, {"a": 1.0})
    assert not same({"a": 1.0}, {"b": 1.0})
    assert not same(["a"], "a")


@pytest.mark.parametrize(
    "made_of",
    [np.array, torch.tensor, lambda numbers: [*map(np.float32, numbers)]],
    ids=["array", "tensor", "list of NumPy's numbers"],
)
def test_other_kinds_of_numbers_are_as_good(made_of):
    for wanted in ([1.5, 2.0], (1.5, 2.0)):
        assert same(made_of([1.5, 2.0]), wanted)
        assert not same(made_of([1.5, 2.1]), wanted)
        assert not same(made_of([1.5]), wanted)
        assert same({"a": made_of([1.5, 2.0])}, {"a": wanted})
    assert same(made_of([1.5])[0], 1.5)
    assert not same(made_of([1.5, 2.0]), 1.5)
    assert not same({"a": made_of([1.5, 2.0])}, {"a": 1.5})
    assert not same(made_of([1.5, 2.0]), "1.5")


def test_infinities_that_are_wanted_hide_no_distance():
    wanted = torch.tensor([float("-inf"), 1.0])
    assert difference(torch.tensor([float("-inf"), 3.0]), wanted).endswith("up to 2.")


def kept(p, keep):
    p = p * keep
    return p / p.sum()


def with_one_too_many(p, top):
    order = p.argsort(descending=True)
    reached = p[order].cumsum(0) - p[order] <= top
    return kept(p, torch.zeros(len(p)).index_put((order,), reached.float()))


def with_all_that_are_alike(p, top):
    order = p.argsort(descending=True)
    least = p[order][p[order].cumsum(0) - p[order] < top].min()
    return kept(p, p >= least)


def by_columns(moved):
    leaks = moved.tril(-1).T.nonzero().tolist()
    return leaks[0] if leaks else None


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("top-p", with_one_too_many),
        ("top-p", with_all_that_are_alike),
        ("who sees the future", by_columns),
    ],
)
def test_wrong_answers_that_were_once_accepted_are_refused(name, answer):
    assert diagnosis(name, answer) is not None


def test_a_loss_may_be_a_number():
    def whole(losses, counts):
        pairs = zip(losses.tolist(), counts.tolist(), strict=True)
        return sum(loss * n for loss, n in pairs) / sum(counts.tolist())

    assert diagnosis("the loss of all pieces", whole) is None
