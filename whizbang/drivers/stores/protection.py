"""Triggers that refuse to change recorded events, product by product.

A change passes while the transaction that makes it has an open row in `whizbang_history_change`:
who has a bypass has left an audit row. A product is one entry of `PROTECTIONS` and its statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from whizbang.drivers.stores.statements import load_statement

EVENTS = "whizbang_event"


class Trigger(NamedTuple):
    """What makes one trigger: the name of a statement with {name} and {verb}, and its verb."""

    statement: str
    verb: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What one product needs; SQL texts without parameters."""

    triggers: dict[str, Trigger]  # by name
    drop_trigger: str  # with {name}
    list_triggers: str  # gives the names of the triggers on the log
    transaction_id: str  # what an open change is marked with: no other transaction has it
    functions: tuple[str, ...] = ()  # names of statements that run before the triggers are made
    drop_functions: str | None = None
    refuses_truncate: bool = False  # else a TRUNCATE runs no triggers, or there is none


# Where a trigger sees one kind of change only.
_BY_VERB = {
    "whizbang_event_protect_update": Trigger("protect_change", "UPDATE"),
    "whizbang_event_protect_delete": Trigger("protect_change", "DELETE"),
}

PROTECTIONS = {
    "postgresql": Protection(
        functions=("protect_refuse_function", "protect_count_function"),
        triggers={
            "whizbang_event_protect_rows": Trigger("protect_rows"),
            "whizbang_event_protect_table": Trigger("protect_table"),
            "whizbang_event_count_updates": Trigger("protect_count", "UPDATE"),
            "whizbang_event_count_deletes": Trigger("protect_count", "DELETE"),
        },
        drop_trigger=f"DROP TRIGGER IF EXISTS {{name}} ON {EVENTS}",
        drop_functions="DROP FUNCTION IF EXISTS whizbang_refuse_change(), whizbang_count_change()",
        list_triggers=(
            f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{EVENTS}'::regclass"
            " AND NOT tgisinternal AND tgenabled <> 'D'"
        ),
        transaction_id="pg_current_xact_id()::text",
        refuses_truncate=True,
    ),
    "sqlite": Protection(
        triggers=_BY_VERB,
        drop_trigger="DROP TRIGGER IF EXISTS {name}",
        list_triggers=(
            f"SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{EVENTS}'"
        ),
        transaction_id="'1'",
    ),
    "mysql": Protection(
        triggers=_BY_VERB,
        drop_trigger="DROP TRIGGER IF EXISTS {name}",
        list_triggers=(
            "SELECT trigger_name FROM information_schema.triggers"
            f" WHERE event_object_schema = DATABASE() AND event_object_table = '{EVENTS}'"
        ),
        transaction_id="CAST(CONNECTION_ID() AS CHAR)",
    ),
}


def protect_events(connection: BaseDatabaseWrapper) -> None:
    """Make the triggers that are missing; nothing on a product without an entry here."""
    protection = PROTECTIONS.get(connection.vendor)
    missing = missing_triggers(connection)
    if protection is None or not missing:
        return
    with connection.cursor() as cursor:
        for function in protection.functions:
            cursor.execute(load_statement(connection.vendor, function))
        for name in missing:
            statement, verb = protection.triggers[name]
            text = load_statement(connection.vendor, statement)
            cursor.execute(text.format(name=name, verb=verb))


def unprotect_events(connection: BaseDatabaseWrapper) -> None:
    """Drop what `protect_events` makes."""
    protection = PROTECTIONS.get(connection.vendor)
    if protection is None:
        return
    with connection.cursor() as cursor:
        for name in protection.triggers:
            cursor.execute(protection.drop_trigger.format(name=name))
        if protection.drop_functions is not None:
            cursor.execute(protection.drop_functions)


def missing_triggers(connection: BaseDatabaseWrapper) -> list[str]:
    """Names of the triggers that the log should have and has not, or has disabled."""
    protection = PROTECTIONS.get(connection.vendor)
    if protection is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(protection.list_triggers)
        found = {row[0] for row in cursor.fetchall()}
    return [name for name in protection.triggers if name not in found]


def transaction_id(connection: BaseDatabaseWrapper) -> str | None:
    """What marks the changes of the transaction that is open now; None where nothing is protected."""
    protection = PROTECTIONS.get(connection.vendor)
    if protection is None:
        return None
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {protection.transaction_id}")
        return str(cursor.fetchone()[0])
