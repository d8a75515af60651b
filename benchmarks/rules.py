"""The rules of sampling with the village as judge: of the stories that the shipped model
writes under each, how many are possible, and how many phrases are different ones.

    python -m benchmarks.rules [--quick]

Four hundred stories a rule, of the same seeds for all. The share of different phrases falls
with the number of stories, so it is the mean of that in each hundred. One thread; takes about
three minutes.
"""

from statistics import mean
from typing import Any

import torch

from benchmarks.machine import aligned, describe, report
from llmlib import Sampling, StoryGrammar, generate_batch, load_model

HUNDREDS = 4
MAX_NEW_TOKENS = 185  # nearly all stories end before
PATHS: dict[str, list[dict[str, float]]] = {
    "temperature 0.3 to 1.2": [{"temperature": t} for t in (0.3, 0.6, 0.8, 1, 1.2)],
    "top-k of 3 to 100": [{"top_k": k} for k in (3, 15, 100)],
    "top-p of 0.6 to 0.99": [{"top_p": p} for p in (0.6, 0.9, 0.99)],
    "min-p of 0.5 to 0.02": [{"min_p": m} for m in (0.5, 0.1, 0.02)],
    "combined": [
        {"temperature": 1.5},
        {"temperature": 1.5, "min_p": 0.1},
        {"temperature": 1.5, "min_p": 0.2},
        {"top_k": 3, "min_p": 0.02},
    ],
}


def different_phrases(stories: list[str]) -> float:
    """Of all phrases of four words, the share that are different ones."""
    phrases: list[tuple[str, ...]] = []
    for words in map(str.split, stories):
        phrases += zip(words, words[1:], words[2:], words[3:], strict=False)
    return len(set(phrases)) / len(phrases)


def measure(quick: bool = False) -> dict[str, Any]:
    """What the village says of each rule, and of its own stories."""
    torch.set_num_threads(1)
    model, tokenizer = load_model("stories")
    village = StoryGrammar()
    hundred, n_tokens = (2, 20) if quick else (100, MAX_NEW_TOKENS)
    parts = [range(i * hundred, (i + 1) * hundred) for i in range(HUNDREDS)]

    def judge(stories: list[list[str]]) -> dict[str, Any]:
        possible = [
            100 * mean(village.log2_prob(text) > float("-inf") for text in part)
            for part in stories
        ]
        varied = [100 * different_phrases(part) for part in stories]
        return {
            "possible": round(mean(possible), 2),
            "different phrases": round(mean(varied), 2),
            "possible by hundred": possible,
        }

    def written(rule: dict[str, Any], seed: int) -> list[str]:
        prompts = [tokenizer.start_ids] * hundred
        rows = generate_batch(model, prompts, n_tokens, Sampling(seed=seed, **rule))
        return [text.split("\n\n")[0] for text in map(tokenizer.decode, rows)]

    paths: dict[str, list[dict[str, Any]]] = {}
    for name, rules in PATHS.items():
        paths[name] = []
        for rule in rules:
            verdict = judge([written(rule, part.start) for part in parts])
            paths[name].append({"rule": rule, **verdict})
            print(paths[name][-1], flush=True)
    told = [[village.sample(1, seed).strip() for seed in part] for part in parts]
    return {
        "machine": describe(),
        "stories": HUNDREDS * hundred,
        "paths": paths,
        "the village": judge(told),
    }


def named(rule: dict[str, float]) -> str:
    """A rule to be read."""
    return ", ".join(f"{key.replace('_', '-')} {value}" for key, value in rule.items())


def table(record: dict[str, Any]) -> str:
    """A line for each rule, with the least and the most of its hundreds."""
    head = ("rule", "possible", "by hundred", "different phrases")
    verdicts = [
        (named(each["rule"]), each)
        for rules in record["paths"].values()
        for each in rules
    ]
    verdicts.append(("the village", record["the village"]))
    rows = [
        (
            name,
            f"{each['possible']:.1f}%",
            "{:.0f} to {:.0f}".format(
                min(each["possible by hundred"]), max(each["possible by hundred"])
            ),
            f"{each['different phrases']:.1f}%",
        )
        for name, each in verdicts
    ]
    return aligned(head, *rows)


def main(arguments: list[str] | None = None) -> None:
    """Measures, prints and writes the results."""
    report("rules", __doc__, measure, table, arguments)


if __name__ == "__main__":
    main()
