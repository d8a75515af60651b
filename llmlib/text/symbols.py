"""Rules, linked: each reference becomes a symbol that knows all that it can write."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from llmlib.text.rules import Option, parse

REFERENCE = re.compile(r"\{(\w+)(?:\.(\w+))?(?:@(\w+)\.(\w+))?(?:!(\w+))?\}")
SOURCE = re.compile(r"(\w+)(?:@(\w+)\.(\w+))?")
PART = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]")


class Choice:
    """Options with their probabilities.

    `bisect` in `borders` finds the option on which a number in [0, 1) falls.
    """

    def __init__(self, options: list[Option]) -> None:
        if not options:
            raise ValueError("nothing is left to choose from")
        total = sum(option.weight for option in options)
        self.options = options
        self.chances = [option.weight / total for option in options]
        self.borders = list(accumulate(self.chances))[:-1]


@dataclass(eq=False)
class Symbol:
    """A reference linked to all that it can write. `Rules` makes it, once and for all.

    `choices` holds what it chooses from, by the option in the slot `key`; by None if it
    has no key. `slot` is its place in memory; None for a rule, which is drawn afresh each
    time. `key_first` is what stands for it while its key is not drawn yet: the key,
    unseen, then the symbol again. `rivals` are the other slots of the same rule.
    """

    choices: dict[Option | None, Choice]
    slot: int | None = None
    key: int | None = None
    key_first: Items = ()
    rivals: tuple[int, ...] = ()
    kind: str | None = None
    write: dict[Option, Items] = field(default_factory=dict)

    @cached_property
    def plain(self) -> Choice | None:
        """What it chooses from where neither memory nor a key has a say."""
        return self.choices[None] if self.slot is None and self.key is None else None

    @property
    def options(self) -> dict[Option, None]:
        """Every option that it has under any key, in order."""
        choices = self.choices.values()
        return {option: None for choice in choices for option in choice.options}

    @property
    def literal(self) -> bool:
        """Whether each of its texts is one plain string."""
        texts = self.write.values()
        return all(len(items) == 1 and isinstance(items[0], str) for items in texts)


Items = tuple[str | Symbol, ...]  # a text, compiled


class Rules:
    """A text of rules, linked: `story` is the symbol to begin with, `slots` their number.

    Raises ValueError where the text mentions a rule, slot or column that is not there.
    """

    def __init__(self, text: str) -> None:
        self._options, self._sources = parse(text)
        self._places = {name: place for place, name in enumerate(self._sources)}
        self._symbols: dict[str, Symbol] = {}
        self.slots = len(self._sources)
        self.story = self._symbol("{story}")

    def _symbol(self, reference: str) -> Symbol:
        """The symbol of a `{reference}`, and with it every symbol that it can lead to."""
        if reference in self._symbols:
            return self._symbols[reference]
        match = REFERENCE.fullmatch(reference)
        if match is None:
            raise ValueError(f"{reference} is not {{name.column@slot.column!kind}}")
        name, column, *key, kind = match.groups()
        capital = (column or name)[0].isupper()
        name, column = _small(name), column and _small(column)
        source = self._sources.get(name)
        rule, *key = _source(source) if source else (name, *key)
        alike = [slot for slot in self._sources if self._sources[slot] == source]
        try:
            symbol = Symbol(
                self._choices(rule, *key), self._places.get(name), kind=kind
            )
            symbol.rivals = tuple(self._places[slot] for slot in alike if slot != name)
            self._symbols[reference] = symbol
            if key[0]:
                symbol.key = self._places[key[0]]
                symbol.key_first = (self._unseen(key[0]), symbol)
            for option in symbol.options:
                symbol.write[option] = self._compile(option.text(column), capital)
            if kind and not (symbol.literal and source):
                raise ValueError("only a slot with plain texts can be marked")
        except ValueError as error:
            raise ValueError(f"in {reference}: {error}") from error
        return symbol

    def _choices(
        self, rule: str, key: str | None, column: str | None
    ) -> dict[Option | None, Choice]:
        if key is None:
            return {None: Choice(self._list(rule))}
        if key not in self._sources:
            raise ValueError(f"no slot {key!r}, only {', '.join(self._sources)}")
        options = Symbol(self._choices(*_source(self._sources[key]))).options
        named = {option: f"{rule}@{option.text(column)}" for option in options}
        return {option: Choice(self._list(name)) for option, name in named.items()}

    def _list(self, rule: str) -> list[Option]:
        if not self._options.get(rule):
            raise ValueError(f"no rule {rule!r} with an option to choose")
        return self._options[rule]

    def _unseen(self, slot: str) -> Symbol:
        """A slot's symbol that draws it and writes nothing."""
        seen = self._symbol(f"{{{slot}}}")
        unseen = Symbol(seen.choices, seen.slot, seen.key, rivals=seen.rivals)
        unseen.key_first = seen.key_first and (seen.key_first[0], unseen)
        unseen.write = dict.fromkeys(seen.options, ())
        return unseen

    def _among(self, texts: str) -> Symbol:
        """The symbol of a small choice, `[this/that]`."""
        if texts not in self._symbols:
            options = [Option(1, {"text": text}) for text in texts[1:-1].split("/")]
            write = {option: self._compile(option.text(None)) for option in options}
            self._symbols[texts] = Symbol({None: Choice(options)}, write=write)
        return self._symbols[texts]

    def _compile(self, text: str, capital: bool = False) -> Items:
        if capital:
            text = _capitalised(text)
        items: list[str | Symbol] = []
        at = 0
        for part in PART.finditer(text):
            linked = self._symbol if part[0].startswith("{") else self._among
            items += [text[at : part.start()].replace("_", " "), linked(part[0])]
            at = part.end()
        items.append(text[at:].replace("_", " "))
        if any(isinstance(item, str) and set(item) & set("{}[]") for item in items):
            raise ValueError(f"a brace or bracket without its partner in {text!r}")
        return tuple(item for item in items if item != "")


def _capitalised(text: str) -> str:
    """With a capital letter at the start; in a leading `[this/that]`, on each text."""
    end = text.find("]") + 1 if text.startswith("[") else 1
    start = re.sub(r"(^\[?|/)[a-z]", lambda letter: letter[0].upper(), text[:end])
    return start + text[end:]


def _small(name: str) -> str:
    return name[0].lower() + name[1:]


def _source(source: str) -> tuple[str, str | None, str | None]:
    """The rule of a slot; in `things@hero.temper` also the slot and column for its key."""
    match = SOURCE.fullmatch(source)
    if match is None:
        raise ValueError(f"a slot is of a 'rule' or 'rule@slot.column', not {source!r}")
    rule, key, column = match.groups()
    return rule, key, column
