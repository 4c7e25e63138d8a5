"""Doing an action: once, with a reason, on what the operator saw, and never without a trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from whizbang.conf import settings
from whizbang.models import ActionRequest, OperatorAction
from whizbang.operations.actions.action import Action, By, Done
from whizbang.operations.actions.errors import ChangedMeanwhile, ReasonMissing
from whizbang.operations.audit import record_action, take_turn
from whizbang.store.event_store import event_store


@dataclass(frozen=True, slots=True)
class Performed:
    """What became of it: done now (`record`), or on its way (`request`).

    `is_new` is False where the same form had been sent before; then this is what became of it that time.
    """

    text: str
    record: OperatorAction | None = None
    request: ActionRequest | None = None
    is_new: bool = True
    done: Done | None = None

    @property
    def is_done(self) -> bool:
        return self.request is None


def perform(
    action: Action,
    by: By,
    *,
    token: UUID | None = None,
    seen: Mapping[str, str] | None = None,
    is_here: bool = False,
) -> Performed:
    """Do an action, or leave it to a worker (`is_long`), or to a second person (FOUR_EYES names it).

    `token` names the form that was sent: sent twice, it is done once. `seen` is what the operator saw of
    its `state()`: raises ChangedMeanwhile where that is not so any more. Raises ReasonMissing, and what the
    action raises; nothing is changed then. Actions of one store run one after the other, but for long ones.
    `is_here`: do a long one in this process, which may take its time.
    """
    if action.needs_reason and not by.reason.strip():
        raise ReasonMissing(action.name)
    using = event_store().using
    with transaction.atomic(using=using):
        take_turn(using)
        if token is not None and (before := _sent_before(token, using)) is not None:
            return before
        refuse_changed(action, seen)
        action.check()
        if needs_approval(action):
            return _ask(action, by, token, ActionRequest.Status.WAITING)
        if action.is_long and not is_here:
            return _ask(action, by, token, ActionRequest.Status.QUEUED)
        if not action.is_long:
            return _run(action, by, token)
    return _run(action, by, token)  # in transactions of its own


def _run(action: Action, by: By, token: UUID | None) -> Performed:
    done = action.run(by)
    record = keep_record(action, by, done.text, token=token) or done.record
    if action.keeps_record and record is not None and token is not None:
        OperatorAction.objects.using(event_store().using).filter(pk=record.pk).update(token=token)
    return Performed(done.text, record=record, done=done)


def needs_approval(action: Action) -> bool:
    """Does a second person have to agree, as FOUR_EYES says?"""
    names = {action.name, action.family}
    return not action.is_harmless and not names.isdisjoint(settings.FOUR_EYES)


def refuse_changed(action: Action, seen: Mapping[str, str] | None) -> None:
    """Raise ChangedMeanwhile where the action's target is not as it was seen."""
    if seen is None:
        return
    now = action.state()
    names = dict.fromkeys([*seen, *now])
    differences = {
        name: (seen.get(name, ""), now.get(name, ""))
        for name in names
        if seen.get(name, "") != now.get(name, "")
    }
    if differences:
        raise ChangedMeanwhile(action.target(), differences)


def keep_record(
    action: Action, by: By, result: str, *, token: UUID | None = None
) -> OperatorAction | None:
    """The row of the audit trail, in the open transaction; None where the action has written its own."""
    if action.keeps_record:
        return None
    return record_action(
        action.name,
        action.target(),
        using=event_store().using,
        operator=by.operator,
        reason=by.reason,
        parameters=action.parameters(),
        result=result,
        token=token,
    )


def _sent_before(token: UUID, using: str) -> Performed | None:
    record = OperatorAction.objects.using(using).filter(token=token).first()
    if record is not None:
        return Performed(record.result, record=record, is_new=False)
    request = ActionRequest.objects.using(using).filter(token=token).first()
    if request is not None:
        return Performed(_say(request), request=request, is_new=False)
    return None


def _ask(action: Action, by: By, token: UUID | None, status: str) -> Performed:
    request = ActionRequest.objects.using(event_store().using).create(
        action=action.name,
        target=action.target()[:200],
        parameters=action.parameters(),
        seen=action.state(),
        token=token,
        status=status,
        requested_by=by.operator[:150],
        reason=by.reason,
    )
    return Performed(_say(request), request=request)


def _say(request: ActionRequest) -> str:
    if request.status == ActionRequest.Status.WAITING:
        return f"Request {request.pk} waits until somebody else approves it."
    if request.status == ActionRequest.Status.QUEUED:
        return f"Request {request.pk} is taken up by a worker."
    return f"Request {request.pk}: {request.get_status_display()}."
