"""A worker that is told to do some parts leaves the others to others."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

import whizbang
from tests.shop.messages import OpenOrder
from tests.shop.models import OrderSummary
from whizbang import WhizbangError
from whizbang.models import Lease, StoredEvent
from whizbang.operations.worker import Worker
from whizbang.operations.worker_parts import PARTS

pytestmark = pytest.mark.django_db


def test_commands_alone_are_handled_and_nothing_is_projected() -> None:
    whizbang.publish(OpenOrder(order_id="1"))
    counts = Worker(only=["commands"]).run(until_idle=True)
    assert counts["commands"] == 1
    assert StoredEvent.objects.count() == 1
    assert not OrderSummary.objects.exists()
    assert not Lease.objects.exclude(owner="").exists()


def test_events_alone_are_projected_and_no_command_is_taken() -> None:
    whizbang.send(OpenOrder(order_id="1"))
    whizbang.publish(OpenOrder(order_id="2"))
    counts = Worker(only=["events", "upkeep"]).run(until_idle=True)
    assert "commands" not in counts
    assert list(OrderSummary.objects.values_list("order_id", flat=True)) == ["1"]


def test_two_workers_with_a_part_each_do_all() -> None:
    whizbang.publish(OpenOrder(order_id="1"))
    for part in PARTS:
        Worker(only=[part]).run(until_idle=True)
    assert OrderSummary.objects.get().status == "open"


@pytest.mark.parametrize("only", [["comands"], []])
def test_unknown_part_is_refused(only: list[str]) -> None:
    with pytest.raises(WhizbangError, match="use commands, events"):
        Worker(only=only)


def test_command_line_takes_parts() -> None:
    whizbang.publish(OpenOrder(order_id="1"))
    out = StringIO()
    call_command("whizbang", "worker", "--until-idle", "--only", "commands", "upkeep", stdout=out)
    assert "1 commands" in out.getvalue()
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("whizbang", "worker", "--only", "everything")
