"""The settings of ``llmlib train``: what each means, and what it is where none is given."""

import argparse
from dataclasses import asdict

from llmlib.cli.options import add_option
from llmlib.training.recipes import fast_recipe, plain_recipe

RECIPES = {"plain": plain_recipe, "fast": fast_recipe}
RECIPE = "fast"
SHAPES = {
    "n_layer": "blocks, one after the other",
    "n_head": "heads of attention in a block",
    "n_embd": "numbers that stand for a token",
    "block_size": "tokens that the model reads at once, its context",
}
SETTINGS: dict[str, tuple[type, str]] = {
    **{name: (int, meaning) for name, meaning in SHAPES.items()},
    "dropout": (
        float,
        "share of the numbers that a step leaves out, so that less is learnt by heart",
    ),
    "batch_size": (int, "pieces of text in a step, each of --block-size tokens"),
    "max_iters": (int, "steps of the training"),
    "learning_rate": (
        float,
        "how far a step goes, at the highest (fast: in the blocks alone)",
    ),
    "eval_interval": (int, "steps from one validation to the next"),
    "seed": (int, "the same seed begins with the same weights and draws the same text"),
    "device": (str, "what computes: auto, cpu, cuda or mps"),
    "precision": (str, "of the multiplications: auto, float32 or bfloat16"),
}
BLOCK_SIZE = 128
READINGS = 5  # of the training text, if that takes no fewer and no more steps than
FEWEST_STEPS, MOST_STEPS = 100, 1000
DEFAULTS = {
    "block_size": f"{BLOCK_SIZE}",
    "max_iters": f"{READINGS} readings of the text, but {FEWEST_STEPS} to {MOST_STEPS} steps",
    "eval_interval": "a tenth of --max-iters",
}
MEANING = f"""plain is GPT-2 in small, trained by AdamW; fast has newer parts (rotary
positions, SwiGLU, the optimizer Muon) and reaches the same loss with a fraction of the
tokens; by default {RECIPE}"""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the recipe, and an option for each setting that changes it."""
    parser.add_argument("--recipe", choices=RECIPES, help=MEANING)
    for name, (kind, meaning) in SETTINGS.items():
        add_option(parser, name, kind, f"{meaning}; by default {default_of(name)}")


def default_of(name: str) -> str:
    """What a setting is where none is given: one value, or one for each recipe."""
    if name in DEFAULTS:
        return DEFAULTS[name]
    values = {}
    for recipe, build in RECIPES.items():
        model, training = build(1)
        values[recipe] = (asdict(model) | asdict(training))[name]
    if len(set(values.values())) == 1:
        return str(values["fast"])
    return ", ".join(f"{value} ({recipe})" for recipe, value in values.items())
