"""Who did what: written in the transaction of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from whizbang.models import OperatorAction

COMMAND_LINE = "command line"


def record_action(
    action: str,
    target: str,
    *,
    using: str,
    operator: str = "",
    reason: str = "",
    message_id: UUID | None = None,
    parameters: Mapping[str, Any] | None = None,
    result: str = "",
    original: bytes | None = None,
    token: UUID | None = None,
) -> OperatorAction:
    """Note an action in the caller's transaction, so that neither stands without the other.

    `parameters` must not hold payloads: whoever may see the audit trail may see them. `original` is shown
    to those only who may see dead letters.
    """
    return OperatorAction.objects.using(using).create(
        action=action,
        target=target[:200],
        operator=operator[:150],
        reason=reason,
        message_id=message_id,
        parameters=dict(parameters or {}),
        result=result,
        original=original,
        token=token,
    )
