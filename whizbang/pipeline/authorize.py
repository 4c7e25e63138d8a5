"""Authorize: Django permissions of the user who sends."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from whizbang.exceptions import NotAuthorized
from whizbang.messages.base import Message
from whizbang.messages.envelope import Envelope
from whizbang.pipeline.stage import Stage


class Authorize(Stage):
    """Checks what `@requires` says, at the edge: messages that other messages cause are trusted."""

    runs_at_edge = True

    def applies_to(self, message_type: type[Message]) -> bool:
        self._info = message_type.__whizbang__
        return bool(self._info.requires)

    def __call__(self, envelope: Envelope) -> Any:
        if envelope.parent is None or envelope.user is not None:
            self._check(envelope)
        return self.next_stage(envelope)

    def _check(self, envelope: Envelope) -> None:
        user = _find_user(envelope.user)
        for permission in self._info.requires:
            if user is None or not user.has_perm(permission):
                raise NotAuthorized(self._info.type_name, permission, envelope.user_text)


def _find_user(user: Any) -> Any:
    """The user given, or the one whose primary key a text is; None for nobody."""
    if user is None or hasattr(user, "has_perm"):
        return user
    if not isinstance(user, str):
        raise TypeError(f"user must be a Django user or text, not a {type(user).__name__}.")
    model = get_user_model()
    try:
        return model._default_manager.filter(pk=user).first()
    except (ValueError, ValidationError):  # a text that is no primary key
        return None
