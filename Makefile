# README names these commands; CI runs the same ones.
PYTHON ?= python3
GPU ?= auto
MODEL ?= models:/headstart@champion
BIN := .venv/bin
DONE := .venv/installed
# an activated .venv has no pip of its own
export PATH := $(subst $(abspath $(BIN)):,,$(PATH))
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export UV_PYTHON_DOWNLOADS := never

.PHONY: demo run install data test test-slow bench lint format ui services services-stop serve wheel lock outdated clean

demo: install data  ## sample data through the training flow, to a registered model
	@$(MAKE) --no-print-directory run

run: | $(BIN)/headstart  ## every stage that is out of date, then a registered model
	$(BIN)/headstart run || test $$? -eq 3 -o $$? -eq 4  # a version that does not pass is shown too
	$(BIN)/headstart show

install: $(DONE)  ## .venv from the committed lock

# uv comes from the lock too, by pip into a folder: this needs no python3-venv and touches no system package.
$(DONE): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12), (3, 13)] and "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ...")'
	mkdir -p .tools
	sed -n '/^uv==/,/^    # via/p' requirements.lock >.tools/uv.txt
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --require-hashes --target .tools -r .tools/uv.txt
	test -x $(BIN)/python || .tools/bin/uv venv --quiet --seed --clear --python $(PYTHON) .venv || { rm -f $(BIN)/python; exit 1; }
	.tools/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	.tools/bin/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	touch $(DONE)

# What only starts something installs nothing.
$(BIN)/headstart:
	@echo "error: there is no $(BIN): run \`make install\` first" >&2; exit 1

data: install  ## the images that data.dvc names: drawn if they are the sample, else pulled
	$(BIN)/headstart data

test: install  ## the default test suite
	$(BIN)/python -m pytest -n 2 --dist loadscope

# Three at once on two cores: servers that start are waited for.
test-slow: install  ## tests with servers, a browser or the full network
	$(BIN)/python -m pytest -n 3 --dist loadfile -m 'slow or server'

bench: export PYTHONPATH = tests/support
# as every process that imports headstart before torch; these scripts import torch first
bench: export OMP_WAIT_POLICY := passive
bench: install  ## every benchmark, about an hour on 2 cores; then docs/performance.md
	$(BIN)/python bench/backbone.py
	$(BIN)/python bench/waiting.py
	$(BIN)/python bench/pipeline.py
	$(BIN)/python bench/agreement.py
	$(BIN)/python bench/memory.py
	$(BIN)/python bench/growth.py
	$(BIN)/python bench/package.py
	$(BIN)/python bench/orchestration.py
	$(BIN)/python bench/serving.py
	$(BIN)/python bench/serving_load.py
	$(BIN)/python bench/intervals.py
	$(BIN)/python bench/serving_memory.py
	$(BIN)/python bench/paired.py
	$(BIN)/python bench/drift.py
	$(BIN)/python bench/accuracy_alarms.py
	$(BIN)/python bench/page.py

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: | $(BIN)/headstart  ## MLflow on http://127.0.0.1:5000
	sh mlflow/serve-ui $(ARGS)

services: | $(BIN)/headstart  ## Prefect and MLflow servers and workers on loopback; GPU=cpu tries placement without a GPU
	$(BIN)/headstart services start --gpu $(GPU)

services-stop: | $(BIN)/headstart  ## ends exactly those
	$(BIN)/headstart services stop

serve: | $(BIN)/headstart  ## the champion on http://127.0.0.1:5001/invocations
	sh mlflow/serve-model $(MODEL)

wheel: install  ## the package, in dist/
	rm -rf dist
	.tools/bin/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir dist

lock: install  ## resolve pyproject.toml again
	.tools/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --no-header pyproject.toml --output-file requirements.lock

outdated: install  ## the default suite with the newest versions of all dependencies; ARGS=tests/... for some
	rm -rf .outdated
	mkdir .outdated
	.tools/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev --upgrade \
		--no-emit-index-url --no-header pyproject.toml --output-file .outdated/requirements.txt
	.tools/bin/uv venv --quiet --seed --python $(PYTHON) .outdated/venv
	.tools/bin/uv pip sync --quiet --python .outdated/venv/bin/python .outdated/requirements.txt
	.tools/bin/uv pip install --quiet --no-deps --no-build-isolation --python .outdated/venv/bin/python --editable .
	grep -hoE '^[a-z0-9.-]+==[^ ;]+' requirements.lock | sort >.outdated/before
	grep -hoE '^[a-z0-9.-]+==[^ ;]+' .outdated/requirements.txt | sort >.outdated/after
	@diff .outdated/before .outdated/after || true
	.outdated/venv/bin/python -m pytest -n 2 --dist loadscope $(ARGS)

clean:  ## everything that can be made again, but no data and no results
	rm -rf .venv .tools .outdated dist .mypy_cache .pytest_cache .ruff_cache
