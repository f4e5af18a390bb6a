# jail-task-driver: the only entrance. Works under GNU make and BSD make.
# `make` alone prints the targets.

.PHONY: help setup run test check fmt lint type arch docs proto bench sweep clean

help: ## print the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | sort

setup: ## make .venv with everything in it
	@sh scripts/setup.sh

run: setup ## run the document's http-echo task in a jail, show its reply, log and states
	@sh scripts/run.sh

test: setup ## run all tests (under 10 minutes on 2 cores)
	@sh scripts/test.sh

check: lint type arch test ## lint, types, import layers, tests

fmt: setup ## format the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix-only --quiet .

lint: setup ## ruff: format and rules
	@.venv/bin/ruff format --check . && .venv/bin/ruff check .

type: setup ## mypy, strict
	@.venv/bin/mypy

arch: setup ## import layers
	@.venv/bin/lint-imports

sweep: setup ## search the crash schedules, kill real processes; figures for docs/explanation/guarantees.md
	@sh scripts/sweep.sh

docs: setup ## make the reference pages that are drawn from tables
	@.venv/bin/python scripts/docs.py

proto: setup ## make the protobuf modules
	@sh scripts/proto.sh

bench: setup ## measure the store and a supervisor's memory
	@.venv/bin/python tests/bench/store.py
	@.venv/bin/python tests/bench/supervisor.py

clean: ## remove what the targets made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
