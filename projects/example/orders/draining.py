"""Lets this process do the workers' part, for commands that wait for the figures."""

from __future__ import annotations

import time

from django.db.models import Q
from django.db.models.functions import Now

from whizbang.models import InboxMessage
from whizbang.operations.status import subscription_statuses
from whizbang.operations.worker import Worker

_PAUSE_SECONDS = 0.1


def drain() -> None:
    """Handle all that is stored and bring every projection to the head, beside other workers if any."""
    while True:
        Worker().run(until_idle=True)
        if is_settled():
            return
        time.sleep(_PAUSE_SECONDS)


def is_settled() -> bool:
    """Nothing waits that is due, and every subscription that is not paused stands at the head."""
    later = Q(status="stored", available_at__gt=Now())
    waiting = InboxMessage.objects.filter(~later, status__in=("stored", "running", "retrying"))
    behind = [s for s in subscription_statuses() if s.status == "active" and s.lag_events]
    return not behind and not waiting.exists()
