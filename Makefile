# Every target does its own set-up: a clean clone needs Python 3.11, make and python3-venv, no root.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV ?= uv
VENV := .venv
STAMP := $(VENV)/.setup-done
WARM := $(VENV)/.kernels-warm
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PROTOS := $(sort $(wildcard protos/riskgate/v1/*.proto))
SOURCES := $(wildcard server trainer riskgate demo benchmarks tests)

# Compiled kernels; below it one folder per hash of the hot-path sources (server/hotpath/jit.py).
export RISKGATE_CACHE_DIR ?= $(CURDIR)/.cache
export PYTHONUNBUFFERED := 1

# What an engine loads at its start.
QUICK = $(wildcard $(foreach name,numba llvmlite numpy google redis pydantic pydantic_settings \
  prometheus_client typer click rich cryptography,$(VENV)/lib/python3.*/site-packages/$(name)))

.PHONY: help setup demo serve test test-all check fix proto bench bench-lane bench-journal image lock

help:
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET, where TARGET is one of:\n"} \
	  /^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(WARM) ## create .venv from requirements.lock (hashes checked) and compile the kernels

$(WARM): $(STAMP) $(wildcard server/hotpath/*.py server/hotpath/*/*.py)
	@echo "Compiling the kernels (about a minute after a change)"
	@$(BIN)/riskgate warm
	@$(BIN)/python -m compileall -q server riskgate $(QUICK) # an engine restarts within two seconds
	@touch $@

$(STAMP): requirements.lock requirements.in pyproject.toml
	@echo "Setting up $(VENV) (about a minute the first time)"
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## start everything without TLS, train a model, send decisions; DATA=DIR: real trades
	@$(BIN)/python -m demo $(if $(DATA),--data $(DATA))

serve: setup ## start the server with mutual TLS and embedded PostgreSQL and Redis under .riskgate
	@$(BIN)/riskgate serve

test: setup ## all tests except the long campaigns (minutes)
	@$(BIN)/python -m pytest -m "not campaign" -n logical --dist loadfile --durations=40 --junit-xml=.cache/tests.xml

test-all: setup ## all tests, the long campaigns included (an hour or more)
	@RISKGATE_CAMPAIGN=1 $(BIN)/python -m pytest -n logical --dist loadfile --timeout 7200 --junit-xml=.cache/tests.xml

check: $(STAMP) ## formatting, lint, types, generated code, house rules; changes nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(SOURCES)
	@rm -rf .cache/proto && mkdir -p .cache/proto
	@$(call generate,.cache/proto,.cache/proto/fields.py)
	@diff -r -x __pycache__ -x __init__.py riskgate/v1 .cache/proto/riskgate/v1 \
	  && diff server/hotpath/wire/fields.py .cache/proto/fields.py \
	  || { echo "riskgate/v1 or its field numbers differ from protos/: run 'make proto'"; exit 1; }
	@$(BIN)/python -m pytest -q tests/test_tidy.py

fix: setup ## format and apply the safe lint fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# $(1): folder that receives riskgate/v1. $(2): file that receives the field numbers.
define generate
$(BIN)/python -m grpc_tools.protoc -I protos \
  --python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) $(PROTOS)
@$(BIN)/python -m protos.number_fields $(2)
endef

proto: setup ## regenerate riskgate/v1 from protos/
	@rm -f riskgate/v1/*_pb2.py riskgate/v1/*_pb2.pyi riskgate/v1/*_pb2_grpc.py
	@$(call generate,.,server/hotpath/wire/fields.py)

bench: setup ## measure decisions, memory and start time on this machine
	@$(BIN)/python -m benchmarks

bench-lane: setup ## compare the decision port with servers that do no work (ARGS=--quick: short)
	@$(BIN)/python -m benchmarks.lane $(ARGS)

bench-journal: setup ## what the journal costs, and how fast it is replayed
	@$(BIN)/python -m benchmarks.journal $(ARGS)

image: ## build the container image riskgate:latest
	docker build --tag riskgate:latest .

# Re-resolve requirements.lock; only needed when requirements*.in changes. Needs the uv program.
lock:
	@$(UV) pip compile --quiet --generate-hashes --python-version 3.11 --no-header \
	  --upgrade requirements-dev.in --output-file requirements.lock
