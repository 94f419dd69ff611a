# Everything runs in .venv, which the first target that needs it makes (tools/install.py). No Java, no other tool has to be
# there beforehand. PYTHON names another Python, TORCH_INDEX an index that has another build of PyTorch, such as
# https://download.pytorch.org/whl/cpu.
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BIN := "$(VENV)"/bin
# worksteal: with the other ways of sharing out tests, xdist hangs or repeats a test that kills its process
PYTEST_OPTIONS := --numprocesses auto --maxprocesses 4 --dist worksteal
INSTALL = command -v "$(PYTHON)" >/dev/null || { echo "no $(PYTHON) was found: install Python 3.11 or newer, or name it with PYTHON=" >&2; exit 1; }; \
	"$(PYTHON)" tools/install.py $(if $(TORCH_INDEX),--torch-index "$(TORCH_INDEX)")
SOURCES := splade_lucene tests java_bridge notebooks benchmarks docs tools
PAGE := splade_lucene/server/page_src
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/splade-lucene

.PHONY: help demo test quick test-light test-all coverage format lint types bridge peers page browser notebooks docs constraints \
	clean clean-cache install install-dev install-search

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "%-12s  %s\n", $$1, $$2 }'

demo: install  ## build an index of Python's documentation with the embedded model, search and measure it
	$(BIN)/splade-lucene demo

test: lint types peers  ## run all that a change must pass
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

quick: install-dev  ## run the unit tests in 90 seconds: no model, no other process
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) --quick

test-light:  ## run the tests that need neither torch nor Pyserini's Python, in an environment of a tenth of the size
	@$(INSTALL) --venv "$(VENV)-light" --requirements tests/light.txt
	SPLADE_LUCENE_TEST_LIGHT=1 "$(VENV)-light"/bin/python -m pytest $(PYTEST_OPTIONS) tests

test-all:  ## try the wheel in a fresh environment of every Python found, with the newest versions, and print a table
	@command -v "$(PYTHON)" >/dev/null || { echo "no $(PYTHON) was found: name a Python from 3.11 on with PYTHON=" >&2; exit 1; }
	"$(PYTHON)" benchmarks/environments.py $(if $(TORCH_INDEX),--torch-index "$(TORCH_INDEX)")

coverage: install-dev  ## run all tests and print which lines and branches they reached, in child processes too
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

lint: install-dev  ## check the sources' layout, ruff's rules, and that the source distribution has all files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/sdist_files.py

types: install-dev  ## check types, strictly in the package
	$(BIN)/mypy

format: install-dev  ## format Python and, where google-java-format is, Java
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python java_bridge/format.py

bridge: install-dev  ## compile java_bridge/ into the package's jar; needs a JDK of 21 or newer
	$(BIN)/python java_bridge/build.py

peers: install-dev  ## install Seismic and BMP where they have a wheel; the tests that need them are skipped elsewhere
	@for peer in pyseismic-lsr bmp; do \
	  $(BIN)/python -m pip show --quiet $$peer 2>/dev/null || \
	    $(BIN)/python -m pip install --quiet --only-binary=:all: --constraint constraints.txt $$peer || \
	    echo "==> $$peer has no wheel for this machine: the tests that need it are skipped"; \
	done

page:  ## build the explorer's page from its sources; needs npm
	@command -v npm >/dev/null || { echo "no npm was found: install Node.js 18 or newer" >&2; exit 1; }
	npm ci --prefix $(PAGE) --no-audit --no-fund
	npm run build --prefix $(PAGE)

browser:  ## install Chromium, in which the tests of the page run (Debian and Ubuntu)
	@command -v chromium >/dev/null || { command -v apt-get >/dev/null && \
		as_root=$$([ "$$(id -u)" = 0 ] || echo sudo -n) && \
		{ $$as_root apt-get install -y --no-install-recommends chromium || \
			{ $$as_root apt-get update && $$as_root apt-get install -y --no-install-recommends chromium; }; }; } || \
		{ echo "Chromium cannot be installed with apt-get: install it, or name a browser with SPLADE_LUCENE_TEST_BROWSER" >&2; exit 1; }

docs: install-dev  ## build the documentation in build/docs; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

notebooks: install-dev  ## write the .ipynb of each notebooks/*.py, with its output
	$(BIN)/python notebooks/execute.py

constraints: install-dev  ## resolve setup.cfg for all Pythons and platforms; UPGRADE=1 takes the newest versions
	UV_PYTHON_DOWNLOADS=never $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate \
		--constraint constraints.in --custom-compile-command "make constraints" $(if $(UPGRADE),--upgrade) \
		--output-file constraints.txt setup.cfg

install:  ## make .venv with what users need
	@$(INSTALL) --venv "$(VENV)"

install-search:  ## make .venv-search with what searching and indexing need: no torch, a tenth of the size
	@$(INSTALL) --venv "$(VENV)-search" --requirements requirements-search.txt

install-dev:  ## make .venv with what developers need
	@$(INSTALL) --venv "$(VENV)" --extra dev

clean:  ## remove all that was made in this folder
	rm -rf "$(VENV)" "$(VENV)-light" "$(VENV)-search" $(PAGE)/node_modules build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* benchmarks/work \
		__pycache__ .ipynb_checkpoints
	find $(SOURCES) \( -name __pycache__ -o -name .ipynb_checkpoints -o -name '*.partial' \) -prune -exec rm -rf {} +
	@if [ -d "$(CACHE)" ]; then echo "the demo's index and other work are kept in $(CACHE): 'make clean-cache' removes it"; fi

clean-cache:  ## remove what the demo and the tests keep in the user's cache
	rm -rf "$(CACHE)/demo" "$(CACHE)/tests" "$(CACHE)/java"
	-rmdir "$(CACHE)" 2>/dev/null
