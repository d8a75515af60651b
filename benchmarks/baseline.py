"""The baseline: what nanoGPT's documented recipe for a CPU does, in one file of our own.

The shape, initialisation, optimizer, schedule and batches are those of
github.com/karpathy/nanoGPT (`train_shakespeare_char.py` with the settings its README
gives for a CPU): GPT-2 in small with learned positions and a tied head, AdamW with
decay for matrices, warm-up and cosine, gradients clipped, fp32, PyTorch's fused
attention. It is here to be measured against, not to be built on.
"""

import math
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Baseline:
    """The shape and the settings; the defaults are the documented ones."""

    vocab_size: int = 65
    block_size: int = 64
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    batch_size: int = 12
    max_iters: int = 2000
    learning_rate: float = 1e-3
    min_lr: float = 1e-4
    warmup_iters: int = 100
    seed: int = 0


class Attention(nn.Module):
    def __init__(self, c: Baseline) -> None:
        super().__init__()
        self.n_head = c.n_head
        self.qkv = nn.Linear(c.n_embd, 3 * c.n_embd, bias=False)
        self.proj = nn.Linear(c.n_embd, c.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, time, channels = x.shape
        q, k, v = (
            t.view(batch, time, self.n_head, -1).transpose(1, 2)
            for t in self.qkv(x).split(channels, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(batch, time, channels))


class Block(nn.Module):
    def __init__(self, c: Baseline) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(c.n_embd, bias=False)
        self.attention = Attention(c)
        self.ln_2 = nn.LayerNorm(c.n_embd, bias=False)
        self.up = nn.Linear(c.n_embd, 4 * c.n_embd, bias=False)
        self.proj = nn.Linear(4 * c.n_embd, c.n_embd, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.ln_1(x))
        return x + self.proj(F.gelu(self.up(self.ln_2(x))))


class BaselineGPT(nn.Module):
    """Ids (B, T) to logits (B, T, V)."""

    def __init__(self, c: Baseline) -> None:
        super().__init__()
        self.block_size, self.vocab_size = c.block_size, c.vocab_size
        self.tokens = nn.Embedding(c.vocab_size, c.n_embd)
        self.positions = nn.Embedding(c.block_size, c.n_embd)
        self.blocks = nn.Sequential(*(Block(c) for _ in range(c.n_layer)))
        self.norm = nn.LayerNorm(c.n_embd, bias=False)
        self.head = nn.Linear(c.n_embd, c.vocab_size, bias=False)
        self.tokens.weight = self.head.weight
        for name, p in self.named_parameters():
            if p.ndim == 2:
                last = name.endswith("proj.weight")
                std = 0.02 / math.sqrt(2 * c.n_layer) if last else 0.02
                nn.init.normal_(p, std=std)

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.tokens(ids) + self.positions(places)
        return self.head(self.norm(self.blocks(x)))


class BaselineTraining:
    """The recipe as an iterator: each `next` is one step and gives its seconds."""

    def __init__(self, model: BaselineGPT, ids: Tensor, config: Baseline) -> None:
        self.model, self.ids, self.config = model, ids, config
        self.generator = torch.Generator().manual_seed(config.seed)
        self.step = 0
        matrices = [p for p in model.parameters() if p.ndim >= 2]
        vectors = [p for p in model.parameters() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": 0.1},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.99),
        )

    def __iter__(self) -> "BaselineTraining":
        return self

    def __next__(self) -> float:
        if self.step >= self.config.max_iters:
            raise StopIteration
        started = time.perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        x, y = self.batch()
        logits = self.model(x)
        loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return time.perf_counter() - started

    def rate(self) -> float:
        """Warm-up, then half a cosine down to min_lr."""
        c = self.config
        if self.step < c.warmup_iters:
            return c.learning_rate * (self.step + 1) / (c.warmup_iters + 1)
        done = (self.step - c.warmup_iters) / max(1, c.max_iters - c.warmup_iters)
        return c.min_lr + 0.5 * (1 + math.cos(math.pi * done)) * (
            c.learning_rate - c.min_lr
        )

    def batch(self) -> tuple[Tensor, Tensor]:
        """Rows from random places, and the same rows one further on."""
        c = self.config
        places = torch.randint(
            len(self.ids) - c.block_size, (c.batch_size,), generator=self.generator
        )
        x = torch.stack([self.ids[i : i + c.block_size] for i in places])
        y = torch.stack([self.ids[i + 1 : i + 1 + c.block_size] for i in places])
        return x, y
