"""What operators did to a thing, on the page of that thing."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.test import RequestFactory
from django.utils.html import escape
from pytest_django.fixtures import DjangoAssertNumQueries

from tests.admin.clients import EVIL
from whizbang.models import ActionRequest, OperatorAction
from whizbang.operations.audit import record_action
from whizbang_admin.audit.trail import actions_on

pytestmark = pytest.mark.django_db
SEE_ALL = ("view_operatoraction", "view_actionrequest")


def request_of(*codenames: str) -> HttpRequest:
    user = User.objects.create(username="anna", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    request = RequestFactory().get("/")
    request.user = user
    request.current_app = "admin"
    return request


def note(target: str, **more: object) -> OperatorAction:
    return record_action("pause", target, using="default", operator=EVIL, reason=EVIL, **more)  # type: ignore[arg-type]


def test_actions_on_a_target_or_a_message_are_told_newest_first() -> None:
    message_id = uuid4()
    first = note("dead letter 1", message_id=message_id)
    note("dead letter 2")
    second = note("inbox message 7", message_id=message_id)
    found = actions_on(request_of(*SEE_ALL), "dead letter 1", message_id=message_id)
    assert [row.pk for row in found.actions] == [second.pk, first.pk]
    assert str(message_id) in found.all_url


def test_what_is_asked_for_is_told_until_it_has_ended() -> None:
    for status in ActionRequest.Status.values:
        ActionRequest.objects.create(
            action="pause", target="subscription shop.Orders", status=status, parameters={}, seen={}
        )
    found = actions_on(request_of(*SEE_ALL), "subscription shop.Orders")
    assert [row.status for row in found.requests] == ["running", "queued", "waiting"]


def test_nothing_is_told_to_those_who_may_not_see_the_audit_trail() -> None:
    note("dead letter 1")
    assert not actions_on(request_of("view_deadletter"), "dead letter 1")


def test_it_is_bounded(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(12):
        note("dead letter 1")
    request = request_of(*SEE_ALL)
    request.user.has_perm("x")  # permissions are read once a request
    with django_assert_max_num_queries(3):
        found = actions_on(request, "dead letter 1", message_id=uuid4())
    assert len(found.actions) == 10 and found.is_cut


def test_texts_are_escaped() -> None:
    note("dead letter 1", result=EVIL)
    trail = actions_on(request_of(*SEE_ALL), "dead letter 1")
    page = render_to_string("whizbang_admin/audit/trail.html", {"trail": trail})
    assert EVIL not in page and page.count(escape(EVIL)) == 3
