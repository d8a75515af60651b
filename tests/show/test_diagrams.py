"""The drawing of a model says what its config makes."""

import re

from llmlib.model.config import GPTConfig
from llmlib.model.size import size_report
from llmlib.show.diagrams import plot_model


def words(config):
    drawn = plot_model(config, alt="a model").to_html().partition("</svg>")[0]
    return re.findall(r">([^<>]+)</text>", drawn)


def test_parts_shapes_and_parameters_are_those_of_the_config():
    config = GPTConfig(vocab_size=50, block_size=16, n_layer=3, n_head=2, n_embd=8)
    shown = " ".join(words(config))
    sizes = {part.part: part.parameters for part in size_report(config).parts}
    assert "3 ×" in shown
    assert "T × 8" in shown
    assert "T × 50" in shown
    assert "shared" in shown
    assert f"{sizes['attention'] // 3:,}" in shown
    assert f"{sizes['feed-forward'] // 3:,}" in shown


def test_a_head_of_its_own_has_its_own_count():
    config = GPTConfig(50, 16, 3, 2, 8, tie_word_embeddings=False, positions="none")
    shown = " ".join(words(config))
    assert "shared" not in shown
    assert shown.split().count("400") == 2


def test_the_parameters_of_the_drawing_are_all_of_the_model():
    config = GPTConfig(50, 16, 3, 2, 8, ngram_rows=5, smear=2, embedding_norm=True)
    counts = [re.fullmatch(r"([0-9,]+)( \+)?", word) for word in words(config)]
    numbers = [int(count[1].replace(",", "")) for count in counts if count]
    embedding, last_norm, *block = numbers
    assert len(block) == 4
    every = embedding + last_norm + config.n_layer * sum(block)
    assert every == size_report(config).parameters
