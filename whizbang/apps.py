"""The app: finds the messages and handlers of all installed apps when Django starts."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class WhizbangConfig(AppConfig):
    name = "whizbang"
    label = "whizbang"
    verbose_name = _("Whizbang data")  # behind "Whizbang console" in the admin's list
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from whizbang import checks  # noqa: F401
        from whizbang.operations import audit, in_process  # noqa: F401
        from whizbang.projections import inline  # noqa: F401
        from whizbang.projections.cached import caches
        from whizbang.routing.registry import discover

        discover()
        # For one app, or it would run once for each: the signal comes after all of them are migrated.
        post_migrate.connect(_protect_history, self, dispatch_uid="whizbang.protection")
        post_migrate.connect(_make_subscription_rows, self, dispatch_uid="whizbang.subscriptions")
        in_process.connect()
        caches.connect()


def _make_subscription_rows(*, using: str, **kwargs: Any) -> None:
    """What is recorded after a deploy reaches new subscribers, whether a worker runs yet or not."""
    from whizbang.operations.subscriptions import make_missing_rows

    make_missing_rows(using=using)


def _protect_history(*, using: str, **kwargs: Any) -> None:
    """SQLite drops triggers when a migration makes a table anew, and test databases may have no migrations."""
    from whizbang.operations.history import protect_log

    protect_log(using)
