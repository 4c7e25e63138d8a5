"""The page of the settings in force."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.admin.clients import EVIL, user_with
from whizbang.conf import Settings

pytestmark = pytest.mark.django_db
SECRET = "hunter2-and-more"


def url() -> str:
    return reverse("admin:whizbang_admin_configuration_changelist")


def test_it_needs_the_permission() -> None:
    assert Client().get(url()).status_code == 302
    assert user_with().get(url()).status_code == 403
    assert user_with("view_overview").get(url()).status_code == 403
    assert user_with("view_configuration").get(url()).status_code == 200


def test_every_key_is_there_and_no_secret(settings: Any) -> None:
    settings.WHIZBANG = {
        **settings.WHIZBANG,
        "REGION": EVIL,
        "SINKS": {
            "cache": {
                "BACKEND": "whizbang.drivers.sinks.redis.RedisSink",
                "OPTIONS": {"url": f"redis://ada:{SECRET}@cache:6379/0"},
            }
        },
    }
    client = user_with("view_configuration")
    with CaptureQueriesContext(connection) as captured:
        shown = client.get(url()).text
    for field in fields(Settings):
        assert f"<code>{field.name}</code>" in shown
    assert SECRET not in shown and "//***@cache:6379/0" in shown
    assert EVIL not in shown and "&lt;script&gt;" in shown
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=", shown.partition('<div id="main"')[2])
    assert len(captured) < 15


def test_what_checks_say_is_shown_with_a_word(settings: Any) -> None:
    settings.WHIZBANG = {**settings.WHIZBANG, "SERVISE": EVIL}
    shown = user_with("view_configuration").get(url()).text
    assert "whizbang.E002" in shown and "Did you mean" in shown
    assert re.search(r'wb-fail">error<', shown)
