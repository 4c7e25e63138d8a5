"""The pages that ask before dead letters are redriven or discarded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate
from django.utils.translation import ngettext

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter
from whizbang.operations.dead_letters import discard_dead_letter, retry_dead_letter
from whizbang.store.event_store import event_store
from whizbang_admin.frame.pages import ReasonForm, back_to_list, list_url, render_page
from whizbang_admin.messages.shown_letters import numbers_in, show_letters

REDRIVE_PERMISSION = "whizbang.redrive_deadletter"
DISCARD_PERMISSION = "whizbang.discard_deadletter"


class Decision(NamedTuple):
    """What somebody may decide about letters: who may, what the page says, and what is done to each."""

    permission: str
    template: str
    verb: Callable[[], str]
    title: Callable[[int], str]
    done: Callable[[int], str]
    act: Callable[[Any, HttpRequest, int, str], None]


def decide(model_admin: Any, request: HttpRequest, decision: Decision) -> HttpResponseBase:
    """Shows the dead letters that `id` names, and does it on POST, with a reason."""
    may_do = request.user.has_perm(decision.permission)
    if not (may_do and model_admin.has_view_permission(request)):
        raise PermissionDenied
    pks = numbers_in(request.GET.getlist("id"))
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        _do_each(model_admin, request, pks, form.cleaned_data["reason"], decision)
        return back_to_list(model_admin)
    letters = show_letters(model_admin.get_queryset(request).filter(pk__in=pks).order_by("pk"))
    if not letters:
        messages.warning(request, translate("These dead letters are gone."))
        return back_to_list(model_admin)
    return render_page(
        model_admin,
        request,
        decision.template,
        title=decision.title(len(letters)),
        letters=letters,
        service=settings.SERVICE,
        attempts=settings.MAX_ATTEMPTS,
        form=form,
        verb=decision.verb(),
        back_url=list_url(model_admin),
    )


def _do_each(
    model_admin: Any, request: HttpRequest, pks: Sequence[int], reason: str, decision: Decision
) -> None:
    done = 0
    for pk in pks:
        try:
            with transaction.atomic(using=event_store().using):
                decision.act(model_admin, request, pk, reason)
        except WhizbangError as exc:
            messages.error(request, str(exc))
        else:
            done += 1
    if done:
        messages.success(request, decision.done(done))


def _redrive(model_admin: Any, request: HttpRequest, pk: int, reason: str) -> None:
    done = retry_dead_letter(pk, operator=request.user.get_username(), reason=reason)
    # On both: the letter is gone now, the message lives on.
    letter = DeadLetter(pk=pk, message_id=done.message_id, type=done.type)
    model_admin.log_change(request, letter, f"Redriven: {reason}")
    if done.row is not None:
        model_admin.log_change(request, done.row, f"Redriven from dead letter {pk}: {reason}")


def _discard(model_admin: Any, request: HttpRequest, pk: int, reason: str) -> None:
    letter = discard_dead_letter(pk, reason, operator=request.user.get_username())
    gone = DeadLetter(pk=pk, message_id=letter.message_id, type=letter.type)
    model_admin.log_change(request, gone, f"Discarded: {reason}")


REDRIVE = Decision(
    permission=REDRIVE_PERMISSION,
    template="whizbang_admin/redrive.html",
    verb=lambda: translate("Redrive"),
    title=lambda n: ngettext("Redrive %d dead letter", "Redrive %d dead letters", n) % n,
    done=lambda n: ngettext("%d message goes on again.", "%d messages go on again.", n) % n,
    act=_redrive,
)
DISCARD = Decision(
    permission=DISCARD_PERMISSION,
    template="whizbang_admin/discard.html",
    verb=lambda: translate("Discard"),
    title=lambda n: ngettext("Discard %d dead letter", "Discard %d dead letters", n) % n,
    done=lambda n: ngettext("%d message is discarded.", "%d messages are discarded.", n) % n,
    act=_discard,
)
