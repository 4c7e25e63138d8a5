"""The page of who owns, handles and hears what."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.admin.clients import EVIL, user_with

pytestmark = pytest.mark.django_db


def url() -> str:
    return reverse("admin:whizbang_admin_topology_changelist")


def test_it_needs_the_permission() -> None:
    assert Client().get(url()).status_code == 302
    assert user_with().get(url()).status_code == 403
    assert user_with("view_overview").get(url()).status_code == 403
    assert user_with("view_topology").get(url()).status_code == 200


def test_picture_and_tables_say_the_same(settings: Any) -> None:
    settings.WHIZBANG = {
        **settings.WHIZBANG,
        "SERVICE": EVIL,
        "OWNS": ["shop", "orders", "words", "trips"],
        "SERVICES": {"stock": {"OWNS": ["inventory"], "LISTENS_TO": ["orders"]}},
    }
    client = user_with("view_topology")
    with CaptureQueriesContext(connection) as captured:
        shown = client.get(url()).text
    assert EVIL not in shown and "&lt;script&gt;alert(1)" in shown
    assert "<svg" in shown and "the queue of stock" in shown
    assert "shop.OrderSummaries (projection, async)" in shown
    assert "No service owns" in shown  # payments and shipping
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=", shown.partition('<div id="main"')[2])
    assert len(captured) < 15
