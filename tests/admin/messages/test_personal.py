"""Personal fields of messages that wait, or were given up."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

import pytest
from django.urls import reverse

from tests.admin.clients import user_with
from tests.shop.messages import NOON
from whizbang import PERSONAL, Command, named
from whizbang.models import DeadLetter, OutboxMessage

pytestmark = pytest.mark.django_db
PAYLOAD = b'{"mail": "secret"}'


@named("tests.Invite")
class Invite(Command[None]):
    mail: Annotated[str, PERSONAL]


def common() -> dict[str, Any]:
    """Of a type that is gone: all of its fields may be personal."""
    return {
        "message_id": uuid4(),
        "type": "shop.Gone",
        "payload": PAYLOAD,
        "metadata": b"{}",
        "occurred_at": NOON,
    }


@pytest.mark.parametrize("model", ["deadletter", "outboxmessage"])
def test_payloads_of_messages_are_masked_without_the_permission(model: str) -> None:
    if model == "deadletter":
        row: Any = DeadLetter.objects.create(**common(), reason="x", error="x", attempts=1)
    else:
        row = OutboxMessage.objects.create(**common(), service="sales", available_at=NOON)
    url = reverse(f"admin:whizbang_{model}_change", args=[row.pk])
    hidden = user_with(f"view_{model}").get(url).text
    assert "secret" not in hidden and "•••" in hidden
    assert "secret" in user_with(f"view_{model}", "view_personal_data").get(url).text


def test_letter_with_personal_fields_is_edited_by_those_who_may_see_them() -> None:
    facts = common() | {"type": "tests.Invite"}
    letter = DeadLetter.objects.create(**facts, reason="x", error="x", attempts=1)
    url = reverse("admin:whizbang_deadletter_edit", args=[letter.pk])
    may = ("view_deadletter", "edit_deadletter")
    assert user_with(*may).get(url).status_code == 403
    assert user_with(*may, "view_personal_data").get(url).status_code != 403
