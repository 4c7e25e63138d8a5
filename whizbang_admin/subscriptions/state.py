"""How a subscription is, in a few words."""

from __future__ import annotations

from django.utils.translation import gettext as translate

from whizbang.models import Subscription
from whizbang.operations.status import first_line


def state_of(row: Subscription, is_known: bool, *, needs: bool) -> tuple[str, str]:
    """In words, and whether that is ok, warn or fail."""
    if not is_known:
        return translate("not registered any more"), "warn"
    if row.error:
        return translate("stopped: %(error)s") % {"error": first_line(row.error)}, "fail"
    if row.status != Subscription.Status.ACTIVE:
        return str(row.get_status_display()), "warn"
    if needs:
        return translate("needs rebuild"), "warn"
    return translate("current"), "ok"
