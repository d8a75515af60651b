"""The museum of the chapter "When training goes wrong": small trainings, each with one
bug that raises no error.

A training is made of five parts, and a bug is a part (in one case two) replaced by
another.

Shapes: N rows, T time, B batch, H heads, D head size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from llmlib.evaluation.metrics import next_token_loss
from llmlib.evaluation.models import evaluating
from llmlib.model.attention import Attention
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.training.schedules import cosine

Pair = tuple[Tensor, Tensor]
N_VAL = 100  # rows that are kept for validation


# What is right.


def split(rows: Int[Tensor, "N T"]) -> Pair:
    """Rows to learn from, and rows to validate on."""
    return rows[N_VAL:], rows[:N_VAL]


def cut(rows: Int[Tensor, "B T"]) -> Pair:
    """Inputs and targets: for each token, the one after it."""
    return rows[:, :-1], rows[:, 1:]


def step(
    model: nn.Module, optimizer: Optimizer, inputs: Tensor, targets: Tensor
) -> float:
    """One step of training; its loss."""
    loss = next_token_loss(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def validate(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """The mean loss with dropout off, in nats per token."""
    with evaluating(model):
        return next_token_loss(model(inputs), targets).item()


@dataclass(frozen=True)
class Parts:
    """What a training is made of."""

    build: Callable[[GPTConfig], GPT] = GPT
    split: Callable[[Tensor], Pair] = split
    cut: Callable[[Tensor], Pair] = cut
    step: Callable[[nn.Module, Optimizer, Tensor, Tensor], float] = step
    validate: Callable[[nn.Module, Tensor, Tensor], float] = validate


def train(
    parts: Parts,
    config: GPTConfig,
    rows: Int[Tensor, "N T"],
    *,
    steps: int = 120,
    batch_size: int = 32,
    rate: float = 0.01,
    seed: int = 0,
) -> Iterator[tuple[int, float, GPT]]:
    """Trains on rows; every ten steps the step, the loss that `validate` reports, and the
    model. Weights to begin with and batches depend on the seed, and not on the bug.
    """
    torch.manual_seed(seed)
    model = parts.build(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), fused=True)
    learn, held_out = parts.split(rows)
    draws = torch.Generator().manual_seed(seed)  # which no bug draws from
    for i in range(steps):
        optimizer.param_groups[0]["lr"] = rate * cosine(
            i, warmup_iters=steps // 10, max_iters=steps
        )
        chosen = torch.randint(len(learn), (batch_size,), generator=draws)
        parts.step(model, optimizer, *parts.cut(learn[chosen]))
        if (i + 1) % 10 == 0:
            yield i + 1, parts.validate(model, *parts.cut(held_out)), model


# Bugs in the model.


def with_attention(config: GPTConfig, kind: type[Attention]) -> GPT:
    """A GPT with another attention, and the same weights to begin with."""
    model = GPT(config)
    for block in model.blocks:
        right: Any = block.attention
        wrong = kind(config.n_embd, config.n_head, rotary=right.rotary)
        wrong.load_state_dict(right.state_dict())
        block.attention = wrong
    return model


def without_mask(config: GPTConfig) -> GPT:
    """Every position sees every other."""
    return GPT(replace(config, attention="everything"))


def one_too_far(query: Tensor, key: Tensor) -> Tensor:
    """A mask that lets every position see one more than it should."""
    return key <= query + 1


def mask_off_by_one(config: GPTConfig) -> GPT:
    """Every position sees the token that it has to predict."""
    model = GPT(config)
    for part in model.modules():
        if isinstance(part, Attention):
            part.mask = one_too_far
    return model


class MergedAttention(Attention):
    """The heads' results, laid out by head, are read as if laid out by position."""

    def attend(
        self,
        q: Float[Tensor, "B H T D"],
        k: Float[Tensor, "B H S D"],
        v: Float[Tensor, "B H S D"],
        start: int,
    ) -> Float[Tensor, "B H T D"]:
        gathered = super().attend(q, k, v, start)
        batch, heads, time, size = gathered.shape
        return gathered.reshape(batch, time, heads, size).transpose(1, 2)


class WidthScaledAttention(Attention):
    """Scores are divided by the root of the width H · D, not of the head size D."""

    def attend(
        self,
        q: Float[Tensor, "B H T D"],
        k: Float[Tensor, "B H S D"],
        v: Float[Tensor, "B H S D"],
        start: int,
    ) -> Float[Tensor, "B H T D"]:
        return super().attend(q / self.n_head**0.5, k, v, start)


def merged_heads(config: GPTConfig) -> GPT:
    """Heads are merged without the transpose before it."""
    return with_attention(config, MergedAttention)


def scaled_by_width(config: GPTConfig) -> GPT:
    """Scores are smaller than they should be."""
    return with_attention(config, WidthScaledAttention)


def without_positions(config: GPTConfig) -> GPT:
    """Nobody tells the model where a token stands."""
    return GPT(replace(config, positions="none"))


def with_dropout(config: GPTConfig) -> GPT:
    """No bug: a fifth of the numbers is dropped in training."""
    return GPT(replace(config, dropout=0.2))


# Bugs in the data.


def not_shifted(rows: Int[Tensor, "B T"]) -> Pair:
    """The targets are the inputs."""
    return rows[:, :-1], rows[:, :-1]


def shifted_twice(rows: Int[Tensor, "B T"]) -> Pair:
    """Both the batch and the loss shift the targets by one."""
    return rows[:, :-2], rows[:, 2:]


def leaking_split(rows: Int[Tensor, "N T"]) -> Pair:
    """A few stories, each of them several times, shuffled, then split."""
    copies = rows[N_VAL : N_VAL + 50].repeat(6, 1)
    order = torch.randperm(len(copies), generator=torch.Generator().manual_seed(0))
    shuffled = copies[order]
    return shuffled[N_VAL:], shuffled[:N_VAL]


# Bugs in the loop.


def step_without_zero_grad(
    model: nn.Module, optimizer: Optimizer, inputs: Tensor, targets: Tensor
) -> float:
    """Gradients add up from step to step."""
    loss = next_token_loss(model(inputs), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


def step_in_bfloat16(
    model: nn.Module, optimizer: Optimizer, inputs: Tensor, targets: Tensor
) -> float:
    """The weights are stored in bfloat16, which has eight bits for the digits."""
    loss = step(model, optimizer, inputs, targets)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.bfloat16())
    return loss


def step_on_probabilities(
    model: nn.Module, optimizer: Optimizer, inputs: Tensor, targets: Tensor
) -> float:
    """The loss, which takes logits, is given their softmax."""
    loss = next_token_loss(model(inputs).softmax(-1), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def validate_on_probabilities(
    model: nn.Module, inputs: Tensor, targets: Tensor
) -> float:
    """The loss, which takes logits, is given their softmax here as well."""
    with evaluating(model):
        return next_token_loss(model(inputs).softmax(-1), targets).item()


def validate_in_training_mode(
    model: nn.Module, inputs: Tensor, targets: Tensor
) -> float:
    """Dropout stays on."""
    with torch.no_grad():
        return next_token_loss(model.train()(inputs), targets).item()
