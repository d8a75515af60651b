"""A GPT of ours in Hugging Face's transformers, to compare with."""

from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from llmlib import GPT


def write_with(theirs: Any, prompts: Tensor, n: int) -> list[list[int]]:
    """n greedy ids after each prompt, by transformers."""
    written = theirs.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=n,
        do_sample=False,
        use_cache=True,
    )
    return written[:, prompts.shape[1] :].tolist()


def to_transformers(model: GPT) -> GPT2LMHeadModel:
    """The same model there, in float32; biases that it does not have are 0. Raises
    KeyError for a shape that is not GPT-2's.
    """
    config = model.config
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.block_size,
            n_embd=config.n_embd,
            n_layer=config.n_layer,
            n_head=config.n_head,
            layer_norm_epsilon=1e-5,
            activation_function="gelu",  # PyTorch's own, as ours
            bos_token_id=None,
            eos_token_id=None,  # nothing ends a text early
            pad_token_id=0,
        )
    )
    mine = model.state_dict()
    state = {
        "transformer.wte.weight": mine["embed_tokens.weight"],
        "transformer.wpe.weight": mine["position_embedding.weight"],
        "lm_head.weight": mine["lm_head.weight"],
    }
    for kind in ("weight", "bias") if config.bias else ("weight",):
        state[f"transformer.ln_f.{kind}"] = mine[f"norm.{kind}"]
        for i in range(config.n_layer):
            for name, weight in _block(mine, f"blocks.{i}.", kind).items():
                there = f"transformer.h.{i}.{name}.{kind}"
                state[there] = weight.T if weight.ndim == 2 else weight
    theirs.load_state_dict(theirs.state_dict() | state)  # whose biases begin at 0
    return theirs.eval()


def _block(mine: dict[str, Tensor], block: str, kind: str) -> dict[str, Tensor]:
    """The weights or biases of one block, by transformers' names."""
    qkv = [mine[f"{block}attention.{part}_proj.{kind}"] for part in "qkv"]
    return {
        "ln_1": mine[f"{block}attention_norm.{kind}"],
        "attn.c_attn": torch.cat(qkv),
        "attn.c_proj": mine[f"{block}attention.o_proj.{kind}"],
        "ln_2": mine[f"{block}feed_forward_norm.{kind}"],
        "mlp.c_fc": mine[f"{block}feed_forward.up_proj.{kind}"],
        "mlp.c_proj": mine[f"{block}feed_forward.down_proj.{kind}"],
    }
