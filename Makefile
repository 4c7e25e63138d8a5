# Every target makes the environment it needs. A stamp in it makes the next run quick: it is brought up to
# date only when pyproject.toml or a requirements file changed. `make clean` removes all of them.

PYTHON ?= $(shell .ci/find-python)
PYTEST_ARGS ?=
JOBS ?= 3
DEMO_ARGS ?=
SOAK_SECONDS ?= 600

# Other supported Pythons, run where the machine has them: 3.12 on the newest Django that every extra
# allows, 3.13 on the newest Django there is.
VERSION = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
OTHER_VERSIONS = $(foreach version,$(filter-out $(VERSION),3.12 3.13),$(if $(shell .ci/find-python $(version)),$(version)))
REQUIREMENTS_3.12 = requirements/test.txt
REQUIREMENTS_3.13 = requirements/test-newest-django.txt

DECLARED := pyproject.toml $(wildcard requirements/*.txt)
DEMO := .venv
TEST := .venvs/test
LINT := $(TEST)
PACKAGE := .venvs/package
WHEELS := build/wheels

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SECONDARY:
.DELETE_ON_ERROR:
.PHONY: help demo demo-services test test-sqlite test-postgres test-mariadb test-versions soak package clean \
	lint lint-style lint-mypy lint-pyright lint-imports lint-migrations

help:
	@echo "make demo      the example shop with real orders, on SQLite, served at a local address"
	@echo "make demo-services  the same shop as four services, each with a database of its own, over a broker"
	@echo "make test      the suite on SQLite, on PostgreSQL and MariaDB where they answer, and on every other Python found"
	@echo "make lint      ruff, mypy, pyright, import-linter, makemigrations --check"
	@echo "make package   the built wheel in a clean environment, in a project made from the README's lines"
	@echo "make soak      the tests that need minutes under load"
	@echo "make clean     remove environments, builds and caches"
	@echo "Variables: PYTHON, PYTEST_ARGS, JOBS, DEMO_ARGS, SOAK_SECONDS"

# $(call install,environment,python,arguments of pip install)
define install
	@echo "Setting up $(1)"
	@test -n "$(2)"
	@test -x $(1)/bin/python || $(2) -m venv --clear $(1)
	@$(1)/bin/python -m pip install -qq --upgrade pip
	@$(1)/bin/python -m pip install -qq $(3)
	@touch $(1)/.stamp
endef

$(DEMO)/.stamp: $(DECLARED)
	$(call install,$(DEMO),$(PYTHON),-r requirements/base.txt)
	@$(DEMO)/bin/python -m pip install -qq --no-deps -r requirements/demo-data.txt

# The example's tests run on the real orders.
$(TEST)/.stamp: $(DECLARED)
	$(call install,$(TEST),$(PYTHON),-r requirements/dev.txt)
	@$(TEST)/bin/python -m pip install -qq --no-deps -r requirements/demo-data.txt

.venvs/test-%/.stamp: $(DECLARED)
	$(call install,.venvs/test-$*,$(shell .ci/find-python $*),--upgrade -r $(REQUIREMENTS_$*))
	@.venvs/test-$*/bin/python -m pip install -qq --no-deps -r requirements/demo-data.txt

$(PACKAGE)/.stamp:
	$(call install,$(PACKAGE),$(PYTHON),wheel)

demo: $(DEMO)/.stamp
	EXAMPLE_UNPAID_SECONDS=$${EXAMPLE_UNPAID_SECONDS:-30} $(DEMO)/bin/python manage.py demo $(DEMO_ARGS)

demo-services: $(DEMO)/.stamp
	$(DEMO)/bin/python projects/example/services.py $(DEMO_ARGS)

# $(call pytest,environment,database,more arguments)
pytest = WHIZBANG_TEST_DB=$(2) $(1)/bin/python -m pytest $(3) $(PYTEST_ARGS)
# Shared out among processes, each with a database of its own. More processes than cores: many tests wait.
spread = $(call pytest,$(1),$(2),-n $(JOBS) --dist worksteal $(3))

test: test-sqlite test-postgres test-mariadb test-versions

test-sqlite: $(TEST)/.stamp
	@echo "== Tests: $(shell $(TEST)/bin/python --version), SQLite"
	$(call spread,$(TEST),sqlite)

# What speaks to other servers, or to people, or measures, is seen once: it has nothing to do with the database of the run.
OF_NO_DATABASE := $(addprefix --ignore=tests/,benchmarks packaging messages domain routing testing admin browser \
	drivers/sinks drivers/telemetry drivers/brokers/redis drivers/brokers/test_rabbitmq.py drivers/brokers/test_kafka.py \
	drivers/brokers/test_kafka_faults.py drivers/brokers/test_tls.py example/test_demo.py messaging/test_secrets.py \
	operations/liveness operations/worker_group operations/test_worker_health.py operations/test_schedule.py \
	operations/test_schemas.py operations/test_schema_changes.py operations/test_scope.py operations/test_topology.py \
	sagas/test_diagram.py scenarios/test_external_projection.py projections/test_external.py)

# With CI=true the run starts in any case, and fails when the server is missing.
test-postgres: $(TEST)/.stamp
	@echo "== Tests: $(shell $(TEST)/bin/python --version), PostgreSQL"
	@if [ "$$CI" = true ] || $(TEST)/bin/python -m tests.services postgres; then \
		$(call spread,$(TEST),postgres,$(OF_NO_DATABASE)); \
	fi

# What touches the database; the rest has been seen on the other two.
MARIADB_TESTS := $(addprefix tests/,drivers messaging operations projections sagas scenarios store subscriptions test_checks.py) \
	$(addprefix --ignore=tests/operations/,test_celery.py test_tick.py test_metrics.py test_dry_run.py test_status.py)

test-mariadb: $(TEST)/.stamp
	@echo "== Tests: $(shell $(TEST)/bin/python --version), MariaDB"
	@if [ "$$CI" = true ] || $(TEST)/bin/python -m tests.services mariadb; then \
		$(call spread,$(TEST),mariadb,$(MARIADB_TESTS) $(OF_NO_DATABASE)); \
	fi

# What tries the database, the wheel, the benchmarks and a browser takes minutes and tells nothing of the Python.
ON_ONE_PYTHON := scenarios benchmarks packaging browser drivers/stores/test_model.py store/test_bounded_memory.py \
	drivers/brokers drivers/sinks example/test_sales_report.py example/test_services.py example/test_killed_saga.py \
	example/test_rebuild.py operations/test_worker_process.py operations/test_worker_health.py operations/worker_group operations/test_celery.py \
	projections/test_cached_following.py messaging/test_secrets.py operations/test_backfill.py operations/test_redrive.py \
	operations/test_not_ready.py operations/test_rebuild_beside.py sagas/test_model.py example/test_fulfillment.py \
	example/test_one_trace.py subscriptions/test_partitions.py
# The oldest and the newest Django see these; the one between sees what it may have changed.
IGNORED_3.12 := $(addprefix --ignore=tests/,subscriptions projections store operations admin sagas drivers example)

test-versions: $(addprefix test-,$(OTHER_VERSIONS))

test-3.%: .venvs/test-3.%/.stamp
	@echo "== Tests: $(shell .venvs/test-3.$*/bin/python --version), SQLite"
	$(call spread,.venvs/test-3.$*,sqlite,$(addprefix --ignore=tests/,$(ON_ONE_PYTHON)) $(IGNORED_3.$*))

soak: $(TEST)/.stamp
	WHIZBANG_SOAK_SECONDS=$(SOAK_SECONDS) $(call pytest,$(TEST),sqlite,-m soak)
	@if $(TEST)/bin/python -m tests.services postgres; then \
		WHIZBANG_SOAK_SECONDS=$(SOAK_SECONDS) $(call pytest,$(TEST),postgres,-m soak); \
	fi

lint: lint-style lint-mypy lint-pyright lint-imports lint-migrations

lint-style: $(LINT)/.stamp
	$(LINT)/bin/ruff check
	$(LINT)/bin/ruff format --check

# Two type checkers, because users have either; pyright reads the example as an editor would.
lint-mypy: $(LINT)/.stamp
	$(LINT)/bin/mypy

lint-pyright: $(LINT)/.stamp
	$(LINT)/bin/pyright --pythonpath $(LINT)/bin/python

lint-imports: $(LINT)/.stamp
	$(LINT)/bin/lint-imports

# The second run covers the apps that only tests use.
lint-migrations: $(LINT)/.stamp
	$(LINT)/bin/python manage.py makemigrations --check --dry-run
	$(LINT)/bin/python manage.py makemigrations --check --dry-run --settings tests.settings

# Needs nothing but pip in its own environment: the project under test gets another, clean one.
package: $(PACKAGE)/.stamp
	@rm -rf $(WHEELS)
	$(PACKAGE)/bin/python -m tests.packaging.fresh_project --wheels $(WHEELS)

clean:
	rm -rf .venv .venvs build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
