"""What a product needs beside the tables that Django makes; the first migration calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.apps.registry import Apps
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Model

from whizbang.drivers.stores.statements import load_statement

CREATE = {
    "mysql": (
        "plain_position",
        "position_counter",
        "first_position",
        "draw_positions",
        "inbox_index",
        "outbox_index",
        "one_open_rebuild",
    ),
    "microsoft": ("plain_position", "position_key", "position_counter", "first_position"),
}
DROP = {
    "mysql": ("drop_draw_positions", "drop_position_counter"),
    "microsoft": ("drop_position_counter",),
}

DROP_MODES = {"mysql": ("outbox_two_indexes",)}
MODES = {"mysql": ("inbox_priority_index", "outbox_one_index")}


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Add counters, functions, indexes and collations; nothing where Django's tables are enough."""
    _compare_exactly(apps.get_app_config("whizbang").get_models(), schema_editor)
    _run(CREATE, schema_editor)


def drop(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Remove what `create` added outside of Django's tables."""
    _run(DROP, schema_editor)


def create_for_modes(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The ninth migration's indexes where Django leaves their conditions out."""
    _run(MODES, schema_editor)


def drop_for_modes(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Give Django's own operations back what they will drop."""
    _run(DROP_MODES, schema_editor)


def compare_exactly(*models: str) -> Callable[[Apps, BaseDatabaseSchemaEditor], None]:
    """What a migration runs that has made tables: names of these models compare byte by byte."""

    def run(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
        _compare_exactly([apps.get_model("whizbang", name) for name in models], schema_editor)

    return run


def _compare_exactly(
    models: Iterable[type[Model]], schema_editor: BaseDatabaseSchemaEditor
) -> None:
    """Give the text columns of tables the exact collation, where a product's default is another."""
    if schema_editor.connection.vendor != "mysql":
        return
    collation = exact_collation(schema_editor.connection)
    text = load_statement("mysql", "schema/exact_text")
    for model in models:
        table = schema_editor.quote_name(model._meta.db_table)
        schema_editor.execute(text.format(table=table, collation=collation), params=None)


def exact_collation(connection: Any) -> str:
    """The collation in which only equal bytes are equal, trailing spaces included."""
    return "utf8mb4_nopad_bin" if connection.mysql_is_mariadb else "utf8mb4_0900_bin"


def _run(names: Mapping[str, Sequence[str]], schema_editor: BaseDatabaseSchemaEditor) -> None:
    vendor = schema_editor.connection.vendor
    for name in names.get(vendor, ()):
        schema_editor.execute(load_statement(vendor, f"schema/{name}"), params=None)
