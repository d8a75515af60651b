"""What is computed on a GPU, against the same on the CPU: `make gpu`, where there is one."""

from dataclasses import replace

import pytest
import torch

from llmlib.evaluation.metrics import bits_per_character, mean_loss, next_token_loss
from llmlib.evaluation.ngrams import NGram
from llmlib.generation.decoding import beam_search, generate, generate_batch
from llmlib.generation.packing import packed
from llmlib.generation.sampling import Sampling
from llmlib.model.attention import (
    Attention,
    attention_weights,
    causal,
    everything,
    sliding_window,
    strided,
)
from llmlib.model.cache import KVCache
from llmlib.model.config import GPTConfig
from llmlib.model.gpt import GPT
from llmlib.model.observe import observe
from llmlib.text.tokenizers import CharTokenizer
from llmlib.training.config import TrainConfig
from llmlib.training.optimizers import Muon
from llmlib.training.recipes import fast_recipe, plain_recipe
from llmlib.training.saving import load_model, save_model
from llmlib.training.trainer import Trainer

pytestmark = pytest.mark.gpu

GPU, CPU = "cuda", "cpu"
VOCAB = 13
PLAIN = GPTConfig(VOCAB, block_size=16, n_layer=2, n_head=2, n_embd=16)
FAST = replace(
    PLAIN,
    n_kv_head=1,
    positions="rotary",
    norm="rmsnorm",
    feed_forward="swiglu",
    ngram_rows=30,
    smear=3,
    embedding_norm=True,
    tie_word_embeddings=False,
)
CONFIGS = {
    "plain": PLAIN,
    "fast": FAST,
    "sinusoidal": replace(PLAIN, positions="sinusoidal", feed_forward="relu2"),
    "window": replace(FAST, attention="sliding_window", window=3),
    "strided": replace(PLAIN, attention="strided", window=2, stride=3),
}
RECIPES = {"plain": plain_recipe, "fast": fast_recipe}
configs = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def random_model(config=PLAIN, dtype=torch.float64):
    torch.manual_seed(0)
    model = GPT(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.5)
    return model.to(dtype).eval()


def random_ids(rows=3, length=16):
    return torch.randint(
        VOCAB, (rows, length), generator=torch.Generator().manual_seed(1)
    )


def trainer(recipe, device, **changes):
    """A small training on ids in which what follows depends on what came."""
    row = [1]
    for i in range(600):
        row.append((row[-1] * 3 + 1 + (i * i) % 2) % VOCAB)
    shape = {"n_layer": 2, "n_head": 2, "n_embd": 16}
    settings = {"max_iters": 12, "batch_size": 4, "eval_interval": 6}
    settings |= {"precision": "float32", "device": device} | changes
    model_config, config = RECIPES[recipe](VOCAB, 8, **shape, **settings)
    torch.manual_seed(0)
    return Trainer(GPT(model_config), row[:500], row[500:], config)


@configs
def test_logits_are_those_of_the_cpu(config):
    ids, model = random_ids(), random_model(config)
    expected = model(ids)
    model = model.to(GPU)
    torch.testing.assert_close(model(ids.to(GPU)).cpu(), expected)
    with observe(model) as seen:
        torch.testing.assert_close(model(ids.to(GPU)).cpu(), expected)
    assert seen["blocks.1.attention"].device.type == GPU


@configs
def test_a_cache_gives_the_same_logits(config):
    ids, model = random_ids().to(GPU), random_model(config).to(GPU)
    cache = KVCache(model, len(ids))
    parts = [model(part, cache) for part in ids.split([5, 1, 1, 9], dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), model(ids))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "mask",
    [causal, everything, sliding_window(5), strided(3, 4)],
    ids=lambda m: m.__name__,
)
def test_fused_attention_is_the_definition(mask, dtype):
    torch.manual_seed(0)
    attention = Attention(64, 4, 2, mask=mask)
    k, v = torch.randn(2, 2, 32, 16), torch.randn(2, 2, 32, 16)
    q = torch.randn(2, 4, 32, 16)
    places = torch.arange(32)
    allowed = mask(places[:, None], places[None, :])
    weights = attention_weights(q, k.repeat_interleave(2, dim=1), allowed)
    expected = weights @ v.repeat_interleave(2, dim=1)
    there = (t.to(device=GPU, dtype=dtype) for t in (q, k, v))
    given = attention.attend(*there, start=0).cpu().float()
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    torch.testing.assert_close(given, expected, rtol=tolerance, atol=tolerance)


def test_the_loss_and_its_gradient_are_those_of_the_cpu():
    torch.manual_seed(0)
    logits, targets = torch.randn(40, VOCAB), torch.randint(VOCAB, (40,))
    found = []
    for device in (CPU, GPU):
        there = logits.to(device).detach().requires_grad_()
        loss = next_token_loss(there, targets.to(device))
        loss.backward()
        found.append((loss.detach().cpu(), there.grad.cpu()))
    torch.testing.assert_close(found[0], found[1])


def test_metrics_are_those_of_the_cpu():
    model, tokenizer = random_model(), CharTokenizer.train("\nabcdefghijkl")
    texts = ["abc\n\n", "a" * 40, "lkjihg"]
    ids = random_ids(1, 200)[0]
    expected = mean_loss(model, ids), bits_per_character(model, tokenizer, texts)
    model = model.to(GPU)
    found = mean_loss(model, ids), bits_per_character(model, tokenizer, texts)
    assert found == pytest.approx(expected, rel=1e-9)


def test_auto_is_the_gpu_in_bfloat16():
    config = TrainConfig().resolved()
    assert (config.device, config.precision) == (GPU, "bfloat16")


@pytest.mark.parametrize("recipe", RECIPES)
def test_trainings_follow_those_of_the_cpu(recipe):
    there, here = (list(trainer(recipe, device)) for device in (GPU, CPU))
    losses, expected = ([log.loss for log in logs] for logs in (there, here))
    assert losses == pytest.approx(expected, rel=1e-3)
    assert there[-1].val_loss == pytest.approx(here[-1].val_loss, rel=1e-3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_bfloat16_changes_losses_little(recipe):
    plain = [log.loss for log in trainer(recipe, GPU)]
    half = [log.loss for log in trainer(recipe, GPU, precision="bfloat16")]
    assert half == pytest.approx(plain, abs=0.05)


def test_muon_moves_as_on_the_cpu():
    moved = []
    for device in (CPU, GPU):
        torch.manual_seed(0)
        matrices = [torch.randn(8, 24), torch.randn(24, 8), torch.randn(8, 24)]
        gradients = [torch.randn_like(m) for m in matrices]
        there = [m.to(device).requires_grad_() for m in matrices]
        for m, g in zip(there, gradients, strict=True):
            m.grad = g.to(device)
        optimizer = Muon(there, lr=0.1, weight_decay=0.1, dtype=torch.float32)
        for _ in range(3):
            optimizer.step()
        moved.append([m.detach().cpu() for m in there])
    torch.testing.assert_close(moved[0], moved[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("saved", "loaded"), [(GPU, CPU), (CPU, GPU), (GPU, GPU)])
def test_a_checkpoint_goes_on_on_the_other_device(recipe, saved, loaded, tmp_path):
    whole = [log.loss for log in trainer(recipe, loaded)]
    first = trainer(recipe, saved)
    for _ in range(7):
        next(first)
    first.save(tmp_path)
    second = trainer(recipe, loaded).resume(tmp_path)
    assert [log.loss for log in second] == pytest.approx(whole[7:], rel=1e-3)
    second.best_model()


def test_a_model_saved_from_the_gpu_loads(tmp_path):
    model, tokenizer = (
        random_model(dtype=torch.float32),
        CharTokenizer.train("\nabcdefghijkl"),
    )
    expected = model(random_ids())
    save_model(model.to(GPU), tokenizer, tmp_path)
    again, _ = load_model(tmp_path)
    torch.testing.assert_close(again(random_ids()), expected)


@configs
@pytest.mark.parametrize(
    "sampling", [Sampling(temperature=0), Sampling(0.9, top_k=5, seed=3)]
)
def test_the_same_is_written(config, sampling):
    model, prompt = random_model(config), [1, 2, 3]
    prompts = [[1, 2, 3], [4], [5, 6, 7], [8] * 20]
    draft = NGram(2, VOCAB).fit(random_ids(1, 300)[0])

    def written():
        yield list(generate(model, prompt, 40, sampling))
        yield list(generate(model, prompt, 40, sampling, draft))
        yield generate_batch(model, prompts, 20, sampling)
        yield beam_search(model, prompt, 10, num_beams=3)

    expected = list(written())
    model = model.to(GPU)
    assert list(written()) == expected
    model(random_ids().to(GPU))  # the model stayed where it was


def test_what_packs_a_model_names_the_device():
    with pytest.raises(ValueError, match="run on the CPU, and this one is on cuda:0"):
        packed(random_model().to(GPU))


def test_ids_outside_the_vocabulary_are_named():
    """Before they are looked up: a GPU that failed to do so would answer nothing more."""
    model = random_model().to(GPU)
    with pytest.raises(ValueError, match="ids run from 0 to 13, allowed are 0 to 12"):
        model(torch.tensor([[0, VOCAB]], device=GPU))
    assert model(random_ids().to(GPU)).isfinite().all()
