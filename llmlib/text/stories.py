"""The story world: a grammar that writes small stories and knows their probability.

The rules are prose, in `village.md` beside this file; `rules` says how to read them.
Because the probability of every choice is known, so is that of every text, and a
language model can be held against the truth instead of a guess.

`sample` walks down one way of telling. `surprisal` follows all of them at once: it is
the forward pass of a hidden Markov model (Baum and Petrie, 1966) whose states are what
is still to be written and what is remembered.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate
from math import fsum, inf, log2
from random import Random
from typing import Any

from llmlib.text.counts import checked_count
from llmlib.text.rules import Option
from llmlib.text.symbols import Choice, Items, Rules, Symbol

Memory = tuple[Option | None, ...]  # what each slot holds
State = tuple[Any, Memory]  # what is to be written, as (item, rest), and the memory

END = "\n\n"  # after every story


@dataclass(frozen=True)
class Dependence:
    """A place where the story so far decides what comes: `story[start:end]`.

    `kind` says what is remembered ("name", "pronoun", "object", ...). `candidates` are
    all that the grammar could have written there after some other beginning.
    `sources` are the places before it that mention the same: `story[a:b]` for (a, b).
    """

    kind: str
    start: int
    end: int
    candidates: tuple[str, ...]
    sources: tuple[tuple[int, int], ...]

    @property
    def distance(self) -> int:
        """Characters since the latest of the sources."""
        return self.start - self.sources[-1][1]


class StoryGrammar:
    """Stories without end, and the exact probability of any text under their rules.

    `rules` is a text as `llmlib.text.rules` describes it, with a rule called `story`;
    without one, it is the village of Pennywell. Raises ValueError where the rules
    mention something that they do not have.
    """

    def __init__(self, rules: str | None = None) -> None:
        if rules is None:
            rules = files(__package__).joinpath("village.md").read_text("utf-8")
        linked = Rules(rules)
        self._story = linked.story
        self._blank: Memory = (None,) * linked.slots
        self._remaining: dict[tuple[Choice, Memory], Choice] = {}

    def sample(self, n_stories: int, seed: int) -> str:
        """`n_stories` independent stories, each followed by a blank line.

        The same for the same seed, and the beginning of what more stories would be.
        Raises ValueError when `n_stories` is negative, TypeError when it is no int.
        """
        n_stories = checked_count("n_stories", n_stories, least=0)
        random = Random(seed)
        return "".join("".join(self._tell(random)[0]) for _ in range(n_stories))

    def annotated(
        self, seed: int, min_distance: int = 40
    ) -> tuple[str, list[Dependence]]:
        """The story of `sample(1, seed)`, and where in it earlier words decide later ones.

        A dependence is a mention of a slot that the rules mark with `!kind`, at least
        `min_distance` characters after the slot's mention before it.
        """
        pieces, mentions = self._tell(Random(seed))
        offsets = [0, *accumulate(map(len, pieces))]
        found: list[Dependence] = []
        so_far = defaultdict[int, list[tuple[int, int]]](list)  # where each slot was
        for symbol, slot, piece in mentions:
            start, end = offsets[piece : piece + 2]
            sources = tuple(so_far[slot])
            if symbol.kind and sources and start - sources[-1][1] >= min_distance:
                texts = dict.fromkeys(str(text) for (text,) in symbol.write.values())
                place = (start, end, tuple(texts), sources)
                found.append(Dependence(symbol.kind, *place))
            so_far[slot].append((start, end))
        return "".join(pieces), found

    def log2_prob(self, text: str) -> float:
        """log2 P(an endless stream of stories begins with `text`); -inf if it never does."""
        return 0.0 - fsum(self.surprisal(text))

    def bits_per_character(self, stories: str | Sequence[str]) -> float:
        """The floor: the mean surprisal of these stories, each by itself, under the
        grammar that wrote them. Raises ValueError where there is no character.
        """
        stories = [stories] if isinstance(stories, str) else stories
        n_characters = sum(map(len, stories))
        if not n_characters:
            raise ValueError("there are no characters to score")
        return -sum(map(self.log2_prob, stories)) / n_characters

    def surprisal(self, text: str) -> list[float]:
        """Bits of each character given all before it: -log2 P(text[i] | text[:i]).

        They sum to -log2_prob(text). From the first character that the grammar cannot
        write, all are infinite.
        """
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got a {type(text).__name__}")
        bits: list[float] = []
        # mass[i] = P(text[base : i + 1] | text[:base]), summed over the hypotheses.
        mass = [0.0] * len(text)
        base = reach = 0  # where mass counts from; how far any hypothesis was followed
        start: State = ((), self._blank)
        waiting = {0: {start: 1.0}}  # the hypotheses, by where in the text they stand
        while waiting:
            at = min(waiting)
            states = waiting.pop(at)
            if reach <= at and len(states) == 1:
                # All hypotheses left agree: count from here, so that nothing underflows.
                # Those that break off just here keep their share of mass[at - 1].
                bits += _surprisals(mass[base:at])
                before = mass[at - 1] if at > base else 1.0
                states = {state: chance / before for state, chance in states.items()}
                base = at
            if at == len(text):
                continue
            for literal, state, chance in self._literals(states, text[at]):
                end = at + len(literal)
                if text.startswith(literal, at):
                    arriving = waiting.setdefault(end, {})
                    arriving[state] = arriving.get(state, 0.0) + chance
                else:
                    end = at + _common(literal, text[at:end])
                for i in range(at, end):
                    mass[i] += chance
                reach = max(reach, end)
        return bits + _surprisals(mass[base:])

    def _tell(self, random: Random) -> tuple[list[str], list[tuple[Symbol, int, int]]]:
        """One story: its pieces, and the mentions of slots: (symbol, slot, piece)."""
        pieces: list[str] = []
        mentions: list[tuple[Symbol, int, int]] = []
        memory, draw = self._blank, random.random
        todo: list[str | Symbol] = [END, self._story]
        while todo:
            item = todo.pop()
            if isinstance(item, str):
                pieces.append(item)
                continue
            step = item.plain or self._step(item, memory)
            if isinstance(step, Choice):
                option = step.options[bisect(step.borders, draw())]
                items, memory = item.write[option], _remember(item, option, memory)
            else:
                items = step
            if item.slot is not None and len(items) == 1:
                mentions.append((item, item.slot, len(pieces)))
            todo += items[::-1]
        return pieces, mentions

    def _literals(
        self, states: dict[State, float], first: str
    ) -> Iterator[tuple[str, State, float]]:
        """The literals that can come next and begin with `first`, after some `states`.

        Each with the state that follows it and the chance of both.
        """
        todo = list(states.items())
        while todo:
            (rest, memory), chance = todo.pop()
            item, rest = rest or (self._story, (END, ()))
            if isinstance(item, str):
                if item[0] == first:
                    yield item, (rest, memory if rest else self._blank), chance
                continue
            step = item.plain or self._step(item, memory)
            if not isinstance(step, Choice):
                todo.append(((_push(step, rest), memory), chance))
                continue
            for option, share in zip(step.options, step.chances, strict=True):
                items = item.write[option]
                if not items or not isinstance(items[0], str) or items[0][0] == first:
                    state = (_push(items, rest), _remember(item, option, memory))
                    todo.append((state, chance * share))

    def _step(self, symbol: Symbol, memory: Memory) -> Items | Choice:
        """What a symbol stands for: its text, or a choice where that is not settled."""
        if symbol.slot is not None and (option := memory[symbol.slot]) is not None:
            return symbol.write[option]
        if symbol.key is not None and memory[symbol.key] is None:
            return symbol.key_first
        choice = symbol.choices[None if symbol.key is None else memory[symbol.key]]
        taken = tuple(memory[slot] for slot in symbol.rivals if memory[slot])
        if not taken:
            return choice
        if (choice, taken) not in self._remaining:
            left = [option for option in choice.options if option not in taken]
            self._remaining[choice, taken] = Choice(left)
        return self._remaining[choice, taken]


def _remember(symbol: Symbol, option: Option, memory: Memory) -> Memory:
    slot = symbol.slot
    return memory if slot is None else (*memory[:slot], option, *memory[slot + 1 :])


def _push(items: Items, rest: Any) -> Any:
    for item in reversed(items):
        rest = (item, rest)
    return rest


def _common(a: str, b: str) -> int:
    """How many characters two strings share from their beginnings."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


def _surprisals(mass: list[float]) -> list[float]:
    """Bits a character from the probabilities of ever longer beginnings."""
    pairs = zip([1.0, *mass], mass, strict=False)
    return [max(0.0, log2(old / new)) if new else inf for old, new in pairs]
