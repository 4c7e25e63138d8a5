"""Subscriptions that stand still and go on."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from whizbang.models import Subscription
from whizbang.operations.actions.action import Action, By, Done, Fact
from whizbang.operations.subscriptions import find_subscription, pause, resume, subscription_row
from whizbang.store.event_store import event_store


class SubscriptionAction(Action, frozen=True, kw_only=True):
    """Base of what is done to one subscription."""

    subscription: str

    def target(self) -> str:
        return f"subscription {self.subscription}"

    def about(self) -> tuple[type[Any], Any]:
        return Subscription, self.subscription

    def check(self) -> None:
        find_subscription(event_store(), self.subscription)


class Pause(SubscriptionAction, frozen=True, kw_only=True):
    name = "pause"
    label = _("Pause")
    permission = "whizbang.pause_subscription"

    def state(self) -> dict[str, str]:
        return {"status": subscription_row(self.subscription).status}

    def facts(self) -> list[Fact]:
        return [
            Fact(
                "what happens",
                "Workers stop applying events within a second; what it lags behind grows until it is resumed.",
            )
        ]

    def run(self, by: By) -> Done:
        pause(self.subscription)
        return Done(f"{self.subscription} stands still until it is resumed.")


class Resume(SubscriptionAction, frozen=True, kw_only=True):
    name = "resume"
    label = _("Resume")
    permission = "whizbang.pause_subscription"

    def state(self) -> dict[str, str]:
        row = subscription_row(self.subscription)
        return {"status": row.status, "error": row.error}

    def run(self, by: By) -> Done:
        resume(self.subscription)
        return Done(f"{self.subscription} goes on.")
