"""Django's `flush`, which Django's TransactionTestCase empties its database with.

The log refuses to be emptied, so tests would fail without this. Outside of tests history goes only where
somebody says so.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import flush
from django.db import connections, transaction
from django.db.models.functions import Now
from django.test import utils

from whizbang.drivers.stores.protection import EVENTS
from whizbang.models import HistoryChange, StoredEvent
from whizbang.operations.history import open_change


class Command(flush.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--with-events",
            action="store_true",
            help="Delete the recorded events too; needs --no-input.",
        )

    def handle(self, **options: Any) -> None:
        using = options["database"]
        # TransactionTestCase.available_apps may leave our tables alone.
        if not apps.is_installed("whizbang") or not _has_log(using):
            super().handle(**options)
        elif is_in_test():
            self._flush(using, options)
        elif not StoredEvent.objects.using(using).exists():
            super().handle(**options)
        elif options["with_events"] and not options["interactive"]:
            deleted = self._flush(using, options)
            self._remember(using, deleted)
        else:
            raise CommandError(
                f"Database {using!r} holds recorded events, which flush would delete with everything "
                "else. If that is what you want: manage.py flush --with-events --no-input"
            )

    def _flush(self, using: str, options: dict[str, Any]) -> int:
        with transaction.atomic(using=using):
            change = open_change(using, reason="flush", user="", operation="flush")
            # Where flush empties one table after the other, the open change may go before the events.
            deleted = StoredEvent.objects.using(using)._raw_delete(using)
            super().handle(**options)
            HistoryChange.objects.using(using).filter(pk=change.pk).delete()
        return deleted

    def _remember(self, using: str, deleted: int) -> None:
        HistoryChange.objects.using(using).create(
            operation="flush",
            reason="manage.py flush --with-events",
            changed_rows=deleted,
            began_at=Now(),
            finished_at=Now(),
        )


def _has_log(using: str) -> bool:
    return EVENTS in connections[using].introspection.table_names()


def is_in_test() -> bool:
    """Has a test runner called `setup_test_environment()`?"""
    return hasattr(utils._TestState, "saved_data")
