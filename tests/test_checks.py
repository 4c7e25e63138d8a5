"""System checks tell at start-up what would fail later."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks
from django.db import connection
from django.test import override_settings

import whizbang
from whizbang import Aggregate, Command, WhizbangError, handles, subscribes

MEMORY_SINK = "whizbang.drivers.sinks.memory.MemorySink"


class Thing:
    """No type that a message can carry."""


def ids() -> set[str]:
    return {m.id for m in checks.run_checks(tags=["whizbang"]) if m.id}


def test_nothing_is_wrong_with_the_suites_own_settings() -> None:
    assert ids() == set()


@pytest.mark.requires_mariadb
def test_isolation_level_that_claims_and_rebuilds_cannot_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", "repeatable read")
    assert ids() == {"whizbang.W006"}


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
        ({"STORES": {"other": {}}}, "E003", "Add one"),
        ({"STORES": {"default": "x"}}, "E003", "dict"),
        ({"STORES": {"default": {"BACKND": "x"}}}, "E002", "BACKEND"),
        ({"STORES": {"default": {"USING": 3}}}, "E003", "str"),
        ({"BROKERS": {}}, "E003", "Add one"),
        ({"BROKERS": {"default": {}}}, "E003", "class"),
        ({"SINKS": {"a": {}}}, "E003", "sink"),
        ({"SINKS": {"a": {"BACKEND": "x.Y", "USING": "b"}}}, "E002", "OPTIONS"),
        ({"SINKS": {"a": {"BACKEND": MEMORY_SINK, "OPTIONS": {"x": 1}}}}, "E007", "options"),
        ({"SINKS": {"a": {"BACKEND": "whizbang.nothing.Sink"}}}, "E005", "dotted path"),
        ({"SERVICES": {"x": ["a"]}}, "E003", "OWNS"),
        ({"PIPELINE": []}, "E003", "stages"),
        ({"PIPELINE": [3]}, "E003", "stages"),
        ({"PIPELINE": ["whizbang.pipeline.validate.Validate"]}, "W002", "Handle"),
        ({"MODES": {"shop.OpenOrdr": "durable"}}, "W003", "shop.OpenOrder"),
        ({"FOUR_EYES": ["xyzzy"]}, "E008", "Known"),
        ({"FOUR_EYES": ["pauze"]}, "E008", "pause"),
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


def test_two_functions_of_one_name_in_a_module_are_two_handlers(isolated_registry: None) -> None:
    class Twice(Command):
        pass

    @handles(Twice)
    def same(command: Any, context: Any) -> None:
        return None

    @handles(Twice)
    def same(command: Any, context: Any) -> None:  # noqa: F811
        return None

    assert "whizbang.E020" in ids()
    with pytest.raises(WhizbangError, match="several handlers"):
        whizbang.send(Twice())


def test_wrong_number_of_arguments_is_told_where_the_function_stands(
    isolated_registry: None,
) -> None:
    class Short(Command):
        pass

    with pytest.raises(TypeError, match=r"handles calls .*short\(message, context\)"):

        @handles(Short)
        def short(command: Any) -> None:
            return None


def test_field_that_no_message_can_carry_and_shared_default_are_errors(
    isolated_registry: None,
) -> None:
    class Carrier(Command):
        thing: Thing

    class Careless(Aggregate):
        boxes = {}

    assert {"whizbang.E012", "whizbang.E031"} <= ids()
