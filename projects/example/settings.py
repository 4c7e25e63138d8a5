"""Settings of the example shop: SQLite and no server unless the environment says otherwise.

EXAMPLE_DATABASE   "sqlite" (default), or "postgres" with PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE
EXAMPLE_VAR        folder of the SQLite file and the secret key (default: var/ beside this file)
EXAMPLE_OWNS       domains that this process owns, with commas (default: all four, a monolith)
EXAMPLE_WORKER     "process" (default: run `manage.py whizbang worker`), or "in_process": a thread of
                   the web process, as the demo has it
EXAMPLE_DEBUG      "1" for Django's debug pages
EXAMPLE_HOSTS      host names that are served, with commas (default: this machine only)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent
VAR_DIR = Path(os.environ.get("EXAMPLE_VAR", BASE_DIR / "var"))
VAR_DIR.mkdir(parents=True, exist_ok=True)


def read_secret_key(path: Path) -> str:
    """The key of this installation, made on first use and kept, so that logins outlive a restart."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with open(descriptor, "w") as file:
        key = get_random_secret_key()
        file.write(key)
    return key


def read_list(name: str) -> list[str]:
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]


def configure_database(product: str) -> dict[str, Any]:
    if product == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR_DIR / "example.sqlite3",
            "OPTIONS": {
                # A writer takes its lock when it begins, so that positions follow commit order.
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    if product == "postgres":
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("PGDATABASE", "whizbang_example"),
            "USER": os.environ.get("PGUSER", "postgres"),
            "PASSWORD": os.environ.get("PGPASSWORD", ""),
            "HOST": os.environ.get("PGHOST", ""),
            "PORT": os.environ.get("PGPORT", ""),
        }
    raise ImproperlyConfigured(f"EXAMPLE_DATABASE is {product!r}: use 'sqlite' or 'postgres'.")


SECRET_KEY = os.environ.get("EXAMPLE_SECRET_KEY") or read_secret_key(VAR_DIR / "secret_key")
DEBUG = os.environ.get("EXAMPLE_DEBUG") == "1"
ALLOWED_HOSTS = read_list("EXAMPLE_HOSTS") or ["127.0.0.1", "localhost", "[::1]"]

DATABASES = {"default": configure_database(os.environ.get("EXAMPLE_DATABASE", "sqlite"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

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
]

WHIZBANG = {
    "OWNS": read_list("EXAMPLE_OWNS") or "*",
    "WORKER": os.environ.get("EXAMPLE_WORKER", "process"),
    # What follows from an order is handled many a transaction; PlaceOrder itself is sent inline by
    # the web page and in batches by the import.
    "MODES": {"inventory": "batched", "payments": "batched", "shipping": "batched"},
}

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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

ROOT_URLCONF = "projects.example.urls"
WSGI_APPLICATION = "projects.example.wsgi.application"
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
