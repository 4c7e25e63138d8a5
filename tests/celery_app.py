"""The Celery app that tests start in processes of its own; see tests/operations/celery_processes.py."""

from __future__ import annotations

import json
import os
from typing import Any

from celery import Celery
from celery.signals import task_postrun, task_prerun

from tests.services import REDIS_URL

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

app = Celery("tests", broker=os.environ.get("WHIZBANG_TEST_CELERY_BROKER", REDIS_URL))
app.conf.update(
    task_default_queue=os.environ.get("WHIZBANG_TEST_QUEUE", "whizbang-tests"),
    broker_transport_options=json.loads(os.environ.get("WHIZBANG_TEST_TRANSPORT_OPTIONS", "{}")),
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=False,  # it makes queues of other names
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
)
app.autodiscover_tasks()


@task_prerun.connect
def note_begin(task_id: str, **known: Any) -> None:
    _note("began", task_id, **known)


@task_postrun.connect
def note_end(task_id: str, **known: Any) -> None:
    _note("ended", task_id, **known)


def _note(what: str, task_id: str, kwargs: dict[str, Any], **known: Any) -> None:
    """For tests that wait until something has been tried."""
    from tests.shop.models import Heard

    Heard.objects.create(text=f"tick {what} {task_id} {','.join(kwargs['only'])}")
