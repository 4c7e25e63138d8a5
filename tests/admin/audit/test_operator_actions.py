"""The audit trail's list and page: who may see it, how it is narrowed, what it leads to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.admin.clients import EVIL, user_with
from tests.admin.messages.pages import bury
from whizbang.models import OperatorAction
from whizbang.operations.audit import record_action

pytestmark = pytest.mark.django_db
LIST = "admin:whizbang_operatoraction_changelist"


def note(target: str = "dead letter 1", **known: Any) -> OperatorAction:
    return record_action(
        known.pop("action", "discard"), target, using="default", **{"operator": "ada", **known}
    )


def page_of(record: OperatorAction) -> str:
    return reverse("admin:whizbang_operatoraction_change", args=[record.pk])


def listed(**query: str) -> set[int]:
    page = user_with("view_operatoraction").get(reverse(LIST), query)
    assert page.status_code == 200
    return {
        record.pk
        for record in OperatorAction.objects.all()
        if f'href="{page_of(record)}' in page.text
    }


def test_list_and_page_need_the_view_permission() -> None:
    record = note()
    for url in (reverse(LIST), page_of(record)):
        assert Client().get(url).status_code == 302
        assert user_with("view_deadletter").get(url).status_code == 403
        assert user_with("view_operatoraction").get(url).status_code == 200
    gone = reverse("admin:whizbang_operatoraction_change", args=[record.pk + 1])
    assert user_with("view_operatoraction").get(gone).status_code == 404


def test_list_is_narrowed_by_who_what_where_and_when() -> None:
    old, other, newest = note(), note("redrive 2", operator="ben", action="redrive"), note()
    yesterday = timezone.now() - timedelta(days=1)
    OperatorAction.objects.filter(pk=old.pk).update(at=yesterday - timedelta(days=1))
    assert listed() == {old.pk, other.pk, newest.pk}
    assert listed(operator__exact="ben") == {other.pk}
    assert listed(operator__exact="be") == set()
    assert listed(target__exact="dead letter 1", at__gte="") == {old.pk, newest.pk}
    assert listed(action="redrive") == {other.pk}
    assert listed(at__gte=f"{yesterday:%Y-%m-%dT%H:%M}") == {other.pk, newest.pk}
    assert listed(at__lt=yesterday.isoformat(), operator__exact="ada") == {old.pk}
    assert listed(q="redrive 2") == {other.pk}


@pytest.mark.parametrize("wrong", ["x", EVIL, "2026-99-99"])
def test_time_that_is_none_is_said(wrong: str) -> None:
    note()
    page = user_with("view_operatoraction").get(reverse(LIST), {"at__gte": wrong})
    assert page.status_code == 200 and EVIL not in page.text and "valid date" in page.text


def test_page_leads_to_the_object_and_escapes() -> None:
    letter = bury()
    record = note(
        f"dead letter {letter.pk}",
        operator=EVIL,
        reason=EVIL,
        result=EVIL,
        parameters={"type": EVIL},
    )
    url = reverse("admin:whizbang_deadletter_change", args=[letter.pk])
    page = user_with("view_operatoraction", "view_deadletter").get(page_of(record)).text
    assert url in page and EVIL not in page and page.count("&lt;script&gt;") >= 4
    assert url not in user_with("view_operatoraction").get(page_of(record)).text
    assert EVIL not in user_with("view_operatoraction").get(reverse(LIST)).text


@pytest.mark.parametrize("target", ["", "subscription shop.Orders", "moon", f"dead letter {EVIL}"])
def test_page_stands_whatever_the_target_is(target: str) -> None:
    page = user_with("view_operatoraction", "view_deadletter").get(page_of(note(target)))
    assert page.status_code == 200 and EVIL not in page.text


def test_payload_is_for_those_who_may_see_dead_letters() -> None:
    record = note(original=b'{"order_id":"secret"}', parameters={"type": "shop.NoteOrder"})
    assert "secret" in user_with("view_operatoraction", "view_deadletter").get(page_of(record)).text
    assert "secret" not in user_with("view_operatoraction").get(page_of(record)).text


def test_payload_of_an_unknown_type_is_masked() -> None:
    record = note(original=b'{"order_id":"secret"}')
    may = ("view_operatoraction", "view_deadletter")
    hidden = user_with(*may).get(page_of(record)).text
    assert "secret" not in hidden and "•••" in hidden
    assert "secret" in user_with(*may, "view_personal_data").get(page_of(record)).text
