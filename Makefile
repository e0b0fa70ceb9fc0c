.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.venv/installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python -m compileall -q services shared
	@touch $@

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' Makefile
run: .venv/installed ## everything on this machine, http://127.0.0.1:9988
	@$(BIN)/moontide up $(ARGS)
demo: .venv/installed ## the same against a simulated provider, with three broken answers mended
	@$(BIN)/moontide up --demo $(ARGS)
test: .venv/installed ## all tests
	@$(BIN)/python -m pytest $(ARGS)
lint: .venv/installed ## lint, formatting, types, import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
check: lint test ## both
.PHONY: help run demo test lint check
