"""Which database and which servers a test runs on.

A test says what it needs by a marker (`requires_postgres`, `requires_mariadb`, `requires_sqlite`,
`requires_redis`, `requires_rabbitmq`, `requires_browser`). Where a
server or the browser is missing its tests are skipped and say so; with CI=true they fail instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from shutil import which
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import Model

from tests.chromium import ABSENCE as NO_CHROMIUM
from tests.chromium import find_chromium
from tests.collected import Collected, collecting
from tests.elasticsearch_server import elasticsearch_server
from tests.quick_flush import install_quick_flush
from tests.services import REDIS_URL, SERVICES, must_answer


def demand(service: str) -> None:
    """Skip the test when a server is missing; fail it in CI."""
    if SERVICES[service].answers():
        return
    if must_answer():
        pytest.fail(SERVICES[service].absence, pytrace=False)
    pytest.skip(SERVICES[service].absence)


def demand_packages(*modules: str, file: str = "test.txt") -> None:
    """The same for packages that not everybody installs; `file` of the requirements brings them."""
    for module in modules:
        if find_spec(module) is None:
            absence = f"{module} is not installed: pip install -r requirements/{file}"
            pytest.fail(absence, pytrace=False) if must_answer() else pytest.skip(absence)


def demand_program(name: str) -> None:
    """The same for a program."""
    if which(name) is None:
        absence = f"the program {name} is not installed"
        pytest.fail(absence, pytrace=False) if must_answer() else pytest.skip(absence)


def demand_browser() -> None:
    """The same for a browser, and for what drives it."""
    demand_packages("playwright", "axe_playwright_python", file="dev.txt")
    if find_chromium() is None:
        pytest.fail(NO_CHROMIUM, pytrace=False) if must_answer() else pytest.skip(NO_CHROMIUM)


def demand_database() -> None:
    """Demand the server of the chosen database; SQLite has none."""
    if settings.DATABASE_KIND in SERVICES:
        demand(settings.DATABASE_KIND)


def pytest_report_header() -> str:
    return f"database: {settings.DATABASE_KIND}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    for kind in ("sqlite", "postgres", "mariadb", "mssql"):
        if item.get_closest_marker(f"requires_{kind}"):
            if settings.DATABASE_KIND != kind:
                pytest.skip(f"runs with WHIZBANG_TEST_DB={kind}")
            demand_database()
    if item.get_closest_marker("requires_server") and settings.DATABASE_KIND == "sqlite":
        pytest.skip("runs with a database server")
    for service in ("redis", "rabbitmq"):
        if item.get_closest_marker(f"requires_{service}"):
            demand(service)
    if item.get_closest_marker("requires_browser"):
        demand_browser()


@pytest.fixture(scope="session")
def database_server() -> None:
    demand_database()


@pytest.fixture(scope="session")
def django_db_setup(database_server: None, django_db_setup: None) -> None:
    """pytest-django's own, but only once the server is known to be there."""
    install_quick_flush()


@pytest.fixture
def redis_url() -> str:
    """Every run shares this database: use keys that begin with `settings.RUN_ID`, and remove them."""
    return REDIS_URL


@pytest.fixture(scope="session")
def elasticsearch_url() -> Iterator[str]:
    """A server of this run's own, unless WHIZBANG_TEST_ELASTICSEARCH names one."""
    demand_packages("elasticsearch", "noida_db")
    with elasticsearch_server() as url:
        yield url


@pytest.fixture
def collected() -> Iterator[Collected]:
    """What an OpenTelemetry SDK collects during the test."""
    with collecting() as found:
        yield found


@pytest.fixture
def child_environment(transactional_db: None) -> dict[str, str]:
    """The environment for a process that a test starts, so that it works on the test's database."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "WHIZBANG_TEST_DB_NAME": str(connection.settings_dict["NAME"]),
    }


@pytest.fixture(scope="session")
def tables(django_db_setup: None, django_db_blocker: Any) -> None:
    """Creates the tables of these tests in the test database, once a run."""
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        for model in models():
            editor.create_model(model)


@pytest.fixture
def empty_tables(tables: None, transactional_db: None) -> Iterator[None]:
    """For tests with several transactions: flush does not know tables of apps that are not installed."""
    yield
    for model in models():
        model._base_manager.all().delete()


@pytest.fixture
def no_tables_of_rebuilds(transactional_db: None) -> Iterator[None]:
    """For tests that leave new or kept tables behind, which stand in schemas that flush does not know."""
    yield
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS whizbang_new, whizbang_old CASCADE")


def models() -> Sequence[type[Model]]:
    from tests.projections.models import MODELS  # once Django is set up

    return MODELS
