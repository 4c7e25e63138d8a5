"""System checks tell at start-up what would fail later."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.test import override_settings

from whizbang import Aggregate, Command, handles, subscribes


def ids() -> set[str]:
    return {m.id for m in checks.run_checks(tags=["whizbang"]) if m.id}


def test_nothing_is_wrong_with_the_suites_own_settings() -> None:
    assert ids() == set()


@pytest.mark.parametrize(
    ("values", "code", "hint"),
    [
        ([], "E001", "WHIZBANG = {"),
        ({"BATCHSIZE": 1}, "E002", "BATCH_SIZE"),
        ({"BATCH_SIZE": "many"}, "E003", "int"),
        ({"BATCH_SIZE": 0}, "E003", "above zero"),
        ({"OWNS": "orders"}, "E003", "list"),
        ({"MODES": {"shop": "durabel"}}, "E004", "durable"),
        ({"PIPELINE": ["whizbang.nothing.Here"]}, "E005", "dotted path"),
        ({"STORES": {"default": {"USING": "nowhere"}}}, "E006", "alias"),
    ],
)
def test_wrong_setting_is_an_error_with_a_hint(values: Any, code: str, hint: str) -> None:
    with override_settings(WHIZBANG=values):
        found = [m for m in checks.run_checks(tags=["whizbang"]) if m.id == f"whizbang.{code}"]
    assert found
    assert hint in str(found[0].hint)


def test_two_handlers_and_two_subscriptions_of_one_name_are_errors(isolated_registry: None) -> None:
    class Twice(Command):
        pass

    from tests.shop.messages import OrderGone

    for number in range(2):

        def handler(command: Any, context: Any) -> None:
            return None

        handler.__qualname__ = f"handler_{number}"
        handles(Twice)(handler)
        subscribes(OrderGone, name="same")(handler)
    assert ids() == {"whizbang.E020", "whizbang.E040"}


def test_default_that_instances_would_share_is_an_error(isolated_registry: None) -> None:
    class Box:
        pass

    class Shared(Aggregate):
        box: Any = Box()
        fine: list[int] = []

    found = [m for m in checks.run_checks(tags=["whizbang"]) if m.id == "whizbang.E030"]
    assert ["Shared.box" in m.msg for m in found] == [True]


def test_inactive_handler_is_told_at_info_level() -> None:
    with override_settings(WHIZBANG={"OWNS": ["orders"]}):
        assert "whizbang.I001" in ids()
