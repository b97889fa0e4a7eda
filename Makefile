# make demo: train on a text and sample from it, in about two minutes. make test: install and run the tests, all but the
# slowest, which make slow runs. make check: what to run between two changes, in less than a minute. make sanitize: the
# C kernel under GCC's sanitizers, where there is a gcc. make bench: measure. make test-versions: the tests with each
# Python, and with the lowest and newest packages, at hand. make test-gpu, make bench-gpu: what only a GPU can show, by
# python3 as it is (docs/platforms.md); make gpu-packages: fetch what that lacks. make clean: remove what these made.
# Only Python 3.10 or newer is needed.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo lint check test slow sanitize bench test-versions test-gpu bench-gpu gpu-packages clean

# Installing anew only when what builds it or the C kernel changes keeps the second run quick.
.venv/installed: setup.py pyproject.toml $(wildcard pycharrnn/kernel*.[ch])
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/test-installed: setup.py pyproject.toml $(wildcard pycharrnn/kernel*.[ch])
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .[test]
	touch .venv/installed $@

.venv/versions-installed: setup.py pyproject.toml $(wildcard pycharrnn/kernel*.[ch])
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .[versions]
	touch .venv/installed $@

demo: .venv/installed
	$(BIN)/pycharrnn data pydoc
	$(BIN)/pycharrnn train data/pydoc/input.txt -gpuid -1 -savefile demo -overwrite 1
	@echo
	@echo "a sample from the best checkpoint, at temperature 0.5:"
	@$(BIN)/pycharrnn sample cv/lm_demo_best.t7 -gpuid -1 -verbose 0 -length 600 -temperature 0.5

lint: .venv/test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff check --quiet --preview --select PLW1514 .  # text is UTF-8: a rule that ruff calls a preview
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache

# The tests that need no training.
QUICK = tests/compat tests/text tests/engine/test_validation.py tests/engine/test_device.py tests/engine/test_model.py \
	tests/sampling tests/analysis

# What versions of Python, PyTorch and the other packages may change, and the recorded digits.
ACROSS = $(QUICK) tests/checkpoints tests/common tests/library/test_generate.py tests/engine/test_torch_nn_backend.py \
	tests/engine/test_plain_torch.py tests/training/test_parity_train.py

check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile $(QUICK)

TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 --dist loadfile

test: lint
	rm -f .coverage .coverage.*
	$(TESTS) -m "not slow" --cov=pycharrnn --cov=compat --cov-report=
	$(BIN)/python tests/coverage_below.py

slow: .venv/test-installed
	$(TESTS) -m slow

sanitize: .venv/test-installed
	tests/sanitize/run

bench: .venv/test-installed
	$(BIN)/python benchmarks/all.py

# WHOLE=1 is all but the slowest tests. SESSIONS=lowest, or "newest-3.12 newest-3.14", is some of what nox would do.
test-versions: .venv/versions-installed
	$(BIN)/nox -f tests/versions.py $(if $(SESSIONS),-s $(SESSIONS)) -- $(if $(WHOLE),-m "not slow",$(ACROSS))

# Nothing is installed: on a machine that is lent for an hour there may be no network, and no compiler.
test-gpu:
	$(PYTHON) tests/gpu/run.py --json gpu.json

bench-gpu:
	$(PYTHON) benchmarks/gpu.py

gpu-packages:
	$(PYTHON) -m pip install --quiet --no-deps --target tests/gpu/packages 'torchfile>=0.1,<0.2'

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis data/pydoc cv/lm_demo_*.t7 .mypy_cache .coverage .coverage.* gpu.json tests/gpu/packages
	rm -f pycharrnn/_kernel_*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
