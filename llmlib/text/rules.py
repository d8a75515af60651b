"""The language in which a story grammar is written: Markdown that a person can read.

`### name` opens a *rule*, a list of ways to say one thing. Each bullet is an option
(indented lines continue it; `- (3) ` makes it three times as likely), or each row of a
table, whose columns are then forms of one thing. `### slot = rule` makes a *slot*: its
option is drawn when it is first needed and remembered to the end of the story, and two
slots of one rule never hold the same option. An underscore is a space where Markdown
would lose one. All other text is commentary.

A reference `{name.column@slot.column!kind}` stands for one option of a rule or a slot.
Only the name is needed: without a column it is the first; a capital letter writes a
capital; `{said@hero.temper}` reads the rule `said@shy` when the hero is shy; `!kind`
marks a place where the story so far decides what comes. A small choice needs no name:
`[soon/before long/by noon]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)  # compared and hashed by identity, which is fast
class Option:
    """One way to say a thing: its weight, and its text by column, as written."""

    weight: int
    columns: dict[str, str]

    def text(self, column: str | None) -> str:
        """The text of a column; of the first one for None."""
        column = column or next(iter(self.columns))
        if column not in self.columns:
            raise ValueError(
                f"there is no column {column!r}, only {', '.join(self.columns)}"
            )
        return self.columns[column]


BULLET = re.compile(r"- +(?:\((\d+)\))?(.*)")


def parse(text: str) -> tuple[dict[str, list[Option]], dict[str, str]]:
    """The options of each rule, and the source of each slot, in a text of rules."""
    options: dict[str, list[Option]] = {}
    slots: dict[str, str] = {}
    name, header, in_bullet = "", None, False
    for line in text.splitlines():
        bullet, in_bullet = BULLET.fullmatch(line), in_bullet and line.startswith("  ")
        if not name and (bullet or line.startswith("|")):
            raise ValueError(f"an option stands before the first rule: {line}")
        if line.startswith("### "):
            name, _, source = (part.strip() for part in line[4:].partition("="))
            if name in options or name in slots:
                raise ValueError(f"two rules are called {name!r}")
            if source:
                slots[name] = source
            else:
                options[name], header = [], None
        elif bullet:
            option = Option(int(bullet[1] or 1), {"text": bullet[2].strip()})
            options[name].append(option)
            in_bullet = True
        elif in_bullet:
            joint = "" if option.columns["text"].endswith("/") else " "
            option.columns["text"] += joint + line.strip()
        elif line.startswith("|") and not line.startswith("|-"):
            cells = [cell.strip() for cell in line.strip("| ").split("|")]
            header = header or cells
            if len(cells) != len(header):
                raise ValueError(
                    f"{name!r} has {len(header)} columns, not as in: {line}"
                )
            if cells is not header:
                options[name].append(Option(1, dict(zip(header, cells, strict=True))))
    return options, slots
