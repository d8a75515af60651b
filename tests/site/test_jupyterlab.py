"""A widget with a kernel behind it: JupyterLab shows a model that a notebook trained."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

TRAIN = """
import torch
from llmlib import GPT, CharTokenizer, GPTConfig, Sampling, TrainConfig, Trainer, generate
from llmlib.show.widgets import Playground

text = "the cat sat on the mat. " * 200
tokenizer = CharTokenizer.train(text)
ids = torch.tensor(tokenizer.encode(text))
config = GPTConfig(tokenizer.vocab_size, block_size=16, n_layer=1, n_head=2, n_embd=32)
model = GPT(config)
plan = TrainConfig(max_iters=60, learning_rate=1e-2, warmup_iters=5, eval_interval=60)
for log in Trainer(model, ids, ids[:500], plan):
    pass
widget = Playground(model, tokenizer, prompt="the cat", max_new_tokens=40)
print("WROTE", "".join(piece for _, piece, _ in widget.written), "END")
cold = generate(model, tokenizer.encode("the cat"), 40, Sampling(temperature=0))
print("COLD", tokenizer.decode(list(cold)), "END")
widget
"""


@pytest.fixture
def jupyterlab(tmp_path):
    """The address of a JupyterLab over a folder with one notebook."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=[new_code_cell(TRAIN)])
    notebook.metadata["kernelspec"] = kernel
    nbformat.write(notebook, tmp_path / "trained.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", "--ServerApp.token=", f"--port={port}"]
    own = {"HOME": str(tmp_path / "home"), "JUPYTER_PREFER_ENV_PATH": "1"}
    log = (tmp_path / "log.txt").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options, "--ServerApp.port_retries=0"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "LLMLIB_EXPORT"} | own,
        stdout=log,
        stderr=log,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", server)
        yield address
    finally:
        server.terminate()
        server.wait()
        log.close()


def wait_for(address, server):
    for _ in range(600):
        assert server.poll() is None, "JupyterLab ended before it answered"
        try:
            with urllib.request.urlopen(address):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{address} does not answer")


def test_a_notebooks_own_model_writes_in_jupyterlab(browser, jupyterlab):
    context = browser.new_context()
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{jupyterlab}/lab/tree/trained.ipynb")
    page.locator(".jp-Notebook .jp-CodeCell").first.click(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    status = page.locator(".playground .status")
    expect(status).to_contain_text("40 tokens, written on", timeout=60_000)
    printed = page.locator(".jp-OutputArea-output", has_text="WROTE").inner_text()
    wrote, cold = re.findall(r"(?:WROTE|COLD) (.*?) END", printed, re.S)
    tokens = page.locator(".playground .tokens")
    assert tokens.evaluate("e => e.textContent") == "the cat" + wrote
    page.get_by_label("temperature").press("Home")
    expect(tokens).to_have_text("the cat" + cold, timeout=15_000)
    assert not errors
    context.close()
