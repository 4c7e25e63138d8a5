"""Requests that wait for a second person: deciding about them. FOUR_EYES names the actions that need one."""

from __future__ import annotations

import re
import unicodedata

from django.db import transaction
from django.db.models.functions import Now

from whizbang.models import ActionRequest
from whizbang.operations.actions.action import Action, By, action_class, read_action
from whizbang.operations.actions.errors import NotApprovable, UnknownAction
from whizbang.operations.actions.perform import keep_record, refuse_changed
from whizbang.operations.audit import record_action, take_turn
from whizbang.store.event_store import event_store

Status = ActionRequest.Status
_AT_COMMAND_LINE = re.compile(r"command line \((.*)\)")  # as the commands name who runs them


def requests_waiting(*, limit: int = 50) -> list[ActionRequest]:
    """Those that nobody has decided about, the oldest first."""
    rows = ActionRequest.objects.using(event_store().using).filter(status=Status.WAITING)
    return list(rows.order_by("id")[:limit])


def latest_requests(*, are_ended_too: bool = False, limit: int = 50) -> list[ActionRequest]:
    """The newest first."""
    rows = ActionRequest.objects.using(event_store().using)
    if not are_ended_too:
        rows = rows.filter(status__in=(Status.WAITING, Status.QUEUED, Status.RUNNING))
    return list(rows.order_by("-id")[:limit])


def is_asked_by(request: ActionRequest, operator: str) -> bool:
    """Is it this operator's own request?

    "Ada" is no second person for "ada", nor is "command line (ada)", nor a longer name cut to fit.
    """
    return _spelled(request.requested_by) == _spelled(operator[:150])


def _spelled(name: str) -> str:
    known = _AT_COMMAND_LINE.fullmatch(name)
    plain = name if known is None else known[1]
    return unicodedata.normalize("NFKC", plain).strip().casefold()


def approve(pk: int, by: By) -> ActionRequest:
    """Agree to what somebody else asks for, and do it: at once, or by a worker where it is long.

    What it is about must be as the one who asked had seen it: raises ChangedMeanwhile. Raises NotApprovable
    for one's own request, and for one that is decided already; and what the action raises.
    """
    with transaction.atomic(using=event_store().using):
        request = _lock(pk, by, is_own_allowed=False)
        action = read_action(request.action, request.parameters)
        refuse_changed(action, request.seen)
        action.check()
        _decide(request, by, Status.QUEUED if action.is_long else Status.DONE)
        if not action.is_long:
            _run(request, action)
        request.save()
        _record("approve", request, by)
    return request


def refuse(pk: int, by: By) -> ActionRequest:
    """Turn down what somebody asks for. Raises NotApprovable for one that is decided already."""
    return _end(pk, by, Status.REFUSED, "refuse")


def withdraw(pk: int, by: By) -> ActionRequest:
    """Take back one's own request. Raises NotApprovable for another's, or one that is decided already."""
    return _end(pk, by, Status.WITHDRAWN, "withdraw")


def _end(pk: int, by: By, status: str, verb: str) -> ActionRequest:
    with transaction.atomic(using=event_store().using):
        request = _lock(pk, by, is_own_allowed=True)
        if status == Status.WITHDRAWN and not is_asked_by(request, by.operator):
            raise NotApprovable(
                f"Request {pk} is {request.requested_by}'s: refuse it, or let them take it back."
            )
        _decide(request, by, status)
        request.save()
        _record(verb, request, by)
    return request


def _lock(pk: int, by: By, *, is_own_allowed: bool) -> ActionRequest:
    using = event_store().using
    take_turn(using)
    request = ActionRequest.objects.using(using).filter(pk=pk).first()
    if request is None:
        raise NotApprovable(f"There is no request {pk}.")
    if request.status != Status.WAITING:
        who = f" by {request.decided_by}" if request.decided_by else ""
        raise NotApprovable(
            f"Request {pk} is decided already{who}: {request.get_status_display()}."
        )
    if not is_own_allowed and is_asked_by(request, by.operator):
        raise NotApprovable(
            f"Request {pk} is your own: somebody else has to approve it. You can withdraw it."
        )
    return request


def _decide(request: ActionRequest, by: By, status: str) -> None:
    request.status = status
    request.decided_by, request.decision = by.operator[:150], by.reason
    request.decided_at = Now()
    if status != Status.QUEUED:
        request.finished_at = Now()
        _forget_payloads(request)


def _forget_payloads(request: ActionRequest) -> None:
    try:
        names = action_class(request.action).payloads
    except UnknownAction:  # of another version of the code
        return
    request.parameters = {k: v for k, v in request.parameters.items() if k not in names}


def _run(request: ActionRequest, action: Action) -> None:
    by = By(request.requested_by, request.reason)
    done = action.run(by)
    request.result, request.document = done.text, done.document
    keep_record(action, by, done.text)


def _record(verb: str, request: ActionRequest, by: By) -> None:
    record_action(
        f"{verb} request",
        request.target,
        using=event_store().using,
        operator=by.operator,
        reason=by.reason,
        parameters={"request": request.pk, "action": request.action},
        result=request.result,
    )
