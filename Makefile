# Everything happens in .venv beside this file; the system stays as it is.
PYTHON ?= python3
JOBS ?= auto
PYTEST_ARGS ?=

UV_VERSION := 0.13.8
UPGRADE ?=
PART ?=
ONLY ?=
RESOLVE = .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command 'make lock' $(UPGRADE)
IN_VENV := .venv/bin/python
# The locks are complete, so pip need not resolve; what is never imported need not be compiled.
PIP := $(IN_VENV) -m pip install -qq --progress-bar off --no-compile
LOCKED := $(PIP) --no-deps --require-hashes
SOURCES := $(wildcard moai_patterns tests examples benchmarks .ci)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_USER := 0
unexport PYTHONHOME PYTHONPATH

.PHONY: help demo test lint types pytest coverage torture bench schemas summary lock clean again

help:
	@echo 'make demo      capture, store, query, compact and check two sessions'
	@echo 'make test      lint, format, types, all tests with branch coverage'
	@echo 'make lint      ruff: rules and format'
	@echo 'make types     mypy, strict'
	@echo 'make pytest    the tests alone (PYTEST_ARGS="-k name", JOBS=0 for one process)'
	@echo 'make torture   all cases of every promise, for hours; again to go on (PART="kills flips-tree")'
	@echo 'make bench     the figures, as ratios (ONLY=save for some, FULL=1 for ten million, BASE=rev to compare)'
	@echo 'make schemas   generate schemas/ and the compiled validator'
	@echo 'make summary   generate IMPLEMENTATION_SUMMARY.md'
	@echo 'make lock      resolve the locked environments anew'
	@echo 'make clean     remove .venv and whatever was built'

demo: .venv/installed.stamp
	@.venv/bin/moai-patterns demo

# One step after another also under -j, so that each report stays together and the tests close.
test: coverage
coverage: pytest
pytest: $(if $(filter test,$(MAKECMDGOALS)),types)
types: $(if $(filter test,$(MAKECMDGOALS)),lint)

lint: .venv/development.stamp
	@$(IN_VENV) -m ruff check --quiet $(SOURCES) && echo 'lint: no findings'
	@$(IN_VENV) -m ruff format --quiet --check $(SOURCES) && echo 'format: as it should be'

types: .venv/development.stamp
	@$(IN_VENV) -m mypy $(SOURCES)

pytest: .venv/development.stamp
	@HYPOTHESIS_PROFILE=ci $(IN_VENV) -m pytest -n $(JOBS) --dist worksteal -o cache_dir=.venv/.cache/pytest --cov --cov-report=term $(PYTEST_ARGS)

coverage:
	@$(IN_VENV) .ci/coverage_gate.py

torture: .venv/development.stamp
	@PYTHONPATH=tests:. $(IN_VENV) -m torture whole $(PART)

bench: .venv/bench.stamp
	@$(IN_VENV) -m benchmarks $(or $(ONLY),--keep)

schemas: .venv/installed.stamp
	@$(IN_VENV) -m moai_patterns.validation.compiler

summary: .venv/development.stamp
	@$(IN_VENV) .ci/summary.py

# uv, because pip cannot resolve for all platforms at once. Its version is fixed here and not in the
# lock: only this target needs it. Versions stay unless UPGRADE=--upgrade is given.
lock: .venv/installed.stamp
	@$(PIP) uv==$(UV_VERSION)
	@$(RESOLVE) pyproject.toml --all-extras .ci/install.in .ci/requirements.in --output-file .ci/requirements.lock
	@$(RESOLVE) pyproject.toml .ci/install.in --constraints .ci/requirements.lock --output-file .ci/runtime.lock
	@$(RESOLVE) .ci/bench.in --constraints .ci/requirements.lock --output-file .ci/bench.lock

clean:
	@rm -rf .venv build dist
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# A moved checkout or another interpreter makes an environment useless.
PLACE := $(CURDIR) $(PYTHON)
ifneq ($(shell cat .venv/place 2>/dev/null),$(PLACE))
.venv/runtime.stamp: again
endif
again:

.venv/runtime.stamp: .ci/runtime.lock .ci/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	  "moai_patterns needs Python 3.11 or newer as '$(PYTHON)'; name another: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo 'environment: .venv, from .ci/runtime.lock'
	@$(PYTHON) -m venv --clear .venv
	@$(LOCKED) -r .ci/runtime.lock
	@mkdir -p .venv/.cache
	@printf '%s\n' '$(PLACE)' > .venv/place
	@touch $@

.venv/installed.stamp: .venv/runtime.stamp pyproject.toml
	@$(PIP) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.venv/development.stamp: .venv/installed.stamp .ci/requirements.lock
	@echo 'environment: tools of development, from .ci/requirements.lock'
	@$(LOCKED) -r .ci/requirements.lock
	@touch $@

.venv/bench.stamp: .venv/development.stamp .ci/bench.lock
	@echo 'environment: what the figures are compared with, from .ci/bench.lock'
	@$(LOCKED) -r .ci/bench.lock
	@touch $@
