"""Redrives in the console: asking for one, its progress, cancelling it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from tests.admin.clients import EVIL, user_with
from tests.shop.messages import NOON
from whizbang.models import DeadLetter, Redrive
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.redrive import request_redrive

pytestmark = pytest.mark.django_db
LIST = "admin:whizbang_deadletter_changelist"
PAGE = "admin:whizbang_deadletter_redrive_matching"
MAY = ("view_deadletter", "redrive_deadletter", "view_redrive")
GIVEN: dict[str, Any] = {"rate": "5", "reason": "mended"}


def bury(reason: str = "Boom") -> DeadLetter:
    return DeadLetter.objects.create(
        message_id=uuid4(),
        type="shop.NoteOrder",
        occurred_at=NOON,
        attempts=1,
        payload=b"{}",
        metadata=b"{}",
        reason=reason,
        error="boom",
    )


def page_for(reason: str) -> str:
    return reverse(PAGE, query={"type": "shop.NoteOrder", "reason": reason})


def test_redrive_of_a_group_needs_its_permissions() -> None:
    bury()
    for permissions in (("view_deadletter",), ("redrive_deadletter",)):
        client = user_with(*permissions)
        assert client.get(page_for("Boom")).status_code == 403
        assert client.post(page_for("Boom"), GIVEN).status_code == 403
    assert not Redrive.objects.exists()


def test_redrive_of_a_group_is_asked_for_with_its_count_and_reason() -> None:
    bury(), bury(), bury(reason=EVIL)
    client = user_with(*MAY)
    assert page_for("Boom").replace("&", "&amp;") in client.get(reverse(LIST)).text
    listed = client.get(reverse(LIST), {"type__exact": "shop.NoteOrder", "reason__exact": "Boom"})
    assert page_for("Boom").replace("&", "&amp;") in listed.text
    assert "2 dead letters (type shop.NoteOrder, reason Boom)" in client.get(page_for("Boom")).text
    assert EVIL not in client.get(page_for(EVIL)).text
    for wrong in ({"rate": "0"}, {"rate": "nan"}, {"reason": " "}, {"rate": ""}):
        assert "errornote" in client.post(page_for("Boom"), {**GIVEN, **wrong}).text
    assert not Redrive.objects.exists()
    answer = client.post(page_for("Boom"), {**GIVEN, "is_keeping_going": "on"}, follow=True)
    run = Redrive.objects.get()
    assert (run.total, run.rate_per_second, run.is_keeping_going) == (2, 5, True)
    assert run.requested_by == LogEntry.objects.get().user.username
    assert "is requested" in answer.text and "0 of 2" in answer.text
    assert DeadLetter.objects.count() == 3


def test_who_may_not_see_redrives_goes_back_to_the_letters() -> None:
    bury()
    client = user_with("view_deadletter", "redrive_deadletter")
    answer = client.post(page_for("Boom"), GIVEN)
    assert answer.headers["Location"] == reverse(LIST)


def test_redrive_of_nothing_is_said() -> None:
    page = user_with(*MAY).post(page_for("Boom"), GIVEN, follow=True).text
    assert "nothing to redrive" in page


def test_open_redrive_is_cancelled_with_a_reason() -> None:
    bury()
    run = request_redrive(LetterFilter(), reason=EVIL)
    Redrive.objects.update(error=EVIL)
    url = reverse("admin:whizbang_redrive_change", args=[run.pk])
    cancel = reverse("admin:whizbang_redrive_cancel", args=[run.pk])
    page = user_with("view_redrive").get(url).text
    assert cancel not in page and EVIL not in page
    for permissions in (("view_redrive",), ("redrive_deadletter",)):
        assert user_with(*permissions).post(cancel, {"reason": "x"}).status_code == 403
    client = user_with(*MAY)
    assert cancel in client.get(url).text
    assert "No more dead letters" in client.get(cancel).text
    assert "Say why" in client.post(cancel, {"reason": ""}).text
    page = client.post(cancel, {"reason": "wrong ones"}, follow=True).text
    assert f"Redrive {run.pk} is cancelled." in page and cancel not in page
    assert LogEntry.objects.get().change_message == "Cancelled: wrong ones"
    page = client.post(cancel, {"reason": "again"}, follow=True).text
    assert "nothing to cancel" in page
    assert "0 of 1" in client.get(reverse("admin:whizbang_redrive_changelist")).text
