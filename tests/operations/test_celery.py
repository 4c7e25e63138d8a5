"""Real Celery workers and a real beat, on Redis and on RabbitMQ, do the worker's work: each thing once."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

import whizbang
from tests.marks import soak_on
from tests.processes import kill, running_worker, stop, wait_until
from tests.shop.gate import Gate
from tests.shop.messages import OpenOrder, PassGate, PassGateOutside
from tests.shop.models import CustomerTotal, Heard, OrderSummary
from whizbang.models import Lease
from whizbang.operations.schedule import install_schedule

HAS_BEAT = "django_celery_beat" in settings.INSTALLED_APPS
pytestmark = [
    pytest.mark.skipif(not HAS_BEAT, reason="django-celery-beat is not installed"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.fixture
def environment(child_environment: dict[str, str], gate: Gate) -> dict[str, str]:
    return {**child_environment, **gate.environment, "WHIZBANG_TEST_LEASE_SECONDS": "2"}


# Each broker beside one database: what one does has nothing to do with the other.
@pytest.fixture(
    params=[
        pytest.param("redis", marks=[pytest.mark.requires_redis, pytest.mark.requires_sqlite]),
        pytest.param(
            "rabbitmq", marks=[pytest.mark.requires_rabbitmq, pytest.mark.requires_postgres]
        ),
    ]
)
def celery(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[Any]:
    from tests.operations.celery_processes import celery_on  # Celery is not installed everywhere

    with celery_on(request.param, environment) as made:
        install_schedule(every_seconds=1)
        yield made


def test_celery_and_a_worker_process_share_the_work_and_do_none_twice(
    celery: Any, gate: Gate, environment: dict[str, str]
) -> None:
    gate.open()
    published = 0
    with (
        celery.worker("--pool=solo") as celery_worker,
        celery.beat() as beat,
        running_worker({**environment, "WHIZBANG_TEST_PROCESS": "worker"}) as worker,
    ):
        while not {"celery", "worker"} <= set(who_passed().values()):
            published = publish_more(published)
        wait_until(lambda: len(who_passed()) == published)
        wait_until(lambda: OrderSummary.objects.count() == published)
        stop(beat)
        stop(worker)
        stop(celery_worker)
    assert Heard.objects.filter(text__startswith="passed").count() == published
    assert CustomerTotal.objects.get().orders == published
    heard = Counter(Heard.objects.filter(text__startswith="opened").values_list("text", flat=True))
    assert heard == {f"opened {number}": 1 for number in range(published)}
    assert not Lease.objects.exclude(owner="").exists()


def publish_more(number: int) -> int:
    """Ten more of each kind, once those before have been handled; gives how many there are now."""
    wait_until(lambda: len(who_passed()) == number)
    for at in range(number, number + 10):
        whizbang.publish(PassGate(name=str(at)))
        whizbang.publish(OpenOrder(order_id=str(at)))
    return number + 10


def who_passed() -> dict[str, str]:
    """The kind of process by the command's name."""
    texts = Heard.objects.filter(text__startswith="passed").values_list("text", flat=True)
    return {text.split()[1]: text.split()[-1] for text in texts}


def test_tick_that_takes_longer_than_its_interval_is_not_overlapped(
    celery: Any, gate: Gate
) -> None:
    """Another process is free and gets the next ticks, but the first one still works."""
    first = whizbang.publish(PassGateOutside(name="first"))
    with celery.worker("--pool=prefork", "--concurrency=2") as worker, celery.beat():
        wait_until(lambda: bool(gate.waiting("first")))
        second = whizbang.publish(PassGateOutside(name="second"))
        before = len(ticks("ended"))
        wait_until(lambda: len(ticks("ended")) >= before + 2 or bool(gate.waiting("second")))
        assert not gate.waiting("second")
        gate.open()
        wait_until(lambda: first.refresh().status == second.refresh().status == "handled")
        stop(worker)
    assert sorted(who_passed()) == ["first", "second"]


def ticks(what: str) -> set[str]:
    """Ids of the tasks that began, or ended; without those for rebuilds alone."""
    texts = Heard.objects.filter(text__regex=f"^tick {what} [^ ]+ .*commands")
    return {text.split()[-2] for text in texts.values_list("text", flat=True)}


@soak_on("sqlite")
def test_work_of_lost_celery_workers_is_done_by_another_one_once(celery: Any, gate: Gate) -> None:
    """First a child of the pool is killed, then all of a worker; tasks are acknowledged late and so come again."""
    from django_celery_beat.models import PeriodicTask

    PeriodicTask.objects.update(expire_seconds=None)  # a task that comes again is not too old
    receipt = whizbang.publish(PassGate(name="it"))
    with celery.beat():
        with celery.worker("--pool=prefork", "--concurrency=1") as lost:
            wait_until(lambda: len(gate.waiting("it")) == 1)
            (child,) = gate.waiting("it")
            os.kill(child, signal.SIGKILL)
            wait_until(lambda: len(gate.waiting("it")) == 2)
            (heir,) = gate.waiting("it") - {child}
            kill_all(lost.pid, heir)
            kill(lost)
        killed = ticks("began") - ticks("ended")
        with celery.worker("--pool=solo") as other:
            wait_until(lambda: len(gate.waiting("it")) == 3)
            gate.open()
            wait_until(lambda: receipt.refresh().status == "handled")
            wait_until(lambda: killed <= ticks("ended"))
            stop(other)
    assert killed
    assert Heard.objects.filter(text__startswith="passed").count() == 1


def kill_all(*processes: int) -> None:
    """The first one first, so that it does not replace the others."""
    for process in processes:
        os.kill(process, signal.SIGKILL)
