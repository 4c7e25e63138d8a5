"""A tick works alone in its slot, for as long as it works."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.db.models import F
from pytest import MonkeyPatch

import whizbang
from tests.processes import wait_until
from tests.shop.messages import OpenOrder
from tests.shop.models import OrderSummary
from whizbang.models import Lease
from whizbang.operations.tick import Tick
from whizbang.operations.worker import Worker
from whizbang.tasks import work

pytestmark = pytest.mark.django_db(transaction=True)


def test_task_works_and_gives_its_lease_back() -> None:
    whizbang.publish(OpenOrder(order_id="1"))
    assert work(max_seconds=None, until_idle=True)["commands"] == 1
    assert OrderSummary.objects.count() == 1
    assert Lease.objects.filter(name__startswith="whizbang.tick").exists()
    assert not Lease.objects.exclude(owner="").exists()


def test_tick_does_nothing_while_another_one_works(monkeypatch: MonkeyPatch) -> None:
    whizbang.publish(OpenOrder(order_id="1"))
    found: list[Any] = []

    def run(self: Worker, **known: Any) -> Counter[str]:
        monkeypatch.undo()
        found.append(Tick().run(until_idle=True))
        found.append(OrderSummary.objects.count())
        found.append(Tick(slot=2).run(until_idle=True))
        return Counter()

    monkeypatch.setattr(Worker, "run", run)
    assert Tick().run(until_idle=True) == Counter()
    assert found[:2] == [None, 0]
    assert found[2]["commands"] == 1


def test_tick_keeps_its_lease_and_ends_when_it_has_lost_it(
    settings: Any, monkeypatch: MonkeyPatch
) -> None:
    settings.WHIZBANG = {"LEASE_SECONDS": 0.5}
    leases = Lease.objects.filter(name__startswith="whizbang.tick")

    def run(self: Worker, **known: Any) -> Counter[str]:
        taken = leases.get()
        wait_until(lambda: leases.get().expires_at != taken.expires_at)
        leases.update(owner="another", epoch=F("epoch") + 1, expires_at=None)
        wait_until(self._stop.is_set)
        return Counter()

    monkeypatch.setattr(Worker, "run", run)
    assert Tick().run() == Counter()
    assert leases.get().owner == "another"
