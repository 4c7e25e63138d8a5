"""Settings of the example shop: SQLite and no server unless the environment says otherwise.

EXAMPLE_DATABASE   "sqlite" (default), or "postgres" with PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE
EXAMPLE_VAR        folder of the SQLite file and the secret key (default: var/ beside this file)
EXAMPLE_OWNS       domains that this process owns, with commas (default: all four, a monolith)
EXAMPLE_SERVICE    one of the four domains: this process is that service, with a database of its own, and
                   talks to the others by a broker (default: none, a monolith)
EXAMPLE_DATABASE_PREFIX  of the names of PostgreSQL databases, without PGDATABASE (default: whizbang)
EXAMPLE_BROKER     between services: "database" (default, an SQLite file that all reach), "redis", "rabbitmq" or
                   "kafka", with EXAMPLE_BROKER_URL, of Kafka host:port
EXAMPLE_BROKER_PREFIX  of the names of queues in it (default: example)
EXAMPLE_WORKER     "process" (default: run `manage.py whizbang worker`), or "in_process": a thread of
                   the web process, as the demo has it
EXAMPLE_BATCH_SIZE     messages or events that a worker takes at a time (default: 500)
EXAMPLE_LEASE_SECONDS  after which a worker that was killed is replaced (default: 30)
EXAMPLE_PROCESS    "saga" (default), "choreography" or "none": see process.py. Change it with a new EXAMPLE_VAR only:
                   orders that are under way in one would not go on in the other
EXAMPLE_FAILURES   shares of the orders that fail, as in "out_of_stock=0.02,declined=0.03", or "none"; see fates.py
EXAMPLE_SEED       chooses which ones (default: 1)
EXAMPLE_UNPAID_SECONDS  how long an order waits for its payment (default: a day)
EXAMPLE_DEBUG      "1" for Django's debug pages
EXAMPLE_HOSTS      host names that are served, with commas (default: this machine only)
OTEL_EXPORTER_OTLP_ENDPOINT  where traces and metrics go, http://127.0.0.1:4318 say (default: nowhere)
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


PREFIX = os.environ.get("EXAMPLE_DATABASE_PREFIX", "whizbang")


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


def read_shares(name: str, default: dict[str, float]) -> dict[str, float]:
    """Shares by name, as in "declined=0.03,cancelled=0.02"; "none" for none."""
    parts = [part.partition("=") for part in read_list(name) if part != "none"]
    unknown = {part[0] for part in parts} - default.keys()
    if unknown:
        raise ImproperlyConfigured(f"{name} knows {', '.join(default)}, not {', '.join(unknown)}.")
    shares = {part[0]: float(part[2]) for part in parts}
    return shares if name in os.environ else default


def configure_database(product: str, *, name: str) -> dict[str, Any]:
    if product == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR_DIR / f"{name}.sqlite3",
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
            "NAME": os.environ.get("PGDATABASE", f"{PREFIX}_{name}"),
            "USER": os.environ.get("PGUSER", "postgres"),
            "PASSWORD": os.environ.get("PGPASSWORD", ""),
            "HOST": os.environ.get("PGHOST", ""),
            "PORT": os.environ.get("PGPORT", ""),
        }
    raise ImproperlyConfigured(f"EXAMPLE_DATABASE is {product!r}: use 'sqlite' or 'postgres'.")


SECRET_KEY = os.environ.get("EXAMPLE_SECRET_KEY") or read_secret_key(VAR_DIR / "secret_key")
DEBUG = os.environ.get("EXAMPLE_DEBUG") == "1"
ALLOWED_HOSTS = read_list("EXAMPLE_HOSTS") or ["127.0.0.1", "localhost", "[::1]"]

SERVICE = os.environ.get("EXAMPLE_SERVICE", "")
BROKER = os.environ.get("EXAMPLE_BROKER", "database")
DATABASE = os.environ.get("EXAMPLE_DATABASE", "sqlite")
LEASE_SECONDS = float(os.environ.get("EXAMPLE_LEASE_SECONDS", "30"))

DATABASES = {
    "default": configure_database(DATABASE, name=f"example_{SERVICE}" if SERVICE else "example")
}
if SERVICE and BROKER == "database":
    DATABASES["broker"] = configure_database("sqlite", name="broker")
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

if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
    INSTALLED_APPS.append("projects.example.telemetry.Telemetry")

EXAMPLE = {
    "PROCESS": os.environ.get("EXAMPLE_PROCESS", "saga"),
    "FAILURES": read_shares(
        "EXAMPLE_FAILURES",
        {"out_of_stock": 0.02, "declined": 0.03, "unanswered": 0.01, "cancelled": 0.02},
    ),
    "SEED": os.environ.get("EXAMPLE_SEED", "1"),
    "UNPAID_SECONDS": float(os.environ.get("EXAMPLE_UNPAID_SECONDS", "86400")),
}

# Each domain can be a service. It listens to the domains whose events its sagas, subscribers and projections want:
# that is told to the others too, so that they make its queue before it has ever run.
LISTENS_TO: dict[str, list[str]] = {
    "orders": ["inventory", "payments", "shipping"],
    "inventory": [],
    "payments": [],
    "shipping": [],
}
if EXAMPLE["PROCESS"] == "choreography":
    LISTENS_TO |= {
        "inventory": ["orders"],
        "payments": ["orders", "inventory"],
        "shipping": ["orders"],
    }


def configure_services(service: str) -> dict[str, Any]:
    if service not in LISTENS_TO:
        raise ImproperlyConfigured(
            f"EXAMPLE_SERVICE is {service!r}: use one of {', '.join(LISTENS_TO)}."
        )
    return {
        "SERVICE": service,
        "OWNS": [service],
        "SERVICES": {
            name: {"OWNS": [name], "LISTENS_TO": domains}
            for name, domains in LISTENS_TO.items()
            if name != service
        },
        "BROKERS": {"default": configure_broker(BROKER)},
    }


def configure_broker(product: str) -> dict[str, Any]:
    options: dict[str, Any] = {"prefix": os.environ.get("EXAMPLE_BROKER_PREFIX", "example")}
    if product == "database":
        backend = "whizbang.drivers.brokers.in_process.InProcessBroker"
        return {"BACKEND": backend, "USING": "broker", "OPTIONS": options}
    backends = {
        "redis": "whizbang.drivers.brokers.redis.RedisBroker",
        "rabbitmq": "whizbang.drivers.brokers.rabbitmq.RabbitMQBroker",
        "kafka": "whizbang.drivers.brokers.kafka.KafkaBroker",
    }
    if product not in backends:
        raise ImproperlyConfigured(
            f"EXAMPLE_BROKER is {product!r}: use 'database', {', '.join(map(repr, backends))}."
        )
    if url := os.environ.get("EXAMPLE_BROKER_URL"):
        options["bootstrap_servers" if product == "kafka" else "url"] = url
    if product == "kafka":
        # Clusters take no session that is shorter, unless they are told to.
        options["session_timeout_seconds"] = max(LEASE_SECONDS, 6.0)
    return {"BACKEND": backends[product], "OPTIONS": options}


# The apps of the other services are installed in each: that their handlers rest there need not be told.
SILENCED_SYSTEM_CHECKS = ["whizbang.I001"] if SERVICE else []

WHIZBANG = {
    "OWNS": read_list("EXAMPLE_OWNS") or "*",
    **(configure_services(SERVICE) if SERVICE else {}),
    "WORKER": os.environ.get("EXAMPLE_WORKER", "process"),
    "BATCH_SIZE": int(os.environ.get("EXAMPLE_BATCH_SIZE", "500")),
    "LEASE_SECONDS": LEASE_SECONDS,
    # What follows from an order is handled many a transaction; PlaceOrder itself is sent inline by
    # the web page and in batches by the import.
    "MODES": {
        "inventory": "batched",
        "payments": "batched",
        "shipping": "batched",
        "orders.ConfirmOrder": "batched",
        "orders.GiveUpOrder": "batched",
    },
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
