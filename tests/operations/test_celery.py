"""A real Celery worker on Redis does the worker's work."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager

import pytest
from django.conf import settings

import whizbang
from tests.processes import running, stop, wait_until
from tests.shop.messages import OpenOrder
from tests.shop.models import OrderSummary
from whizbang import WhizbangError
from whizbang.operations.schedule import install_schedule

QUEUE = f"whizbang-{settings.RUN_ID}"
HAS_BEAT = "django_celery_beat" in settings.INSTALLED_APPS


def running_celery(
    environment: dict[str, str], *arguments: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    celery = ["-W", "ignore", "-m", "celery", "-A", "tests.celery_app"]
    return running({**environment, "WHIZBANG_TEST_QUEUE": QUEUE}, *celery, *arguments)


@pytest.mark.requires_redis
@pytest.mark.skipif(not HAS_BEAT, reason="django-celery-beat is not installed")
@pytest.mark.django_db(transaction=True)
def test_beat_entry_makes_a_celery_worker_do_the_work(child_environment: dict[str, str]) -> None:
    install_schedule(every_seconds=1)
    whizbang.publish_batch(OpenOrder(order_id=str(i)) for i in range(50))
    scheduler = "--scheduler=django_celery_beat.schedulers:DatabaseScheduler"
    with (
        running_celery(child_environment, "worker", "--pool=solo", "--loglevel=WARNING") as worker,
        running_celery(child_environment, "beat", scheduler, "--max-interval=1", "--pidfile="),
    ):
        wait_until(lambda: OrderSummary.objects.count() == 50)
        stop(worker)


@pytest.mark.skipif(not HAS_BEAT, reason="django-celery-beat is not installed")
@pytest.mark.django_db
def test_schedule_can_be_installed_again() -> None:
    first = install_schedule(every_seconds=5)
    second = install_schedule(every_seconds=2)
    assert (first.pk, second.interval.every) == (second.pk, 2)


@pytest.mark.skipif(HAS_BEAT, reason="django-celery-beat is installed")
def test_missing_beat_is_told_with_what_to_do() -> None:
    with pytest.raises(WhizbangError, match="pip install"):
        install_schedule()
