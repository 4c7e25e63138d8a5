"""The Celery app that tests start in a process of its own."""

from __future__ import annotations

import os

from celery import Celery

from tests.services import REDIS_URL

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

app = Celery("tests", broker=REDIS_URL)
app.conf.task_default_queue = os.environ.get("WHIZBANG_TEST_QUEUE", "whizbang-tests")
app.conf.broker_connection_retry_on_startup = True
app.autodiscover_tasks()
