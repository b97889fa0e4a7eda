# make demo        install, train on a text and sample from it; about two minutes
# make check       linters and the tests that need no training; a minute or two
# make test        linters and all but the slowest tests
# make coverage    the same tests, and which files they cover by less than 90 %
# make slow        the slowest tests
# make test-browser    the tests of the pages in another browser: BROWSER=firefox or BROWSER=webkit
# make sanitize    the C kernel under GCC's sanitizers, if gcc is installed
# make bench       benchmarks
# make test-versions    the tests with each installed Python, the lowest and the newest packages
# make test-gpu, make bench-gpu    checks that need a GPU, with python3 and no installation (docs/platforms.md)
# make gpu-packages     download what these need
# make clean       remove what the others have written
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo lint types style check test coverage slow sanitize bench test-browser test-versions test-gpu bench-gpu gpu-packages clean

# Installs again only after a change to the build or the C kernel.
.venv/installed: setup.py pyproject.toml $(wildcard pycharrnn/kernel*.[ch])
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/test-installed: setup.py pyproject.toml $(wildcard pycharrnn/kernel*.[ch])
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --editable .[test]
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
	@$(BIN)/pycharrnn sample cv/lm_demo_best.t7 -gpuid -1 -verbose 0 -length 600 -temperature 0.5 -primetext "The "

# mypy takes one core for half a minute; on another, what tests import is compiled once, not by each of their workers.
lint: .venv/test-installed
	$(MAKE) --no-print-directory --jobs 2 types style .venv/compiled

types:
	$(BIN)/mypy

# Without scripts of a user beside them.
OURS = benchmarks compat docs examples pycharrnn tests cli.py setup.py

style:
	$(BIN)/ruff check $(OURS)
	$(BIN)/ruff check --quiet --preview --select PLW1514 $(OURS)  # text is UTF-8: a rule that ruff calls a preview
	$(BIN)/ruff format --check $(OURS)
	$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache

# The tests that need no training.
QUICK = tests/compat tests/text tests/engine/test_validation.py tests/engine/test_device.py tests/engine/test_model.py \
	tests/sampling tests/analysis

# The tests whose result may depend on versions of Python and packages, and the recorded digits.
ACROSS = $(QUICK) tests/checkpoints tests/common tests/library/test_generate.py tests/engine/test_torch_nn_backend.py \
	tests/engine/test_plain_torch.py tests/training/test_parity_train.py

# Bytecode is kept, also where the environment says otherwise: else each process compiles all modules again. A process
# that a test kills ends the run and names the test; with another in its place, --dist loadfile would wait forever.
TESTS = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 3 --dist loadfile --max-worker-restart 0

# Without --no-compile, pip would compile six times as much.
.venv/compiled: .venv/test-installed
	-$(TESTS) --numprocesses 0 --collect-only > /dev/null
	touch $@

check: lint
	$(TESTS) -m "not slow" $(QUICK)

test: lint
	$(TESTS) -m "not slow"

# Not part of `test`: measuring takes a fifth of the tests' time.
coverage: .venv/test-installed
	rm -f .coverage .coverage.*
	$(TESTS) -m "not slow" --cov=pycharrnn --cov=compat --cov-report=
	$(BIN)/python tests/coverage_below.py

# The files with slow tests alone: each process would collect the tests of all others first.
slow: .venv/test-installed
	$(TESTS) --no-loadscope-reorder -m slow $$(grep -rl --include='test_*.py' 'mark\.slow' tests | sort)

# The tests that open pages.
PAGES = tests/page tests/server/test_page*.py tests/server/test_copied_passages.py \
	tests/analysis/test_pages_in_browser.py tests/checkpoints/test_onnx.py tests/examples/test_readers.py

# WebKitGTK's browser is always a window: xvfb-run makes a screen for it. One process, since a screen has one clipboard.
# Without the tests whose windows hide each other: a hidden page asks its server nothing.
test-browser: .venv/test-installed
	$(if $(filter webkit,$(BROWSER)),xvfb-run -a -s "-screen 0 1700x1300x24") env PYCHARRNN_BROWSER=$(BROWSER) \
		$(TESTS) --numprocesses 0 --ignore tests/page/test_studio_way.py -rs $(PAGES)

sanitize: .venv/test-installed
	tests/sanitize/run

bench: .venv/test-installed
	$(BIN)/python benchmarks/all.py

# WHOLE=1 runs all but the slowest tests. SESSIONS=lowest, or "newest-3.12 newest-3.14", selects nox sessions.
test-versions: .venv/versions-installed
	$(BIN)/nox -f tests/versions.py $(if $(SESSIONS),-s $(SESSIONS)) -- -m "not slow" $(if $(WHOLE),,$(ACROSS))

# These install nothing: a rented GPU machine may have neither a network nor a compiler.
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
