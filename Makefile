# Everything a developer or CI runs. `make help` lists it.
PYTHON ?= python3.11
# Of the packages: the interpreter of EL9 and EL10 that they are compiled for.
PYTHON312 ?= $(or $(firstword $(wildcard /usr/bin/python3.12 /usr/local/bin/python3.12 $(HOME)/.pyenv/versions/3.12.*/bin/python3.12)),python3.12)
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup-dev
SETUP_BASE := $(VENV)/.setup-base
SETUP_LEARNER := $(VENV)/.setup-learner
# The widest set is resolved first and binds the others: one release of everything on a node, whatever is installed.
COMPILE_FLAGS := --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --generate-hashes --no-header
COMPILE := uv pip compile pyproject.toml $(COMPILE_FLAGS)
EVERY_CHANGE := not slow and not platform and not vm
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: help
help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(SETUP_BASE): $(VENV)/bin/python requirements/base.txt pyproject.toml hatch_build.py $(shell find proto -name '*.proto')
	$(BIN)/pip install --quiet --require-hashes -r requirements/base.txt
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

$(SETUP_LEARNER): $(SETUP_BASE) requirements/learner.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements/learner.txt
	@touch $@

$(SETUP): $(SETUP_BASE) requirements/dev.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: setup
setup: $(SETUP) ## Makes .venv from the lock file, with everything for development

.PHONY: check
check: $(SETUP) ## Lint, types, import contracts, tidiness: seconds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_tidy.py

.PHONY: format
format: $(SETUP) ## Formats the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: peers
peers: ## Installs the programs that tests run against, where root and apt-get are there
	@sh tests/peers/install.sh

.PHONY: test
test: $(SETUP) peers check ## Everything that belongs to every change
	$(BIN)/pytest -m "$(EVERY_CHANGE) and not alone" --durations=20 -n 2 --dist loadfile
	$(BIN)/pytest -m "$(EVERY_CHANGE) and alone" --durations=20

.PHONY: test-slow
test-slow: $(SETUP) ## The longer tiers: minutes
	$(BIN)/pytest -m slow

.PHONY: simulate
simulate: $(SETUP) ## Random schedules of faults against the Raft engine, under a fake clock (SEEDS=n, FIRST=n)
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),300) $(if $(FIRST),--first $(FIRST))

.PHONY: simulate-mutants
simulate-mutants: $(SETUP) ## Undoes one safeguard at a time and shows that the simulation notices: minutes
	$(BIN)/python -m tests.simulation.mutants

.PHONY: faults
faults: $(SETUP) peers ## Kills, partitions, full disks and jumping clocks on real processes: 10 minutes, needs root
	$(BIN)/python -m tests.faults

.PHONY: test-netns
test-netns: $(SETUP) peers ## Measured OLA numbers beside those of a packet log, over real windows: 12 minutes, needs root
	$(BIN)/pytest -q tests/netns
	$(BIN)/python -m tests.netns

.PHONY: demo
demo: $(SETUP_BASE) ## A mesh of three nodes on loopback, real data, a killed leader (DATA=path for your own export)
	$(BIN)/python examples/demo.py $(if $(DATA),--data "$(DATA)")

.PHONY: learner
learner: $(SETUP_LEARNER) ## Installs what nodes need to train together: Flower and numpy

.PHONY: bench-scale
bench-scale: $(SETUP_BASE) ## Memory, listing and restart with 100,000 tasks
	$(BIN)/python -m benchmarks.scale

.PHONY: bench-sync
bench-sync: $(SETUP_BASE) ## Commit and sync latency on a mesh of three nodes
	$(BIN)/python -m benchmarks.sync

.PHONY: bench-learning
bench-learning: $(SETUP) ## Learning rounds of 16 node processes, and how good the forecasts are
	$(BIN)/python -m benchmarks.learning --cold-start --superlink 3
	$(BIN)/python -m benchmarks.finish_time

.PHONY: bench-routing
bench-routing: $(SETUP) ## Routing policies on simulated scenarios nobody tuned on (SEED=n draws fresh ones from n on)
	$(BIN)/python -m benchmarks.routing $(if $(SEED),--first $(SEED))

.PHONY: bench-resolve
bench-resolve: $(SETUP) ## What a router's answers, decisions, freezes and 10,000 endpoints take
	$(BIN)/python -m benchmarks.resolve

.PHONY: bench-lanes
bench-lanes: $(SETUP) ## How late critical work starts on a machine that is full, and what lanes leave to the others
	$(BIN)/python -m benchmarks.lanes

.PHONY: bench-xds
bench-xds: $(SETUP) peers ## How soon gRPC clients and Envoy follow a change of the table: 3 minutes
	$(BIN)/python -m benchmarks.xds

.PHONY: bench-etcd
bench-etcd: $(SETUP) peers ## Side by side with a real etcd of three nodes
	$(BIN)/python -m benchmarks.etcd

.PHONY: rpm
rpm: ## Builds the RPMs into build/rpm, needs rpmbuild and Python 3.12 (RELEASE=1: smaller ones, in minutes)
	$(PYTHON312) packaging/rpm/build.py $(if $(RELEASE),--small)

.PHONY: test-platform
test-platform: $(SETUP) ## Installs, runs, upgrades and removes the RPM in containers with systemd: minutes, needs root
	sh tests/platform/install.sh
	$(BIN)/pytest -m platform tests/platform

.PHONY: test-vm
test-vm: $(SETUP) ## A mesh in a virtual machine: limits, priorities, reboots, power cuts: half an hour, needs root
	sh tests/vm/install.sh
	$(BIN)/pytest -s -m vm tests/vm

.PHONY: lock
lock: ## Renews the lock files (needs uv)
	$(COMPILE) --extra learner --group dev --output-file requirements/dev.txt
	$(COMPILE) --extra learner --constraint requirements/dev.txt --output-file requirements/learner.txt
	$(COMPILE) --constraint requirements/dev.txt --output-file requirements/base.txt
	uv pip compile --group peers $(COMPILE_FLAGS) --output-file requirements/peers.txt

.PHONY: clean
clean: ## Removes what was made here
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find proto -name '*_pb2*' -delete
