# Everything a newcomer needs: `make demo` to see it work, `make test` to know that it does.
# Both install what they need, hashed and locked, into .venv; nothing else on the machine changes,
# but for Debian's dcmtk and orthanc, which `make test` installs when it is root and they are missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SOURCES := src tests bench docs
# Tiers above unit; the rig of each is in its folder.
TIERS := $(wildcard tests/contract tests/interop tests/faults tests/fuzz)
PURE_ROOMS := model protocol policy sitefile

.PHONY: help demo test check unit fuzz torture abuse mutate bench million restart processes large decisions docs fmt lock peers clean

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: $(INSTALLED) ## a site, a scanner, a workstation and a rogue laptop, in a temporary folder (ARGS=--once to end by itself)
	@$(BIN)/leadglass demo $(ARGS)

test: check peers ## everything: check, all test tiers, documentation, demo
	$(BIN)/pytest $(TIERS)
	@$(MAKE) docs
	@$(MAKE) demo ARGS=--once

check: $(INSTALLED) ## lint, format, types, import rules, changelog, unit tests
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/towncrier build --draft --version next >/dev/null
	@$(MAKE) unit

unit: $(INSTALLED) ## unit tests, and every branch of the pure rooms
	$(BIN)/pytest tests/unit --cov-branch --cov-fail-under=100 $(PURE_ROOMS:%=--cov=leadglass.%)

fuzz: $(INSTALLED) ## a million broken PDUs, a million broken data sets, 20,000 conversations over the network (an hour or two)
	LEADGLASS_FUZZ_PDUS=$${LEADGLASS_FUZZ_PDUS:-1000000} LEADGLASS_FUZZ_DATASETS=$${LEADGLASS_FUZZ_DATASETS:-1000000} \
		LEADGLASS_FUZZ_CASES=$${LEADGLASS_FUZZ_CASES:-20000} \
		$(BIN)/pytest tests/fuzz --hypothesis-profile=long --timeout=14400

torture: $(INSTALLED) peers ## 10,000 kills, 500 power cuts, every call of a store failing in every way (hours; Ctrl-C ends it)
	LEADGLASS_KILLS=$${LEADGLASS_KILLS:-10000} LEADGLASS_POWER_CUTS=$${LEADGLASS_POWER_CUTS:-500} \
		LEADGLASS_FAULTS_EACH=0 \
		$(BIN)/pytest -s tests/faults/test_power_cut.py tests/faults/test_power_cut_upkeep.py \
		tests/faults/test_failing_calls.py tests/faults/test_crash.py

abuse: $(INSTALLED) ## a scanner beside 1,000 idle associations, 1,000 dripping connections and more (two minutes, a quiet machine)
	LEADGLASS_ABUSE=1 $(BIN)/pytest -s tests/faults/test_abuse.py

mutate: $(INSTALLED) ## change the policy's code in 6,000 small ways, and see which its tests do not notice (hours; it goes on where it was ended; ARGS="--sample 400 --seed 2" for a few by chance)
	$(if $(ARGS),$(BIN)/python -m bench.mutate $(ARGS),$(BIN)/mutmut run)
	$(if $(ARGS),,$(BIN)/mutmut results)

bench: $(INSTALLED) peers ## measure against Orthanc and DCMTK, write docs/reference/benchmarks.md (half an hour)
	$(BIN)/python -m bench.run $(ARGS)

million: $(INSTALLED) ## C-FIND at 5,000 and at a million studies (five minutes, 3 GB of disk)
	$(BIN)/python -m bench.million $(ARGS)

restart: $(INSTALLED) ## until the server is ready again after kill -9 in the middle of stores, at a million instances (three minutes)
	$(BIN)/python -m bench.restart $(ARGS)

processes: $(INSTALLED) ## two servers side by side against one: the most that several processes could bring (two minutes)
	$(BIN)/python -m bench.processes

large: $(INSTALLED) ## one object of 2 GB, and what a scanner waits beside it (two minutes, 5 GB of disk)
	$(BIN)/python -m bench.large $(ARGS)

decisions: $(INSTALLED) ## decisions a second under a policy of 500 devices, and what a reload and a diff take
	@$(BIN)/python -m bench.policy

docs: $(INSTALLED) ## generate the reference and build the documentation into site/; a warning is an error
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

fmt: $(INSTALLED) ## format, and fix what can be fixed
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lock: ## renew requirements.lock (needs uv)
	uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-header --no-strip-extras \
		--python-version 3.11 --upgrade --quiet --output-file requirements.lock

peers: ## install DCMTK and Orthanc, the peers of the tests, or say how
	@.ci/install-peers

clean: ## remove what was built and installed here
	rm -rf $(VENV) site docs/reference/generated bench/.cache .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis .coverage mutants
	find src tests bench docs -name __pycache__ -prune -exec rm -rf {} +

# The stamp is the last thing made, so an install that broke off is begun again.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Leadglass needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
