"""An edited copy of the event that parked a stream: done as actions are, but for its payload, which nothing keeps.

It is no action by name: a payload has no place in an address, in a request that waits, or in the audit trail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from whizbang.conf import settings
from whizbang.models import EditedEvent, OperatorAction
from whizbang.operations.actions.action import By
from whizbang.operations.actions.errors import ActionRefused, ReasonMissing
from whizbang.operations.actions.parked import ParkedAction
from whizbang.operations.actions.perform import refuse_changed
from whizbang.operations.audit import record_action, take_turn
from whizbang.operations.edits import edit_parked
from whizbang.store.event_store import event_store

EDIT = "edit"  # in the audit trail, and in FOUR_EYES
EDIT_PERMISSION = "whizbang.edit_parkedstream"


class _EditedStream(ParkedAction, frozen=True, kw_only=True):
    """What an edit is about, and what must not have changed."""

    stream: str


def edit_target(subscription: str, stream: str) -> str:
    """As the audit trail names it."""
    return _EditedStream(subscription=subscription, stream=stream).target()


def edit_state(subscription: str, stream: str) -> dict[str, str]:
    """See Action.state()."""
    return _EditedStream(subscription=subscription, stream=stream).state()


def perform_edit(
    subscription: str,
    stream: str,
    payload: Any,
    by: By,
    *,
    token: UUID | None = None,
    seen: Mapping[str, str] | None = None,
) -> EditedEvent | None:
    """See edit_parked() and perform(); None where the same form was sent before.

    Raises ActionRefused where FOUR_EYES names "edit": a second person could not see what they approve.
    """
    if EDIT in settings.FOUR_EYES:
        raise ActionRefused(
            "FOUR_EYES names 'edit', and no request keeps a payload for a second person: mend the event in "
            "another way, such as an upcaster, or take 'edit' out of FOUR_EYES."
        )
    if not by.reason.strip():
        raise ReasonMissing(EDIT)
    action = _EditedStream(subscription=subscription, stream=stream)
    using = event_store().using
    with transaction.atomic(using=using):
        take_turn(using)
        if token is not None and OperatorAction.objects.using(using).filter(token=token).exists():
            return None
        refuse_changed(action, seen)
        edit = edit_parked(
            subscription,
            stream=stream,
            payload=payload,
            reason=by.reason,
            edited_by=by.operator[:150],
        )
        record_action(
            EDIT,
            action.target(),
            using=using,
            operator=by.operator,
            reason=by.reason,
            parameters={"subscription": subscription, "stream": stream, "version": edit.version},
            result=f"{edit} is edited; a worker tries the stream again.",
            token=token,
        )
    return edit
