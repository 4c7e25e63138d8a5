"""Who does the work: workers of the library, alone or as two services, and Celery's."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

from benchmarks import site
from benchmarks.databases import Database
from benchmarks.relaying.services import URL

APPS = ("benchmarks.booking",)
BOOKING, STEPS = "booking", "steps"  # the services, each with the domain of its name
_MODES = {STEPS: "batched"}
_PATIENCE_SECONDS = 30.0


def set_up_alone(database: Database) -> None:
    site.set_up(database, APPS, MODES=_MODES)


def set_up_service(database: Database, service: str, prefix: str) -> None:
    """Be one of two services, in this process."""
    other = STEPS if service == BOOKING else BOOKING
    options = {"url": URL, "prefix": prefix}
    backend = "whizbang.drivers.brokers.rabbitmq.RabbitMQBroker"
    site.set_up(
        database,
        APPS,
        SERVICE=service,
        OWNS=[service],
        SERVICES={other: {"OWNS": [other], "LISTENS_TO": [STEPS] if other == BOOKING else []}},
        MODES=_MODES,
        BROKERS={"default": {"BACKEND": backend, "OPTIONS": options}},
    )


@contextmanager
def running(count: int, work: Callable[..., None], *args: Any) -> Iterator[None]:
    """So many processes that run a function until the block ends."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        for _ in range(count):
            process = context.Process(target=work, args=args, daemon=True)
            process.start()
            stack.callback(_end, process)
        yield


def _end(process: Any) -> None:
    process.terminate()
    process.join(_PATIENCE_SECONDS)
    if process.is_alive():
        process.kill()


def work_alone(database: Database) -> None:
    set_up_alone(database)
    _run_worker()


def work_as_service(database: Database, service: str, prefix: str) -> None:
    set_up_service(database, service, prefix)
    _run_worker()


def _run_worker() -> None:
    import signal

    from whizbang.operations.worker import Worker

    worker = Worker()
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


def work_by_hand(database: Database, queue: str) -> None:
    """One process without a pool, which is the quickest that Celery has for one task at a time."""
    app = celery_app(database, queue)
    silent = ("--without-heartbeat", "--without-gossip", "--without-mingle", "--loglevel=ERROR")
    app.worker_main(["worker", "--pool=solo", f"--hostname={uuid4().hex}@%h", *silent])


def celery_app(database: Database, queue: str) -> Any:
    """The Celery app, with Django set up in this process."""
    site.set_up(database, APPS)
    from benchmarks.booking.tasks import app

    app.conf.update(broker_url=URL, task_default_queue=queue)
    return app


def remove_queues(prefix: str) -> None:
    """All that the two services and Celery have declared under it."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(URL))
    try:
        channel = connection.channel()
        for service in (BOOKING, STEPS):
            channel.queue_delete(f"{prefix}.{service}")
            channel.queue_delete(f"{prefix}.{service}.events")
        channel.queue_delete(f"{prefix}-celery")
        for exchange in ("services", "events"):
            channel.exchange_delete(f"{prefix}.{exchange}")
    finally:
        connection.close()
