"""The settings in force, with every secret masked, and what system checks say."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from whizbang.conf import Settings
from whizbang.operations import configuration
from whizbang.operations.configuration import Configuration, read_configuration

SECRET = "hunter2-and-more"


def read(**more: Any) -> Configuration:
    with override_settings(WHIZBANG=more):
        return read_configuration()


def value_of(found: Configuration, key: str) -> tuple[str, bool]:
    return next((e.value, e.is_given) for e in found.settings if e.key == key)


def test_every_key_is_told_and_whether_it_is_given() -> None:
    found = read(BATCH_SIZE=7, OWNS={"b", "a"})
    assert [entry.key for entry in found.settings] == [field.name for field in fields(Settings)]
    assert value_of(found, "BATCH_SIZE") == ("7", True)
    assert value_of(found, "OWNS") == ("[a, b]", True)
    assert value_of(found, "MAX_HOPS") == ("100", False)


RABBIT = "whizbang.drivers.brokers.rabbitmq.RabbitMQBroker"
KAFKA = "whizbang.drivers.brokers.kafka.KafkaBroker"
ELASTIC = "whizbang.drivers.sinks.elasticsearch.ElasticsearchSink"


@pytest.mark.parametrize(
    "options",
    [
        {"url": f"amqps://ada:{SECRET}@rabbit/shop"},
        {"url": f"amqps://rabbit/shop?password={SECRET}&heartbeat=3"},
        {"security": {"sasl.username": "shop-user", "sasl.password": SECRET}},
        {"api_key": SECRET},
        {"basic_auth": ("ada", SECRET)},
        {"client": {"headers": [{"Authorization": SECRET}]}},
        {"more": [{"token": SECRET}], "again": f"see {SECRET}"},
        {"password": SECRET, "nested": {"deeper": f"--pass {SECRET}"}},
    ],
)
@pytest.mark.parametrize("kind", ["BROKERS", "SINKS", "STORES"])
def test_secrets_of_options_are_masked(kind: str, options: dict[str, Any]) -> None:
    backend = {"BROKERS": KAFKA, "SINKS": ELASTIC, "STORES": "no.such.Store"}[kind]
    found = read(**{kind: {"default": {"BACKEND": backend, "OPTIONS": options}}})
    text = json.dumps(asdict(found))
    assert SECRET not in text
    assert "***" in text


def test_passwords_of_databases_are_masked(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    options = {
        "passfile": "/etc/pgpass",
        "service": f"host=db password='{SECRET}'",
        "sslmode": "require",
    }
    database = {**settings.DATABASES["default"], "PASSWORD": SECRET, "OPTIONS": options}
    monkeypatch.setitem(settings.DATABASES, "default", database)
    found = read()
    text = json.dumps(asdict(found))
    assert SECRET not in text and "/etc/pgpass" not in text
    assert "sslmode: require" in text and "PASSWORD" in text


def test_names_that_look_secret_but_are_none_are_shown() -> None:
    found = read(
        SERVICES={"authentication": {"OWNS": ["authentication"]}},
        MODES={"authentication.LogIn": "durable"},
    )
    assert value_of(found, "MODES")[0] == "{authentication.LogIn: durable}"
    assert "OWNS: [authentication]" in value_of(found, "SERVICES")[0]


def test_products_tell_their_abilities_and_defaults() -> None:
    found = read(BROKERS={"default": {"BACKEND": KAFKA, "OPTIONS": {"partitions": 3}}})
    broker = found.brokers[0]
    options = {entry.key: (entry.value, entry.is_given) for entry in broker.options}
    assert options["partitions"] == ("3", True)
    assert options["replication_factor"] == ("1", False)
    assert {entry.key for entry in broker.abilities} >= {"is_remote", "system"}
    store = found.stores[0]
    assert {entry.key for entry in store.abilities} >= {"commit_order_is_position_order"}
    assert store.backend.endswith("Store")
    assert found.databases[0].alias == "default"


def test_wrong_settings_are_told_and_break_nothing() -> None:
    for wrong in (
        {"BROKERS": {"default": {"BACKEND": "no.such.Broker"}}},
        {"BROKERS": "redis"},
        {"SINKS": {"a": None}},
        {"STORES": {"default": {"USING": "nowhere"}}},
        {"STORES": {"default": {"BACKEND": "no.such.Store"}}},
        {"BATCH": 3},
    ):
        found = read(**wrong)
        assert any(finding.level == "error" for finding in found.findings), wrong


def test_checks_are_asked_again_when_settings_change(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(configuration, "_run_checks", lambda: asked.append(1) or ())
    configuration._forget()
    configuration.findings()
    configuration.findings()
    assert len(asked) == 1
    with override_settings(WHIZBANG={"BATCH_SIZE": 3}):
        configuration.findings()
    assert len(asked) == 2
    monkeypatch.setattr(configuration, "_KEPT_SECONDS", 0.0)
    configuration.findings()
    configuration._forget()


def test_silenced_checks_are_left_out() -> None:
    wrong = {"SERVISE": "shop"}
    with override_settings(WHIZBANG=wrong, SILENCED_SYSTEM_CHECKS=["whizbang.E002"]):
        assert not [f for f in read_configuration().findings if f.id == "whizbang.E002"]


def test_command_tells_people_and_machines() -> None:
    out = StringIO()
    with override_settings(WHIZBANG={"REGION": "eu", "SERVISE": "shop"}):
        call_command("whizbang", "settings", stdout=out)
    shown = out.getvalue()
    assert "REGION = eu\n" in shown and "MAX_HOPS = 100 (default)" in shown
    assert "error whizbang.E002" in shown
    assert connections["default"].vendor[:4] in shown or "store default" in shown
    out = StringIO()
    call_command("whizbang", "settings", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert {entry["key"] for entry in found["settings"]} == {
        field.name for field in fields(Settings)
    }
