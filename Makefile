# Two commands from a clean clone: make book, make test. Both make .venv themselves.
PYTHON ?= python3
TORCH ?= torch
RUN = .venv/bin/python -m

.PHONY: book test site gpu check serve bench clean

book: .venv/ready ## the book, in _build/html/index.html; chapters execute where something changed
	.venv/bin/jupyter-book build book --config _config.yml --toc $(CURDIR)/_toc.yml --path-output . -W -n --keep-going

test: .venv/ready ## the tests that need neither the built book nor its chapters to run
	$(RUN) pytest -m "not site and not gpu"

site: book ## the built pages in a browser, Chromium
	$(RUN) pytest -m site

gpu: .venv/ready ## the tests that compare a GPU with the CPU, where CUDA is
	$(RUN) pytest -m gpu

check: .venv/ready ## style, types
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

serve: book ## the built book on http://localhost:8000
	$(RUN) http.server 8000 --directory _build/html

bench: .venv/ready ## measures speed against others, for hours; benchmarks/results
	$(RUN) benchmarks

clean: ## everything that was made here, the environment excepted
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN) pip install --constraint constraints.txt $(TORCH)
	$(RUN) pip install --constraint constraints.txt --editable '.[book,test]'
	touch $@
