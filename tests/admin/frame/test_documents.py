"""Payloads as those who look may see them."""

from __future__ import annotations

from typing import Annotated

import pytest
from django.contrib.auth.models import Permission, User

from whizbang import PERSONAL, Command, named
from whizbang.store.codec import JSON
from whizbang_admin.frame.documents import as_json, may_see_payload, show_document, show_payload

pytestmark = pytest.mark.django_db


@named("tests.Subscribe")
class Subscribe(Command[None]):
    mail: Annotated[str, PERSONAL]
    plan: str


PAYLOAD = b'{"mail": "secret", "plan": "daily"}'


def user(*codenames: str) -> User:
    made = User.objects.create(username=f"u{User.objects.count()}", is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return made


def test_payload_is_masked_for_those_who_may_not_see_personal_data() -> None:
    clerk, boss = user("view_deadletter"), user("view_personal_data")
    assert "secret" not in show_payload(JSON, PAYLOAD, type="tests.Subscribe", who=clerk).text
    assert "daily" in show_payload(JSON, PAYLOAD, type="tests.Subscribe", who=clerk).text
    assert "secret" in show_payload(JSON, PAYLOAD, type="tests.Subscribe", who=boss).text
    assert "daily" not in show_payload(JSON, PAYLOAD, type="tests.Gone", who=clerk).text
    whole = [may_see_payload(who, "tests.Subscribe") for who in (clerk, boss)]
    assert whole == [False, True]
    assert may_see_payload(clerk, "shop.OrderNoted")


def test_payload_that_cannot_be_read_tells_no_secret() -> None:
    clerk, boss = user(), user("view_personal_data")
    shown = show_payload(JSON, b'{"mail": "secret', type="tests.Subscribe", who=clerk)
    assert shown.is_unreadable and "secret" not in shown.text
    assert (
        "secret" in show_payload(JSON, b'{"mail": "secret', type="tests.Subscribe", who=boss).text
    )


def test_long_document_is_cut() -> None:
    shown = show_document(JSON, PAYLOAD, most=10)
    assert (len(shown.text), shown.is_cut) == (10, True)
    assert not show_document(JSON, PAYLOAD).is_cut


def test_values_of_any_kind_become_json() -> None:
    assert as_json({"a": {1, 2}, "b": 1.5, "ä": b"x"}).startswith("{\n")
