"""Redriving a group of dead letters from the console, with its progress."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from tests.admin.clients import EVIL, user_with
from tests.admin.messages.pages import bury, confirm, page_of, sent_form
from whizbang.models import DeadLetter, OperatorAction, Redrive
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.redrive import cancel_redrive, request_redrive

pytestmark = pytest.mark.django_db
BACK = "/admin/whizbang/deadletter/"
MAY = ("view_deadletter", "redrive_deadletter", "view_redrive")


def group(**more: Any) -> str:
    return page_of("redrive", **{"type": "shop.NoteOrder", "cause": "Boom", **more})


def run_url(run: Redrive) -> str:
    return reverse("admin:whizbang_redrive_change", args=[run.pk])


def test_redrive_of_a_group_says_how_many_how_fast_and_that_the_first_goes_alone() -> None:
    bury(), bury(), bury(reason=EVIL)
    client = user_with(*MAY)
    page = client.get(group(rate_per_second=0.5)).text
    for text in ("type shop.NoteOrder, reason Boom", "goes alone", "in about 4 s"):
        assert text in page
    assert EVIL not in client.get(group(cause=EVIL)).text
    for wrong in ("0", "nan", "x", "-1"):
        assert 'name="token"' not in client.get(group(rate_per_second=wrong)).text
    assert not Redrive.objects.exists()


def test_group_is_redriven_by_a_worker_once() -> None:
    bury(), bury()
    client, url = user_with(*MAY), group(rate_per_second=5, is_keeping_going="on", back=BACK)
    form = sent_form(client.get(url).text, reason="mended")
    for _ in range(2):
        page = client.post(url, form, follow=True)
    run = Redrive.objects.get()
    assert (run.total, run.rate_per_second, run.is_keeping_going) == (2, 5, True)
    assert run.requested_by == LogEntry.objects.get().user.username
    assert OperatorAction.objects.get().target == f"redrive {run.pk}"
    assert DeadLetter.objects.count() == 2
    assert "is requested" in page.text
    groups = client.get(reverse("admin:whizbang_deadletter_changelist")).text
    assert run_url(run) in groups and "0 of 2" in groups


def test_redrive_of_nothing_is_said() -> None:
    page = user_with(*MAY).get(group(rate_per_second=5))
    assert page.status_code == 400 and "no such dead letter" in page.text


def test_page_of_a_run_shows_its_progress_and_escapes() -> None:
    bury()
    run = request_redrive(LetterFilter(reason="Boom"), reason=EVIL, requested_by=EVIL)
    Redrive.objects.update(error=EVIL, status="stopped")
    assert Client().get(run_url(run)).status_code == 302
    assert user_with("redrive_deadletter").get(run_url(run)).status_code == 403
    page = user_with(*MAY).get(run_url(run)).text
    for text in ("0 of 1 put back", 'data-wb-live="redrive"', "<progress", "stopped"):
        assert text in page
    assert EVIL not in page and "/do/cancel-redrive/" not in page
    listed = user_with("view_redrive").get(reverse("admin:whizbang_redrive_changelist")).text
    assert "0 of 1" in listed and EVIL not in listed
    gone = reverse("admin:whizbang_redrive_change", args=[run.pk + 1])
    assert user_with(*MAY).get(gone).status_code == 404


def test_open_redrive_is_cancelled_with_a_reason() -> None:
    bury()
    run = request_redrive(LetterFilter())
    url = page_of("cancel-redrive", redrive=run.pk, back=run_url(run))
    assert "/do/cancel-redrive/" not in user_with("view_redrive").get(run_url(run)).text
    assert user_with("view_redrive").post(url, {"reason": "x"}).status_code == 403
    client = user_with(*MAY)
    assert "/do/cancel-redrive/" in client.get(run_url(run)).text
    assert "No more dead letters" in client.get(url).text
    page = confirm(client, url, "wrong ones").text
    assert f"Redrive {run.pk} is cancelled" in page
    assert LogEntry.objects.get().object_id == str(run.pk)
    assert "nothing to cancel" in client.get(url).text


def test_cancel_of_what_has_ended_meanwhile_is_refused() -> None:
    bury()
    run = request_redrive(LetterFilter())
    client, url = user_with(*MAY), page_of("cancel-redrive", redrive=run.pk)
    form = sent_form(client.get(url).text, reason="x")
    Redrive.objects.update(status="running")  # that is no reason to refuse
    cancel_redrive(run.pk)
    answer = client.post(url, form)
    assert answer.status_code in (400, 409) and "cancelled" in answer.text
    assert OperatorAction.objects.filter(action="cancel redrive").count() == 1
