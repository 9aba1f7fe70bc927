# Every verb sets up what it needs, so each one works first in a fresh clone and is quick the second time.
# PYTHON=...  the interpreter .venv is made with      ARGS=...  passed on to pytest or the benchmark
# FUZZ_SECONDS=600  how long make fuzz runs           FUZZ_SEED=...  what it begins with, to repeat a run
# BENCH_SCALE=0.1  a quick look with make bench        ARGS="engine ingest"  some of its parts (ARGS=-h lists them)
# ROUNDS=1 BROKER=rabbitmq,redis CHAOS_TRIGGERS=5000   what make chaos does      CHAOS_SEED=...  to repeat a round
# CHAOS_RESULTS=...  a file that gets a line of JSON for each round of make chaos

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

PY := .venv/bin/python
PORT ?= 8000
ARGS ?=
UPGRADE ?=
export PYTHON

.PHONY: help run up test check bench chaos fuzz format lock clean base dev

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

# `exec` makes the service the process that make started: make hands it the SIGTERM it gets and waits for its end.
run: export PORT := $(PORT)
run: base ## The whole service in one process on 127.0.0.1:PORT (8000), state in var/ (NOTIFYFLOW_VAR)
	@exec $(PY) manage.py embedded

up: export PORT := $(PORT)
up: base ## The full profile on local PostgreSQL, RabbitMQ and Redis, without Docker
	@exec scripts/up

test: dev ## All tests, with the services they need (ARGS="-k name", ARGS=tests/unit/...)
	@scripts/services ensure
	@scripts/services browser
	@scripts/test $(ARGS)

check: dev ## Format, lint, types, layers, migrations, deploy check, schema
	@scripts/check

bench: dev ## The measured comparison with its peers, as a table and in benchmarks/results/ (ARGS="engine ingest", BENCH_SCALE=0.1)
	@scripts/services ensure
	@set -a; eval "$$(scripts/services env)"; exec $(PY) -m benchmarks $(ARGS)

# `exec` as in `run`: SIGTERM to make reaches pytest, which takes down what a round has started.
chaos: dev ## Break real processes at random while triggers flow (ROUNDS=1, BROKER=redis, CHAOS_SEED=...)
	@scripts/services ensure
	@set -a; eval "$$(scripts/services env)"; exec $(PY) -m pytest tests/chaos $(ARGS)

fuzz: dev ## Generated requests of every role against the running service (FUZZ_SECONDS=600, FUZZ_SEED=...)
	@scripts/services ensure
	@scripts/test --only fuzz $(ARGS)

format: dev ## Format and mend what can be mended
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

lock: export UPGRADE := $(UPGRADE)
lock: ## Write requirements/*.txt from pyproject.toml (UPGRADE=1 moves everything forward)
	@scripts/lock

clean: ## Remove .venv, caches and collected files; var/ holds your data and stays
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache staticfiles
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

base dev:
	@scripts/venv $@
