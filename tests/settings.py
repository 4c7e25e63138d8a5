"""Settings of the suite; WHIZBANG_TEST_DB chooses the database: sqlite (the default), postgres,
mariadb or mssql.

Every run has databases of its own, named by RUN_ID, so that runs may overlap. A process that a test starts
finds the test's database by WHIZBANG_TEST_DB_NAME (the fixture `child_environment` sets it).
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from tests.services import REDIS_URL, SERVICES

BASE_DIR = Path(__file__).resolve().parent.parent
RUN_ID = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")[:8] or str(os.getpid())
DATABASE_KIND = os.environ.get("WHIZBANG_TEST_DB", "sqlite")


def describe_sqlite(name: str) -> dict[str, Any]:
    """A file, never :memory:, so that threads and processes of a test share it as they would in production."""
    folder = BASE_DIR / "build" / "test-databases"
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("WHIZBANG_TEST_DB_NAME", folder / f"{name}.sqlite3"),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        "TEST": {"NAME": folder / f"test_{name}_{RUN_ID}.sqlite3"},
    }


def describe_postgres(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("WHIZBANG_TEST_DB_NAME", "postgres"),
        "HOST": SERVICES["postgres"].host,
        "PORT": SERVICES["postgres"].port,
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        # What Django asks for behind a pooler that gives a session to each transaction.
        "DISABLE_SERVER_SIDE_CURSORS": os.environ.get("WHIZBANG_TEST_POOLER") == "true",
        "TEST": {"NAME": f"test_{name}_{RUN_ID}"},
    }


def describe_mariadb(name: str) -> dict[str, Any]:
    """By mysqlclient where it is installed, else by PyMySQL, which needs no compiler and no headers."""
    if find_spec("MySQLdb") is None:
        import pymysql

        pymysql.install_as_MySQLdb()
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": os.environ.get("WHIZBANG_TEST_DB_NAME", "mysql"),
        "HOST": SERVICES["mariadb"].host,
        "PORT": SERVICES["mariadb"].port,
        "USER": os.environ.get("WHIZBANG_TEST_MARIADB_USER", "root"),
        "PASSWORD": os.environ.get("WHIZBANG_TEST_MARIADB_PASSWORD", ""),
        "OPTIONS": {"init_command": "SET time_zone = '+00:00'"},
        "TEST": {"NAME": f"test_{name}_{RUN_ID}"},
    }


def describe_mssql(name: str) -> dict[str, Any]:
    """Needs mssql-django; the collation is one in which only equal names are equal."""
    return {
        "ENGINE": "mssql",
        "NAME": os.environ.get("WHIZBANG_TEST_DB_NAME", "master"),
        "HOST": SERVICES["mssql"].host,
        "PORT": SERVICES["mssql"].port,
        "USER": os.environ.get("WHIZBANG_TEST_MSSQL_USER", "sa"),
        "PASSWORD": os.environ.get("WHIZBANG_TEST_MSSQL_PASSWORD", ""),
        "OPTIONS": {"extra_params": "TrustServerCertificate=yes"},
        "TEST": {"NAME": f"test_{name}_{RUN_ID}", "COLLATION": "Latin1_General_100_BIN2"},
    }


DESCRIPTIONS = {
    "sqlite": describe_sqlite,
    "postgres": describe_postgres,
    "mariadb": describe_mariadb,
    "mssql": describe_mssql,
}
if DATABASE_KIND not in DESCRIPTIONS:
    raise ImproperlyConfigured(
        f"WHIZBANG_TEST_DB is {DATABASE_KIND!r}: choose one of {', '.join(DESCRIPTIONS)}."
    )
DATABASES = {"default": DESCRIPTIONS[DATABASE_KIND]("whizbang")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = "for the tests only"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
# Tests make many users, and none of their passwords is a secret.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "whizbang",
    "whizbang_admin",
    "projects.example.orders",
    "projects.example.inventory",
    "projects.example.payments",
    "projects.example.shipping",
    "tests.shop",
    "tests.trips",
    "tests.words",
]
# Absent where the newest Django is tested, which it refuses.
if find_spec("django_celery_beat"):
    INSTALLED_APPS.append("django_celery_beat")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

CELERY_BROKER_URL = REDIS_URL

WHIZBANG: dict[str, Any] = {}
# Tests that kill workers do not wait half a minute for their leases.
if lease_seconds := os.environ.get("WHIZBANG_TEST_LEASE_SECONDS"):
    WHIZBANG["LEASE_SECONDS"] = float(lease_seconds)
