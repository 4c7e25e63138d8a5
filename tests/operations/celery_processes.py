"""Celery's own processes, on a broker that is shared with other runs."""

from __future__ import annotations

import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import uuid4

import pika
import redis
from django.conf import settings

from tests.processes import running
from tests.services import RABBITMQ_URL, REDIS_URL

_SCHEDULER = "--scheduler=django_celery_beat.schedulers:DatabaseScheduler"
# Each makes queues of names of its own, and tests need none of them.
_WITHOUT = ("--without-gossip", "--without-mingle", "--without-heartbeat")


class CeleryOn(ABC):
    """Starts worker and beat on one broker, with a queue that nobody else uses."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.name = f"whizbang-celery-{settings.RUN_ID}-{uuid4().hex[:8]}"
        self._environment = {
            **environment,
            "WHIZBANG_TEST_QUEUE": self.name,
            "WHIZBANG_TEST_PROCESS": "celery",
            **self.describe(),
        }

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """The environment that says where the broker is."""

    @abstractmethod
    def clean_up(self) -> None:
        """Remove all that was made on the broker."""

    def worker(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
        return self._run("worker", "--loglevel=WARNING", *_WITHOUT, *arguments)

    def beat(self) -> AbstractContextManager[subprocess.Popen[str]]:
        return self._run("beat", _SCHEDULER, "--max-interval=1", "--pidfile=")

    def _run(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
        celery = ("-W", "ignore", "-m", "celery", "-A", "tests.celery_app")
        return running(self._environment, *celery, *arguments)


class CeleryOnRedis(CeleryOn):
    def describe(self) -> dict[str, str]:
        options = {
            "global_keyprefix": f"{self.name}:",
            # What nobody has acknowledged for so long (an hour, unless it is said) is delivered again by the
            # next worker that starts, or by one that runs, which looks every hundred seconds.
            "visibility_timeout": 1,
        }
        return {
            "WHIZBANG_TEST_CELERY_BROKER": REDIS_URL,
            "WHIZBANG_TEST_TRANSPORT_OPTIONS": json.dumps(options),
        }

    def clean_up(self) -> None:
        with redis.Redis.from_url(REDIS_URL) as client:
            if keys := list(client.scan_iter(f"{self.name}:*")):
                client.delete(*keys)


class CeleryOnRabbitmq(CeleryOn):
    def describe(self) -> dict[str, str]:
        return {"WHIZBANG_TEST_CELERY_BROKER": RABBITMQ_URL}

    def clean_up(self) -> None:
        connection = pika.BlockingConnection(pika.URLParameters(RABBITMQ_URL))
        channel = connection.channel()
        channel.queue_delete(self.name)
        channel.exchange_delete(self.name)
        connection.close()


BROKERS: dict[str, type[CeleryOn]] = {"redis": CeleryOnRedis, "rabbitmq": CeleryOnRabbitmq}


@contextmanager
def celery_on(broker: str, environment: dict[str, str]) -> Iterator[CeleryOn]:
    made = BROKERS[broker](environment)
    try:
        yield made
    finally:
        made.clean_up()
