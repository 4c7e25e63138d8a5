"""django-celery-outbox with publisher confirms: the peer that, like ours, marks what the broker has confirmed."""

from __future__ import annotations

import logging
import sys
from time import perf_counter
from types import ModuleType
from typing import Any

from benchmarks.databases import Database

_BATCH = 100  # its default
_MODULE = "benchmark_celery_app"  # the peer finds the Celery app by a dotted path


def is_there() -> bool:
    try:
        import django_celery_outbox
    except ImportError:
        return False
    return bool(django_celery_outbox.__name__)


def run(database: Database, url: str, queue: str, count: int, note: str) -> float:
    """Messages a second from its outbox rows to confirmed and deleted, one relay. Once a process."""
    app = _set_up(database, url, queue)
    from django.db import transaction
    from django_celery_outbox.models import CeleryOutbox
    from django_celery_outbox.relay import Relay, RelayConfig

    whole = max(count // _BATCH, 1) * _BATCH  # a batch that is not full lets the relay rest
    with transaction.atomic():
        for number in range(whole):
            app.send_task("benchmark.count", kwargs={"cart_id": f"cart-{number}", "note": note})
    relay = Relay(app=app, config=RelayConfig.init(batch_size=_BATCH))
    started = perf_counter()
    while CeleryOutbox.objects.exists():
        relay._processing()  # what its command does in a loop
    return whole / (perf_counter() - started)


def _set_up(database: Database, url: str, queue: str) -> Any:
    import django
    from django.conf import settings
    from django.core.management import call_command

    settings.configure(
        CELERY_OUTBOX_APP=f"{_MODULE}.app",
        DATABASES={"default": database.settings},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django_celery_outbox"],
        SECRET_KEY="for benchmarks only",
        USE_TZ=True,
    )
    from django_celery_outbox import OutboxCelery
    from kombu import Queue

    app = OutboxCelery("benchmark", broker=url)
    app.conf.update(
        broker_transport_options={"confirm_publish": True},
        task_default_queue=queue,
        task_queues=[Queue(queue, queue_arguments={"x-queue-type": "quorum"})],
        task_ignore_result=True,
    )
    module = ModuleType(_MODULE)
    module.app = app  # type: ignore[attr-defined]
    module.__spec__ = None
    sys.modules[_MODULE] = module
    logging.disable(logging.INFO)
    django.setup()
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    call_command("migrate", verbosity=0)
    return app
