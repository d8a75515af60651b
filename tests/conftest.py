"""Array shapes written in the package's annotations are checked while the tests run."""

from jaxtyping import install_import_hook

CHECKED = [
    "llmlib.model.attention",
    "llmlib.model.bigram",
    "llmlib.model.blocks",
    "llmlib.model.cache",
    "llmlib.model.gpt",
    "llmlib.model.positions",
    "llmlib.evaluation.metrics",
]

install_import_hook(CHECKED, "beartype.beartype")
