"""A real Celery worker on Redis does the worker's work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings

import whizbang
from tests.shop.messages import OpenOrder
from tests.shop.models import OrderSummary
from whizbang import WhizbangError
from whizbang.operations.schedule import install_schedule

ROOT = Path(__file__).resolve().parents[2]
QUEUE = f"whizbang-{settings.RUN_ID}"
HAS_BEAT = "django_celery_beat" in settings.INSTALLED_APPS


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "celery", "-A", "tests.celery_app", *arguments],
        cwd=ROOT,
        env={**environment, "WHIZBANG_TEST_QUEUE": QUEUE},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_summaries(count: int, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while OrderSummary.objects.count() < count:
        assert time.monotonic() < deadline, "Celery did not do the work in time"
        time.sleep(0.1)


@pytest.mark.requires_redis
@pytest.mark.skipif(not HAS_BEAT, reason="django-celery-beat is not installed")
@pytest.mark.django_db(transaction=True)
def test_beat_entry_makes_a_celery_worker_do_the_work(child_environment: dict[str, str]) -> None:
    install_schedule(every_seconds=1)
    whizbang.publish_batch(OpenOrder(order_id=str(i)) for i in range(50))
    worker = start(child_environment, "worker", "--pool=solo", "--loglevel=WARNING")
    beat = start(
        child_environment,
        "beat",
        "--scheduler=django_celery_beat.schedulers:DatabaseScheduler",
        "--max-interval=1",
        "--pidfile=",
    )
    try:
        wait_for_summaries(50, seconds=30)
    finally:
        for process in (beat, worker):
            process.send_signal(signal.SIGTERM)
        outputs = [process.communicate(timeout=30)[0] for process in (beat, worker)]
    assert worker.returncode == 0, outputs


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
